"""``telemetrio send`` and ``telemetrio commands``."""

import sys
from typing import TYPE_CHECKING, Annotated, Any, Final

from cyclopts import Parameter

from hub.cli.options import OUTPUT, REACH, Output, Reach

if TYPE_CHECKING:
    from hub.client import Operator
    from hub.wire.shapes import CommandInfo

GRACE_SECONDS: Final = 5.0  # beyond the command's own deadline: the hub tells how it ended, if it still can
#: What to do about a command that came to nothing.
_NEXT: Final = {
    "failed": "what the device said of it is its value", "rejected": "what the device said of it is its value",
    "cancelled": "somebody took it back", "expired": "the device got it too late: allow more with --timeout",
    "timed_out": "an answer that still comes is shown by 'telemetrio commands show {id}'",
    "unreachable": "see 'telemetrio devices show {device}', and send it again when the device is online",
}  # fmt: skip
COLUMNS: Final = ("id", "device", "name", "state", "value", "by", "created", "late")


def send(
    device: str,
    command: str,
    /,
    *arguments: str,
    timeout: Annotated[str, Parameter(help="Until then the device must have done it.")] = "10s",
    wait: Annotated[bool, Parameter(negative="--no-wait", help="Wait for the result.")] = True,
    reach: Reach = REACH,
    output: Output = OUTPUT,
) -> int:
    """Send a command to a device and wait for its result.

    Arguments are key=value, typed as the device's model says: telemetrio send pump-01 set_speed speed=1200
    """
    from hub.cli.ask import with_operator
    from hub.cli.exits import STATES
    from hub.cli.options import seconds
    from hub.cli.output import write_records
    from hub.cli.run import say

    limit = seconds(timeout)
    info = with_operator(reach.target(), lambda operator: _send(operator, device, command, arguments, limit, wait))
    write_records([info], ("id", "device", "name", "state", "value"), output)
    if info["state"] in _NEXT:
        say(f"{command} of {device}: {info['state']}; {_NEXT[info['state']].format(**info)}")
    return STATES[info["state"]]


async def _send(
    operator: "Operator", device: str, command: str, words: tuple[str, ...], limit: float, wait: bool
) -> "CommandInfo":
    import trio

    from hub.cli.exits import CommandError, Exit

    arguments = await typed(operator, device, command, words)
    with trio.move_on_after(limit + GRACE_SECONDS):
        return await operator.send_command(device, command, arguments, limit, wait, _progress if wait else None)
    raise CommandError(
        f"the hub did not tell how {command} of {device} ended; see 'telemetrio commands ls'", Exit.TIMEOUT
    )


async def typed(operator: "Operator", device: str, command: str, words: tuple[str, ...]) -> dict[str, Any]:
    """``key=value`` words as the device's model types them; says which commands or arguments there are."""
    from hub.cli.exits import CommandError, Exit
    from hub.model import Model, parse_arguments

    name = (await operator.call("devices.show", device=device))["model"]
    model = Model.from_plain(await operator.call("models.show", model=name)) if name else None
    if model is None:
        raise CommandError(f"{device} has never been here, so nobody knows its commands", Exit.UNKNOWN_DEVICE)
    spec = model.commands.get(command)
    if spec is None:
        there = ", ".join(sorted(model.commands)) or "none"
        raise CommandError(f"{name} has no command {command!r}; there are: {there}", Exit.USAGE)
    return dict(parse_arguments(spec, list(words)))


def _progress(info: "CommandInfo") -> None:
    """On a terminal: each state as it comes, to stderr."""
    from hub.client.text import safe_text, safe_value

    if sys.stderr.isatty():
        value = safe_value(info["value"])
        print(safe_text(info["state"]) + (f" {value}" if value else ""), file=sys.stderr)


def ls(
    *,
    device: Annotated[
        tuple[str, ...], Parameter(negative=(), show_default=False, help="Name or glob; may be repeated.")
    ] = (),
    state: Annotated[tuple[str, ...], Parameter(negative=(), show_default=False, help="May be repeated.")] = (),
    limit: Annotated[int, Parameter(name=["--limit", "-n"], help="How many at most.")] = 50,
    reach: Reach = REACH,
    output: Output = OUTPUT,
) -> None:
    """List commands, newest first."""
    from hub.cli.ask import call
    from hub.cli.exits import CommandError, Exit
    from hub.cli.output import write_records
    from hub.wire.messages import COMMAND_STATES

    for word in state:
        if word not in COMMAND_STATES:
            raise CommandError(f"{word!r} is no state; there are: {', '.join(COMMAND_STATES)}", Exit.USAGE)
    found = call(reach.target(), "commands.list", devices=list(device) or None, states=list(state) or None, limit=limit)
    write_records(found, COLUMNS, output)
    if not found:
        print("telemetrio: no command matches; 'telemetrio send' sends one", file=sys.stderr)


def show(id: str, /, *, reach: Reach = REACH, output: Output = OUTPUT) -> None:
    """One command: arguments, state, result, times."""
    from hub.cli.ask import call
    from hub.cli.output import write_record

    write_record(call(reach.target(), "commands.show", id=id), output)


def cancel(id: str, /, *, reach: Reach = REACH, output: Output = OUTPUT) -> None:
    """Take a command back, if it has not ended yet."""
    from hub.cli.ask import call
    from hub.cli.output import write_record

    write_record(call(reach.target(), "commands.cancel", id=id), output)
