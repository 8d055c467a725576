"""``telemetrio hub rebuild``: the store anew from the journal, by the running hub or without one."""

import sys
from typing import TYPE_CHECKING, Any, Final

from hub.cli.options import OUTPUT, REACH, Output, Reach

if TYPE_CHECKING:
    from hub.client import Operator

POLL_SECONDS: Final = 0.2  # between two looks at how far the hub is


def rebuild(*, reach: Reach = REACH, output: Output = OUTPUT) -> int:
    """Set the store aside (it is kept) and build it anew from the journal.

    A running hub does it itself and goes on taking readings meanwhile; without one, this command does it.
    """
    from hub.cli.ask import with_operator
    from hub.cli.exits import CommandError, Exit
    from hub.cli.output import write_record
    from hub.client import Unreachable
    from hub.upkeep.rebuild import RebuildError

    try:
        done = with_operator(reach.target(), _by_the_hub)
    except Unreachable:
        try:
            done = _by_hand(reach)
        except RebuildError as error:
            raise CommandError(str(error), Exit.FAILED) from None
    print(file=sys.stderr)
    write_record(done, output)
    return Exit.OK


def _show(record: int, through: int, more: str) -> None:
    print(f"\rrecord {record} of {through}{more}   ", end="", file=sys.stderr, flush=True)


def _result(record: int, readings: int, seconds: float) -> dict[str, Any]:
    return {
        "through": record, "readings": readings, "seconds": round(seconds, 3),
        "readings_per_s": round(readings / max(seconds, 1e-3)),
    }  # fmt: skip


async def _by_the_hub(operator: "Operator") -> dict[str, Any]:
    import trio

    through = (await operator.call("store.rebuild"))["through"]
    began = trio.current_time()
    while True:
        store = await operator.call("store.status")
        seconds = trio.current_time() - began
        _show(store["cursor"], through, f", {seconds:.1f} s")
        if not store["rebuilding"]:
            return _result(store["cursor"], store["readings"], seconds)
        await trio.sleep(POLL_SECONDS)


def _by_hand(reach: Reach) -> dict[str, Any]:
    import trio

    from hub.cli.hub import settings_of
    from hub.ports import Ports
    from hub.upkeep.rebuild import Progress, rebuild

    def show(progress: Progress) -> None:
        rate = progress.readings / max(progress.seconds, 1e-3)
        _show(progress.record, progress.through, f", {rate:.0f} readings/s")

    settings = settings_of(reach.context().file)
    done = trio.run(rebuild, settings.data, settings.store.memory_mb, Ports(), show)
    return _result(done.record, done.readings, done.seconds)
