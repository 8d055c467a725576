"""``telemetrio hub rebuild``: the store anew from the journal, by the running hub or without one."""

import sys
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeAlias

from cyclopts import Parameter

from hub.cli.options import OUTPUT, REACH, Output, Reach

if TYPE_CHECKING:
    from hub.client import Operator
    from hub.wire.shapes import OnlyCopyInfo

#: What is written, and what the file that was set aside is the only copy of.
Done: TypeAlias = "tuple[dict[str, Any], OnlyCopyInfo | None]"
AcceptLoss = Annotated[
    bool,
    Parameter(negative=(), show_default=False, help="Go on where only the store has readings: the new one lacks them."),
]

POLL_SECONDS: Final = 0.2  # between two looks at how far the hub is


def rebuild(*, accept_loss: AcceptLoss = False, reach: Reach = REACH, output: Output = OUTPUT) -> int:
    """Set the store aside (it is kept) and build it anew from the journal.

    A running hub does it itself and goes on taking readings meanwhile; without one, this command
    does it. All of the journal is read first: where it is damaged and the store has the only copy
    of readings, the store is not touched and the exit code is 1. With --accept-loss it is done all
    the same, and the file that is set aside is the only one that has them.

    The old store is called store.duckdb.replaced-SECONDS then (one that was damaged: .damaged-), and
    stays until somebody removes it with the .wal and .note beside it. That is safe when the new one
    is built and 'telemetrio hub status' tells no damage that names it.
    """
    from hub.cli.ask import with_operator
    from hub.cli.exits import CommandError, Exit
    from hub.cli.output import write_record
    from hub.client import Unreachable
    from hub.upkeep.only_copy import LossRefused
    from hub.upkeep.rebuild import RebuildError

    try:
        done, alone = with_operator(reach.target(), partial(_by_the_hub, accept_loss))
    except Unreachable:
        try:
            done, alone = _by_hand(reach, accept_loss)
        except (LossRefused, RebuildError) as error:
            raise CommandError(str(error), Exit.FAILED) from None
    print(file=sys.stderr)
    if alone is not None:
        print(_warning(alone, done["set_aside"]), file=sys.stderr)
    write_record(done, output)
    return Exit.OK


def _warning(alone: "OnlyCopyInfo", kept: str | None) -> str:
    from hub.upkeep.only_copy import told
    from hub.wire.ranges import Ranges

    readings = "whatever the store had" if alone["readings"] is None else f"{alone['readings']} readings"
    records = told(Ranges((first, last) for first, last in alone["records"]))
    if kept is None:
        return f"the store's file was gone, and with it {readings} of {records}, which the journal lacks"
    return (
        f"{kept} is now the only copy of {readings} of {records}, which the journal lacks. Keep it. To have it back "
        "as the store: stop the hub, move it to store.duckdb and its .wal, if there is one, to store.duckdb.wal, and "
        "start the hub: it adds what came later"
    )


def _show(record: int, through: int, more: str) -> None:
    print(f"\rrecord {record} of {through}{more}   ", end="", file=sys.stderr, flush=True)


def _done(record: int, readings: int, seconds: float, kept: str | None, alone: "OnlyCopyInfo | None") -> Done:
    return {
        "through": record, "readings": readings, "seconds": round(seconds, 3),
        "readings_per_s": round(readings / max(seconds, 1e-3)), "set_aside": kept,
        "only_copy": 0 if alone is None else alone["readings"],
    }, alone  # fmt: skip


async def _by_the_hub(accept_loss: bool, operator: "Operator") -> Done:
    import trio

    begun = await operator.call("store.rebuild", accept_loss=accept_loss or None)
    began = trio.current_time()
    while True:
        store = await operator.call("store.status")
        seconds = trio.current_time() - began
        _show(store["cursor"], begun["through"], f", {seconds:.1f} s")
        if not store["rebuilding"]:
            return _done(store["cursor"], store["readings"], seconds, store["set_aside"], begun["only_copy"])
        await trio.sleep(POLL_SECONDS)


def _by_hand(reach: Reach, accept_loss: bool) -> Done:
    import trio

    from hub.cli.hub import settings_of
    from hub.ports import Ports
    from hub.upkeep.rebuild import Progress, rebuild

    def show(progress: Progress) -> None:
        rate = progress.readings / max(progress.seconds, 1e-3)
        _show(progress.record, progress.through, f", {rate:.0f} readings/s")

    settings = settings_of(reach.context().file)
    call = partial(rebuild, accept_loss=accept_loss)
    done = trio.run(call, settings.data, settings.store.memory_mb, Ports(), show)
    at, kept = done.progress, None if done.kept is None else str(done.kept)
    return _done(at.record, at.readings, at.seconds, kept, done.alone.plain())
