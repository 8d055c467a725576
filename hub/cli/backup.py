"""``telemetrio hub backup`` and ``telemetrio hub restore``."""

import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

from cyclopts import Parameter

from hub.cli.options import OUTPUT, REACH, Config, Output, Reach

if TYPE_CHECKING:
    from hub.client import Operator
    from hub.upkeep.making import Made

RENEW_SECONDS: Final = 300.0  # half of what a pin of the journal lasts


def backup(
    folder: Annotated[Path, Parameter(help="A new folder, or an earlier backup of this hub.")],
    /,
    *,
    reach: Reach = REACH,
    output: Output = OUTPUT,
) -> int:
    """Copy what a hub cannot make again: its state file, the journal with its archive, and the log's id.

    Run it on the hub's machine; the hub may run. Into an earlier backup only what is new is
    copied, and until that is done the earlier one stays as it was. The store is not copied: it is
    built anew from the journal. Settings, certificates and keys are not in the data directory: keep
    them yourself. The backup has the hashes of tokens and the values of rejected readings: keep it
    where only admins are.
    """
    from importlib.metadata import version

    from hub.cli.ask import with_operator
    from hub.cli.hub import settings_of
    from hub.cli.output import instant, write_record
    from hub.cli.run import say
    from hub.client import Unreachable
    from hub.ports import SystemClock
    from hub.upkeep.backup import back_up_by_hand

    clock, number = SystemClock(), version("telemetrio")
    began = clock.monotonic()
    down = None
    try:
        try:
            made = with_operator(reach.target(), partial(_of_a_running_hub, folder, number))
        except Unreachable as unreachable:
            down = unreachable
            made = back_up_by_hand(settings_of(reach.context().file).data, folder, number, clock.now(), _show)
    finally:
        if sys.stderr.isatty():
            print(file=sys.stderr)  # after the progress
    if down is not None:
        say(f"{down}\nthe hub does not run: its files were copied")
    if made.manifest.missing:
        spans = ", ".join(f"{first}-{last}" for first, last in made.manifest.missing)
        say(
            f"records {spans} are missing in the journal, and so in the backup; 'telemetrio hub status' says "
            "whether the store has them: then keep a copy of store.duckdb too, made while the hub is stopped"
        )
    write_record(
        {
            "backup": str(folder), "made": instant(made.manifest.made), "through": made.manifest.lsn,
            "files": len(made.manifest.files), "bytes": made.size, "copied_bytes": made.copied,
            "missing": [list(span) for span in made.manifest.missing], "seconds": round(clock.monotonic() - began, 3),
        },
        output,
    )  # fmt: skip
    return 0


def restore(
    folder: Annotated[Path | None, Parameter(help="A backup; with --state, by default the hub's own copy.")] = None,
    /,
    *,
    state: Annotated[bool, Parameter(negative=(), help="Put back the state file alone.")] = False,
    config: Config = None,
    data: Annotated[Path | None, Parameter(help="The data directory [hub.data].")] = None,
    output: Output = OUTPUT,
) -> int:
    """Make the data directory as it was when the backup was made; it has to be empty, and the hub stopped.

    With --state the state file alone is put back, and the journal stays: no reading is lost, and the
    account takes in again what came since. What it cannot know is what was changed since then: tokens
    that were given are unknown, tokens that were revoked are good again. The file that was there is
    kept beside it.
    """
    from hub.cli.exits import CommandError, Exit
    from hub.cli.hub import settings_of
    from hub.cli.output import instant, write_record
    from hub.cli.run import say
    from hub.ports import SystemClock
    from hub.upkeep.restore import restore_all, restore_state

    if folder is None and not state:
        raise CommandError("name a backup, or put back the state file alone with --state", Exit.USAGE)
    where, now = settings_of(config).data if data is None else data, SystemClock().now()
    done = restore_state(where, folder, now) if state else restore_all(where, folder or Path(), now)
    say(
        f"the state file is of {instant(done.made)}: tokens given since then are unknown, and those revoked since then "
        "are good again. Start the hub, and revoke those"
    )
    write_record(
        {
            "data": str(where), "made": instant(done.made), "through": done.lsn, "devices": done.devices,
            "tokens": done.tokens, "commands_not_sent_again": done.doubted,
            "set_aside": None if done.kept is None else str(done.kept),
        },
        output,
    )  # fmt: skip
    return Exit.OK


async def _of_a_running_hub(folder: Path, version: str, operator: "Operator") -> "Made":
    """Nothing is collected while the files are copied, however long that takes."""
    import trio

    from hub.ports import SystemClock
    from hub.upkeep.backup import back_up
    from hub.upkeep.claims import data_of, let_go

    pins = [pin := await operator.call("ledger.pin")]

    async def renew() -> None:
        while True:
            await trio.sleep(RENEW_SECONDS)
            pins.append(await operator.call("ledger.pin"))
            await let_go(operator, pins.pop(0)["pin"])

    try:
        data = data_of(pin)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(renew)
            copying = partial(back_up, data, folder, version, SystemClock().now(), _show)
            made = await trio.to_thread.run_sync(copying, abandon_on_cancel=True)  # unfinished, it changes nothing
            nursery.cancel_scope.cancel()
        return made
    finally:
        for each in pins:
            await let_go(operator, each["pin"])


def _show(done: int, of: int) -> None:
    if sys.stderr.isatty():
        print(f"\rsegment {done} of {of}   ", end="", file=sys.stderr, flush=True)
