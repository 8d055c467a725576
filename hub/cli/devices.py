"""``telemetrio devices run|fleet|host``: devices in this process, until Ctrl-C or their time is over."""

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

from cyclopts import Group, Parameter

from hub.cli.options import OUTPUT, REACH, Labels, Output, Reach

if TYPE_CHECKING:
    from hub.client import Context

OPEN_FILES: Final = 65_536  # wanted: a socket for each device, and four files with a spool
PLAIN_STATUS_SECONDS: Final = 10  # between two lines of status where no terminal shows one that changes in place

_RUN = Group("Run", sort_key=1)
Seconds = Annotated[
    str | None, Parameter(name="--seconds", group=_RUN, help="Stop after so long: 30, 5m [default: until Ctrl-C].")
]
Tokens = Annotated[
    Path | None,
    Parameter(group=_RUN, help="Folder of the devices' tokens [default: tokens/ beside the settings file]."),
]
Seed = Annotated[int | None, Parameter(group=_RUN, help="Another seed gives other readings.")]
Every = Annotated[str, Parameter(group=_RUN, help="From one row of readings to the next.")]
Spool = Annotated[
    str | None,
    Parameter(
        group=_RUN,
        help="Folder where each device keeps what is not acked, and has it after a restart [default: in memory].",
    ),
]
HostSpool = Annotated[
    str | None,
    Parameter(
        group=_RUN,
        help='Folder where it keeps what is not acked; "none": in memory [default: where its token is].',
    ),
]
SpoolMb = Annotated[
    float, Parameter(name="--spool-mb", group=_RUN, help="Size of a device's spool; beyond it the oldest goes.")
]
SPOOL_MB: Final = 64.0  # a row a second for five days
SPOOL_MBS: Final = (0.25, 1e6)
Fault = Annotated[
    tuple[str, ...],
    Parameter(
        negative=(),
        group=_RUN,
        show_default=False,
        help="NAME=VALUE: stuck, spike, nan, out_of_range, missing (share of minutes), cut, delay (seconds).",
    ),
]


def run(
    name: Annotated[str, Parameter(name=["--id"], help="The device's name.")],
    model: Annotated[str, Parameter(name="--model", help="Name of a model.")],
    *,
    every: Every = "1s",
    batch: Annotated[int, Parameter(group=_RUN, help="Rows that travel together, as columns.")] = 1,
    label: Labels = (),
    fault: Fault = (),
    seed: Seed = None,
    seconds: Seconds = None,
    tokens: Tokens = None,
    spool: Spool = None,
    spool_mb: SpoolMb = SPOOL_MB,
    reach: Reach = REACH,
    output: Output = OUTPUT,
) -> int:
    """Run one simulated device. Without a token it is enrolled first."""
    from hub.cli import options as given
    from hub.cli.options import pairs

    period, labels = given.seconds(every), pairs(label, "label")

    def start(doors: Any, target: Any, options: Any) -> Any:
        return doors.run_device(target, name, model, options, period=period, batch=batch, labels=labels)

    return _run(start, reach.context(), output, seconds, _Folders(tokens, spool, spool_mb), seed, fault)


def fleet(
    scenario: Annotated[str, Parameter(help="Name of a fleet that comes with Telemetrio, or a .toml file.")] = "demo",
    /,
    *,
    devices: Annotated[
        int | None, Parameter(name=["--devices", "-n"], group=_RUN, help="How many in all; the mixture stays.")
    ] = None,
    seed: Seed = None,
    seconds: Seconds = None,
    tokens: Tokens = None,
    spool: Spool = None,
    spool_mb: SpoolMb = SPOOL_MB,
    reach: Reach = REACH,
    output: Output = OUTPUT,
) -> int:
    """Run many simulated devices in one process, and tell at the end how it went."""

    def start(doors: Any, target: Any, options: Any) -> Any:
        return doors.run_fleet(target, scenario, options, devices=devices)

    return _run(start, reach.context(), output, seconds, _Folders(tokens, spool, spool_mb), seed)


def host(
    *,
    name: Annotated[str | None, Parameter(name=["--id"], help="The device's name [default: this machine's].")] = None,
    every: Every = "1s",
    label: Labels = (),
    seconds: Seconds = None,
    tokens: Tokens = None,
    spool: HostSpool = None,
    spool_mb: SpoolMb = SPOOL_MB,
    reach: Reach = REACH,
    output: Output = OUTPUT,
) -> int:
    """Stream this machine's own sensors: CPU, memory, load, disk, network, temperatures where there are any."""
    from hub.cli import options as given
    from hub.cli.options import pairs

    period, labels = given.seconds(every), pairs(label, "label")

    def start(doors: Any, target: Any, options: Any) -> Any:
        return doors.run_host(target, options, name=name, period=period, labels=labels)

    return _run(start, reach.context(), output, seconds, _Folders(tokens, spool, spool_mb, beside=True))


