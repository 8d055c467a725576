"""The line of batches that a device holds: oldest first, numbered, with holes where something was given up."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final, NamedTuple, TypeAlias

from hub.wire.codec import decode_device, encode
from hub.wire.messages import Columns, DeviceMessage, Event, Reported, Result, Row
from hub.wire.ranges import Ranges

Numbered: TypeAlias = Row | Columns | Event | Reported | Result

OVERHEAD_BYTES: Final = 200  # what a batch costs in memory beside its frame
POISON_KEPT: Final = 4  # batches set aside that stay for whoever looks into them


@dataclass(slots=True, eq=False)
class Held:
    """A batch, or with ``frame`` null a hole: the numbers ``seq..last`` that will never be sent, and why.

    ``at``: when it was meant to be sent (monotonic seconds); ``sent``: it has left at least once; ``file``: where it
    stands on disk, null while it does not.
    """

    seq: int
    last: int
    frame: bytes | None
    readings: int | None
    at: float
    reason: str = ""
    sent: bool = False
    file: object | None = None


@dataclass(slots=True, eq=False)
class Stretch:
    """The batches ``seq..last``, all of one file, that are on disk only. ``readings``: null when not known."""

    seq: int
    last: int
    readings: int | None
    file: object
    sent: bool = False


Item: TypeAlias = Held | Stretch


class Settled(NamedTuple):
    """What an ack took off the spool: batches and readings; ``times``: when each batch was meant to be sent."""

    batches: int
    readings: int
    times: list[float]


class Line:
    """What all spools have in common: the order, and what acks, drops and fresh epochs do to it. Touches no disk."""

    def __init__(self) -> None:
        self.epoch: int | None = None
        self.log: str | None = None
        self.acked = 0
        self.next = 1
        self.bytes = 0  # of the batches in memory
        self.dropped = 0  # readings, by overflow or as poison
        self.suspect: tuple[int, int] | None = None
        self.poison: deque[bytes] = deque(maxlen=POISON_KEPT)
        self._held: deque[Item] = deque()
        self._passed = 0  # how many of the oldest have been sent on this link

    def __len__(self) -> int:
        """How many batches, stretches and holes are held."""
        return len(self._held)

    @property
    def first(self) -> int:
        """The oldest number held; ``next`` when nothing is held."""
        return self._held[0].seq if self._held else self.next

    @property
    def unsent(self) -> bool:
        """Is there anything that has not been sent on this link?"""
        return self._passed < len(self._held)

    def peek(self) -> Held | None:
        """The oldest that has not been sent on this link; None when there is none, or it has to be fetched."""
        if self._passed < len(self._held):
            item = self._held[self._passed]
            if type(item) is Held:
                return item
        return None

    def passed(self) -> None:
        """What ``peek`` gave has been sent on this link."""
        self._held[self._passed].sent = True
        self._passed += 1

    def rewind(self) -> None:
        """A new link: nothing has been sent on it yet."""
        self._passed = 0

    def suspected(self, at: tuple[int, int] | None) -> None:
        """The hub closed there (epoch, what was settled) over what came next; null: nothing is suspect any more."""
        self.suspect = at

    def set_aside(self, through: int, reason: str) -> bool:
        """Turn the batch next after ``through`` into a hole (P11); False when there is none."""
        for at, item in enumerate(self._held):
            if item.last > through and not _is_hole(item):
                if isinstance(item, Stretch):
                    at, item = self._split(at, item, max(item.seq, through + 1))
                elif item.frame is not None:
                    self.poison.append(item.frame)
                self._make_hole(at, reason)
                return True
        return False

    # --- for spools ------------------------------------------------------------------------------------------------

    def _add(self, message: Numbered, readings: int, at: float) -> Held:
        seq = self.next
        frame = encode(numbered(message, seq))
        self.next = seq + 1
        held = Held(seq, seq, frame, readings, at)
        self._held.append(held)
        self.bytes += len(frame) + OVERHEAD_BYTES
        return held

    def _let_go(self, through: int) -> Settled:
        """An ack: all up to ``through`` is settled."""
        self.acked = max(self.acked, through)
        batches, readings, times = 0, 0, []
        while self._held and self._held[0].seq <= through:
            oldest = self._held[0]
            if oldest.last > through:  # of a part that is settled, nobody can tell how many readings are left
                if isinstance(oldest, Stretch):
                    batches += through + 1 - oldest.seq
                self._held[0] = replace(oldest, seq=through + 1, readings=None)
                break
            self._held.popleft()
            self._passed = max(0, self._passed - 1)
            if isinstance(oldest, Stretch):
                batches += oldest.last + 1 - oldest.seq
                readings += oldest.readings or 0
            elif oldest.frame is not None:
                self.bytes -= len(oldest.frame) + OVERHEAD_BYTES
                batches += 1
                readings += oldest.readings or 0
                times.append(oldest.at)
        return Settled(batches, readings, times)

    def _take_out(self, settled: Ranges) -> Settled:
        """A welcome: all that ``settled`` covers goes, and a new link begins."""
        kept: list[Item] = []
        batches, readings, times = 0, 0, []
        for item in self._held:
            left = _left(item, settled)
            kept += left
            if _is_hole(item) or left == [item]:
                continue
            batches += item.last + 1 - item.seq - sum(part.last + 1 - part.seq for part in left)
            readings += 0 if left else item.readings or 0
            if isinstance(item, Held):
                times.append(item.at)
        self._held = deque(kept)
        self._passed = 0
        self._weigh()
        return Settled(batches, readings, times)

    def _number_from_one(self) -> None:
        """Number what is held from 1. Holes are taken along, so that no drop is forgotten."""
        seq = 1
        for item in self._held:
            if isinstance(item, Held) and item.frame is not None and item.seq != seq:
                item.frame = renumbered(item.frame, seq)
            item.seq, item.last = seq, seq + item.last - item.seq
            seq = item.last + 1
        self.next = seq
        self.acked = 0
        self._weigh()

    def _make_hole(self, at: int, reason: str) -> None:
        """Turn a batch into a hole, joined with the hole before it if both are on the same side of what was sent."""
        item = self._held[at]
        moment = 0.0
        if isinstance(item, Held):
            assert item.frame is not None
            self.bytes -= len(item.frame) + OVERHEAD_BYTES
            moment = item.at
        self.dropped += item.readings or 0
        hole = Held(item.seq, item.last, None, item.readings, moment, reason, item.sent)
        before = self._held[at - 1] if at else None
        if not isinstance(before, Held) or not _joins(before, hole) or at == self._passed:
            self._held[at] = hole
            return
        readings = None if before.readings is None or hole.readings is None else before.readings + hole.readings
        self._held[at - 1] = replace(before, last=hole.last, readings=readings)
        del self._held[at]
        if at < self._passed:
            self._passed -= 1

    def _replace(self, at: int, items: list[Item]) -> None:
        """Put others in the place of the item at ``at``, which nothing has been sent of on this link."""
        self._held.rotate(-at)
        self._held.popleft()
        self._held.extendleft(reversed(items))
        self._held.rotate(at)
        self._weigh()

    def _split(self, at: int, stretch: Stretch, seq: int) -> tuple[int, Item]:
        """Make an item of its own of one number in a stretch; where it stands, and what it is."""
        alone = replace(stretch, seq=seq, last=seq, readings=None)
        before = [replace(stretch, last=seq - 1, readings=None)] if seq > stretch.seq else []
        after = [replace(stretch, seq=seq + 1, readings=None)] if seq < stretch.last else []
        self._replace(at, [*before, alone, *after])
        return at + len(before), alone

    def _weigh(self) -> None:
        self.bytes = sum(
            len(item.frame) + OVERHEAD_BYTES for item in self._held if isinstance(item, Held) and item.frame is not None
        )

    def _holes(self) -> Iterator[Held]:
        return (item for item in self._held if isinstance(item, Held) and item.frame is None)


def numbered(message: Numbered, seq: int) -> Numbered:
    """The same batch with the number ``seq``."""
    if isinstance(message, Row | Columns):
        return message._replace(seq=seq)
    return replace(message, seq=seq)


def renumbered(frame: bytes, seq: int) -> bytes:
    """The frame of the same batch with the number ``seq``."""
    message: DeviceMessage = decode_device(frame)
    assert isinstance(message, Row | Columns | Event | Reported | Result)
    return encode(numbered(message, seq))


def _is_hole(item: Item) -> bool:
    return isinstance(item, Held) and item.frame is None


def _joins(before: Held, hole: Held) -> bool:
    return before.frame is None and before.reason == hole.reason and before.last + 1 == hole.seq


def _left(item: Item, settled: Ranges) -> list[Item]:
    """What is left of an item when the settled numbers are taken out."""
    if item.seq == item.last:
        return [] if item.seq in settled else [item]
    left = settled.missing(item.seq, item.last).pairs()
    if left == [(item.seq, item.last)]:
        return [item]
    return [replace(item, seq=first, last=last, readings=None) for first, last in left]
