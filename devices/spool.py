"""What a device keeps until the hub has settled it. The spool gives the numbers, and keeps with them what P1 needs."""

from collections import deque
from dataclasses import dataclass, replace
from typing import Final, NamedTuple, Protocol, TypeAlias

from hub.wire.codec import decode_device, encode
from hub.wire.messages import Columns, DeviceMessage, Dropped, Event, Reported, Result, Row
from hub.wire.ranges import Ranges

Numbered: TypeAlias = Row | Columns | Event | Reported | Result

MEMORY_BYTES: Final = 4 * 1024 * 1024  # about four hours of a row a second
OVERHEAD_BYTES: Final = 200  # what a batch costs in memory beside its frame
POISON_KEPT: Final = 4  # batches set aside that stay for whoever looks into them


@dataclass(slots=True)
class Held:
    """A batch, or with ``frame`` null a hole: the numbers ``seq..last`` that will never be sent, and why.

    ``at``: when it was meant to be sent (monotonic seconds); ``sent``: it has left at least once.
    """

    seq: int
    last: int
    frame: bytes | None
    readings: int | None
    at: float
    reason: str = ""
    sent: bool = False


class Settled(NamedTuple):
    """What an ack took off the spool: batches and readings; ``times``: when each batch was meant to be sent."""

    batches: int
    readings: int
    times: list[float]


class Spool(Protocol):
    """Numbers batches and keeps them, in order, until they are settled. One spool belongs to one device."""

    epoch: int | None
    log: str | None
    acked: int
    next: int
    dropped: int  # readings, by overflow or set aside

    @property
    def first(self) -> int:
        """The oldest number held; ``next`` when nothing is held."""

    def append(self, message: Numbered, readings: int, at: float) -> Held:
        """Give the batch its number and keep it. May drop the oldest batches, which become a declared hole."""

    async def spend(self, held: Held) -> None:
        """Return when its number is spent for good (P3): only then may it leave."""

    def peek(self) -> Held | None:
        """The oldest that has not been sent on this link, or None."""

    def passed(self) -> None:
        """What ``peek`` gave has been sent on this link."""

    def rewind(self) -> None:
        """A new link: nothing has been sent on it yet."""

    async def settle(self, through: int) -> Settled:
        """Let go of all up to ``through``, having made the ack durable first (P3)."""

    async def renumber(self, epoch: int, log: str, fresh: bool, settled: Ranges) -> Settled:
        """Let go of what is settled; in a fresh epoch number the rest from 1, durably, before any of it leaves (P2)."""

    async def forget_epoch(self) -> None:
        """The numbering is not to be trusted (4010): the next hello asks for a fresh one."""

    def set_aside(self, through: int, reason: str) -> bool:
        """Turn the batch next after ``through`` into a hole (P11); False when there is none."""