@dataclass(frozen=True)
class _Folders:
    """Where devices keep what they need again. ``beside``: the spool's default is the folder of the tokens."""

    tokens: Path | None
    spool: str | None
    spool_mb: float
    beside: bool = False

    def options(self, context: "Context") -> dict[str, Any]:
        from hub.cli.exits import CommandError, Exit

        least, most = SPOOL_MBS
        if not least <= self.spool_mb <= most:
            raise CommandError(f"--spool-mb {self.spool_mb:g}: give it from {least:g} to {most:g}", Exit.USAGE)
        tokens = self.tokens or token_folder(context, os.environ)
        spools = tokens if self.beside else None
        if self.spool is not None:
            spools = None if self.spool == "none" else Path(self.spool)
        return {"tokens": tokens, "spools": spools, "spool_bytes": int(self.spool_mb * 1e6)}


def _run(
    start: Callable[[Any, Any, Any], Any],
    context: "Context",
    output: Output,
    seconds: str | None,
    folders: _Folders,
    seed: int | None = None,
    fault: tuple[str, ...] = (),
) -> int:
    import trio

    from hub.cli import options as given
    from hub.cli.output import write_record
    from hub.cli.run import say
    from hub.disk import raise_open_files

    raise_open_files(OPEN_FILES)
    doors = import_module("devices.run")
    options = doors.Options(
        enrol_token=context.enrol_token or context.token,
        seconds=given.seconds(seconds) if seconds is not None else None,
        seed=seed,
        on_status=_status(),
        **_faults(fault),
        **folders.options(context),
    )

    async def main() -> Any:
        return await start(doors, context.with_token(None), options)

    report = trio.run(main).to_plain()
    if sys.stderr.isatty():
        print(file=sys.stderr)
    write_record(report, output)
    if report["problems"]:
        say("\n".join(report["problems"]))
    return _exit(report)


def _exit(report: Mapping[str, Any]) -> int:
    """Whether every device was there at the end; else what kept them away, when it was the same for all."""
    from hub.cli.exits import Exit

    if not report["problems"] or report["devices_online"] >= report["devices"]:
        return Exit.OK
    if report["unauthorised"] == report["devices"]:
        return Exit.UNAUTHORIZED
    tried = report["links"] or report["turned_away"] or report.get("unusable")
    return Exit.FAILED if tried else Exit.UNREACHABLE


def token_folder(context: "Context", environment: Mapping[str, str]) -> Path:
    """Where devices keep their tokens: beside the settings file if that can be, else in the user's state."""
    if context.file is not None and os.access(context.file.parent, os.W_OK):
        return context.file.parent / "tokens"
    try:
        state = environment.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    except RuntimeError:
        from hub.cli.exits import CommandError, Exit

        raise CommandError(
            "there is no home for the devices' tokens; name a folder with --tokens", Exit.USAGE
        ) from None
    return Path(state, "telemetrio", "tokens")


def _faults(words: tuple[str, ...]) -> dict[str, Any]:
    """``NAME=VALUE`` words as the faults of sensors and links."""
    from hub.cli.exits import CommandError, Exit
    from hub.cli.options import pairs

    found: dict[str, float] = {}
    for name, value in pairs(words, "fault").items():
        try:
            found[name] = float(value)
        except ValueError:
            raise CommandError(f"{name}={value}: the fault needs a number", Exit.USAGE) from None
    sensors, link = import_module("devices.scenario").faults_of(found)
    return {"sensors": sensors, "link": link}


def _status() -> Callable[[Any], None]:
    """Tells every second on a terminal, in place, else now and then a line."""
    calls = 0
    terminal = sys.stderr.isatty()

    def tell(report: Any) -> None:
        nonlocal calls
        calls += 1
        if terminal or calls % PLAIN_STATUS_SECONDS == 1:
            line = (
                f"{report.devices_online}/{report.devices} online, {report.sent} readings sent, {report.acked} acked, "
                f"{report.waiting} batches waiting"
            )
            print(f"\r\x1b[K{line}" if terminal else line, end="" if terminal else "\n", file=sys.stderr, flush=True)

    return tell
