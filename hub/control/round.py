"""What one round of the router has to do, as board and outboxes stand: what may be sent to whom, and what is over."""

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Final, TypeAlias

from hub.control.board import Board
from hub.control.outbox import DeviceOutbox
from hub.state import Change
from hub.wire.messages import Plain
from hub.wire.shapes import CommandInfo

AT_ONCE: Final = 8  # commands to one device in one round: small beside the room that was found in its outbox

Leaving: TypeAlias = list[tuple[CommandInfo, DeviceOutbox]]
OutboxOf: TypeAlias = Callable[[str], DeviceOutbox | None]


def leaving(board: Board, outbox_of: OutboxOf) -> tuple[Leaving, bool]:
    """What is queued for an outbox with room; and whether more is queued than may go now."""
    found: Leaving = []
    waits = False
    per_device: Counter[str] = Counter()
    for info in board.queued():
        outbox = outbox_of(info["device"])
        if outbox is None:
            continue
        if outbox.room and per_device[info["device"]] < AT_ONCE:
            per_device[info["device"]] += 1
            found.append((info, outbox))
        else:
            waits = True
    return found, waits


def ended(board: Board, outbox_of: OutboxOf, due: Iterable[str], now: int) -> Iterable[Change]:
    """Commands whose deadline has passed, and queued ones whose device has left."""
    for id in due:
        info = board.get(id)
        if info is not None and info["state"] == "queued":
            yield change(info, "expired", now, None)
        elif info is not None:
            yield Change(id, info["device"], "timed_out", None, now)
    for info in board.queued():
        if outbox_of(info["device"]) is None:
            yield change(info, "unreachable", now, "the device left before it was sent")


def change(info: CommandInfo, state: str, at: int, value: Plain, only_from: str | None = None) -> Change:
    """The hub's own word about a command: it holds only while the command is as the hub believes."""
    return Change(info["id"], info["device"], state, value, at, only_from or info["state"])