class MemorySpool:
    """A spool in memory, bounded by bytes: a new epoch at each boot, and the oldest batches go when it is full."""

    def __init__(self, limit: int = MEMORY_BYTES) -> None:
        self.epoch: int | None = None
        self.log: str | None = None
        self.acked = 0
        self.next = 1
        self.bytes = 0
        self.dropped = 0  # readings, by overflow or as poison
        self.poison: deque[bytes] = deque(maxlen=POISON_KEPT)
        self._limit = limit
        self._held: deque[Held] = deque()
        self._passed = 0  # how many of the oldest have been sent on this link

    def __len__(self) -> int:
        """How many batches and holes are held."""
        return len(self._held)

    @property
    def first(self) -> int:
        return self._held[0].seq if self._held else self.next

    def append(self, message: Numbered, readings: int, at: float) -> Held:
        seq = self.next
        frame = encode(numbered(message, seq))
        self.next = seq + 1
        held = Held(seq, seq, frame, readings, at)
        self._held.append(held)
        self.bytes += len(frame) + OVERHEAD_BYTES
        while self.bytes > self._limit and self._drop_oldest():
            pass
        return held

    async def spend(self, held: Held) -> None:
        """Memory has nothing to sync: each boot starts an epoch of its own."""

    def peek(self) -> Held | None:
        return self._held[self._passed] if self._passed < len(self._held) else None

    def passed(self) -> None:
        self._held[self._passed].sent = True
        self._passed += 1

    def rewind(self) -> None:
        self._passed = 0

    async def settle(self, through: int) -> Settled:
        self.acked = max(self.acked, through)
        batches, readings, times = 0, 0, []
        while self._held and self._held[0].seq <= through:
            oldest = self._held[0]
            if oldest.last > through:  # the settled part of a hole; how many readings are left nobody can tell
                self._held[0] = replace(oldest, seq=through + 1, readings=None)
                break
            self._held.popleft()
            self._passed = max(0, self._passed - 1)
            if oldest.frame is not None:
                self.bytes -= len(oldest.frame) + OVERHEAD_BYTES
                batches += 1
                readings += oldest.readings or 0
                times.append(oldest.at)
        return Settled(batches, readings, times)

    async def renumber(self, epoch: int, log: str, fresh: bool, settled: Ranges) -> Settled:
        gone = [held for held in self._held if held.frame is not None and held.seq in settled]
        kept = [part for held in self._held for part in _unsettled(held, settled)]
        if fresh:
            kept, self.next = _from_one(kept)
            self.acked = 0
        self._held = deque(kept)
        self._passed = 0
        self.bytes = sum(len(held.frame) + OVERHEAD_BYTES for held in kept if held.frame is not None)
        self.epoch, self.log = epoch, log
        return Settled(len(gone), sum(held.readings or 0 for held in gone), [held.at for held in gone])

    async def forget_epoch(self) -> None:
        self.epoch = self.log = None
        self.acked = 0

    def set_aside(self, through: int, reason: str) -> bool:
        for at, held in enumerate(self._held):
            if held.frame is not None and held.seq > through:
                self.poison.append(held.frame)
                self._make_hole(at, reason)
                return True
        return False

    def _drop_oldest(self) -> bool:
        for at, held in enumerate(self._held):
            if held.frame is not None:
                if at == len(self._held) - 1:
                    return False  # the newest stays, however small the bound
                self._make_hole(at, "memory full")
                return True
        return False

    def _make_hole(self, at: int, reason: str) -> None:
        """Turn a batch into a hole, joined with the hole before it if both are on the same side of what was sent."""
        held = self._held[at]
        assert held.frame is not None
        self.bytes -= len(held.frame) + OVERHEAD_BYTES
        self.dropped += held.readings or 0
        hole = Held(held.seq, held.last, None, held.readings, held.at, reason, held.sent)
        before = self._held[at - 1] if at else None
        if before is None or not _joins(before, hole) or at == self._passed:
            self._held[at] = hole
            return
        readings = None if before.readings is None or hole.readings is None else before.readings + hole.readings
        self._held[at - 1] = replace(before, last=hole.last, readings=readings)
        del self._held[at]
        if at < self._passed:
            self._passed -= 1


def numbered(message: Numbered, seq: int) -> Numbered:
    """The same batch with the number ``seq``."""
    if isinstance(message, Row | Columns):
        return message._replace(seq=seq)
    return replace(message, seq=seq)


def declaration(hole: Held) -> Dropped:
    """What is said of a hole."""
    return Dropped(hole.seq, hole.last, hole.readings, hole.reason)


def _joins(before: Held, hole: Held) -> bool:
    return before.frame is None and before.reason == hole.reason and before.last + 1 == hole.seq


def _unsettled(held: Held, settled: Ranges) -> list[Held]:
    """What is left of a batch or a hole when the settled numbers are taken out."""
    if held.frame is not None:
        return [] if held.seq in settled else [held]
    left = settled.missing(held.seq, held.last).pairs()
    if left == [(held.seq, held.last)]:
        return [held]
    return [replace(held, seq=first, last=last, readings=None) for first, last in left]


def _from_one(kept: list[Held]) -> tuple[list[Held], int]:
    """Number what is held from 1, and the number after it. Holes are taken along, so that no drop is forgotten."""
    moved: list[Held] = []
    seq = 1
    for held in kept:
        frame = held.frame
        if frame is not None and held.seq != seq:
            frame = _renumbered(frame, seq)
        last = seq + held.last - held.seq
        moved.append(replace(held, seq=seq, last=last, frame=frame))
        seq = last + 1
    return moved, seq


def _renumbered(frame: bytes, seq: int) -> bytes:
    message: DeviceMessage = decode_device(frame)
    assert isinstance(message, Row | Columns | Event | Reported | Result)
    return encode(numbered(message, seq))
