"""``telemetrio tail``: readings as they come."""

import sys
from typing import TYPE_CHECKING, Annotated, Any, Final

from cyclopts import Parameter

from hub.cli.options import OUTPUT, REACH, Output, Reach, at_least_one

if TYPE_CHECKING:
    from hub.cli.output import Rows
    from hub.client import Operator

GLOB: Final = frozenset("*?[")
COLUMNS: Final = ("time", "device", "metric", "value", "quality")
WIDTHS: Final = (27, 20, 20, 14, 12)  # characters: RFC 3339 to the us, usual names, ten digits, time_unknown


def tail(
    device: str = "*",
    /,
    *,
    metric: Annotated[
        tuple[str, ...], Parameter(negative=(), show_default=False, help="Name or glob; may be repeated.")
    ] = (),
    number: Annotated[
        int | None, Parameter(name=["--number", "-n"], validator=at_least_one, help="Stop after so many readings.")
    ] = None,
    for_: Annotated[str | None, Parameter(name="--for", help="Stop after so long: 30s, 5m.")] = None,
    reach: Reach = REACH,
    output: Output = OUTPUT,
) -> int:
    """Follow readings as they come, the latest of each series first. DEVICE is a name or a glob.

    When more come than can be shown, only the latest of each series are, and how many were left out is told.
    """
    from hub.cli.ask import with_operator
    from hub.cli.options import seconds
    from hub.cli.output import Rows

    limit = seconds(for_) if for_ is not None else None
    with Rows(COLUMNS, output, WIDTHS) as rows:
        return with_operator(reach.target(), lambda operator: _follow(operator, device, metric, number, limit, rows))


async def _follow(
    operator: "Operator", device: str, metrics: tuple[str, ...], number: int | None, limit: float | None, rows: "Rows"
) -> int:
    import trio

    updates = await operator.subscribe(["readings"], [device], metrics or ("*",))
    if not GLOB.intersection(device):  # a glob may wait for devices that are still to come
        await _check(operator, device, metrics)
    with trio.move_on_after(limit if limit is not None else float("inf")) as deadline:
        async for update in updates:
            if update.kind == "skipped" and isinstance(update.body, dict):
                print(f"telemetrio: {update.body['count']!r} readings left out: too many to show", file=sys.stderr)
            elif update.kind == "readings" and isinstance(update.body, list):
                for reading in update.body:
                    rows.add(shown(reading))
                    if rows.count == number:
                        rows.flush()
                        return 0
                rows.flush()
    if not deadline.cancelled_caught and operator.ended is not None:
        raise operator.ended
    return 0


async def _check(operator: "Operator", device: str, metrics: tuple[str, ...]) -> None:
    """Who asks for what can never come is told at once: HubFailure or CommandError."""
    from hub.cli.exits import CommandError, Exit

    detail = await operator.call("devices.show", device=device)
    known = {name for name, *_ in [*detail["metrics"], *detail["latest"]]}
    missing = [metric for metric in metrics if not GLOB.intersection(metric) and metric not in known]
    if not known or not missing:  # one that was never here may bring anything
        return
    known |= await _of_model(operator, detail["model"])  # the next birth may declare more of it
    for metric in missing:
        if metric not in known:
            text = f"{device} has no metric {metric!r}; {_instead(device, metric, known)}"
            raise CommandError(text, Exit.UNKNOWN_DEVICE)


async def _of_model(operator: "Operator", model: str) -> set[str]:
    from hub.client import HubFailure

    try:
        return {metric["name"] for metric in (await operator.call("models.show", model=model))["metrics"]}
    except HubFailure:  # the hub has no such model
        return set()


def _instead(device: str, metric: str, known: set[str]) -> str:
    from difflib import get_close_matches

    near = get_close_matches(metric, sorted(known), n=3, cutoff=0.5)
    return f"did you mean {' or '.join(near)}?" if near else f"'telemetrio devices show {device}' lists them"


def shown(reading: Any) -> list[Any]:
    """A reading of the live stream in the order of COLUMNS."""
    from hub.cli.output import instant
    from hub.wire.messages import QUALITIES

    device, metric, time, value, quality = reading
    return [instant(time), device, metric, value, QUALITIES[quality]]
