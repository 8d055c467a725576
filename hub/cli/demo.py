"""``telemetrio demo``: a hub, a fleet and the dashboard or a summary, each in a process of its own."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

from cyclopts import Parameter

from hub.cli.options import OUTPUT, Output, at_least_one

if TYPE_CHECKING:
    from hub.cli.demo_folder import DemoFolder
    from hub.cli.demo_summary import Summary

HEADLESS_SECONDS: Final = 20.0  # when nobody says how long: enough for a few hundred readings of each device


def demo(
    *,
    devices: Annotated[int, Parameter(name=["--devices", "-n"], validator=at_least_one, help="How many.")] = 25,
    seconds: Annotated[
        str | None, Parameter(help="Stop after so long [default: 20s headless, else until you quit].")
    ] = None,
    headless: Annotated[bool, Parameter(negative=(), show_default=False, help="No dashboard; a summary.")] = False,
    dir: Annotated[Path | None, Parameter(help="Keep all files here [default: a temporary folder].")] = None,
    output: Output = OUTPUT,
) -> int:
    """A hub, a fleet of simulated devices and the dashboard, with certificates, tokens and a store made for it.

    At the end the fleet drains, another process verifies the ledger, and a summary tells how it went. Exit code 0
    when all devices were online, the commands succeeded and the ledger balances.
    """
    from hub.cli.demo_folder import DemoFolder, sweep
    from hub.cli.exits import Exit
    from hub.cli.options import seconds as duration
    from hub.cli.output import chosen, write_record
    from hub.cli.run import say
    from hub.client.text import safe_json

    with_dashboard = not headless and sys.stdin.isatty() and sys.stdout.isatty()
    length = duration(seconds) if seconds is not None else None if with_dashboard else HEADLESS_SECONDS
    sweep()
    folder = DemoFolder(dir)
    good = False
    try:
        summary = _run(folder, devices, length, with_dashboard)
        problems = summary.problems()
        good = not problems
    finally:
        folder.end(keep=not good)
        if not good and (folder.path / "hub.log").exists():
            say(f"everything of this run is in {folder.path}: hub.log, fleet.log, telemetrio.toml and data")
    if chosen(output) == "table":
        write_record(summary.to_plain(), output)
    else:
        print(safe_json(summary.to_plain()))
    if problems:
        say("\n".join(problems))
    return Exit.OK if good else Exit.FAILED


def _run(folder: "DemoFolder", devices: int, length: float | None, with_dashboard: bool) -> "Summary":
    import trio

    from hub.cli.demo_run import Demo
    from hub.ports import Ports
    from hub.upkeep.init import initialise

    settings = folder.path / "telemetrio.toml"
    if not settings.exists():
        initialise(folder.path, ["localhost", "127.0.0.1", "::1"], Ports(), listen="127.0.0.1:0", http="127.0.0.1:0")
    return trio.run(Demo(folder, settings, devices, length, with_dashboard).run)
