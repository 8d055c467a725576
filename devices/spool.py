"""What a device keeps until the hub has settled it. The spool gives the numbers, and keeps with them what P1 needs."""

from typing import Final, Protocol

from devices.line import Held, Line, Numbered, Settled
from hub.wire.messages import Dropped
from hub.wire.ranges import Ranges

MEMORY_BYTES: Final = 4 * 1024 * 1024  # about four hours of a row a second


class SpoolError(Exception):
    """The spool cannot be used; the text says why and what to do."""


class Spool(Protocol):
    """Numbers batches and keeps them, in order, until they are settled. One spool belongs to one device."""

    epoch: int | None
    log: str | None
    acked: int
    next: int
    dropped: int  # readings, by overflow or set aside
    found: int  # readings that were in it when it was opened
    suspect: tuple[int, int] | None  # epoch, and what was settled, when the hub closed over what came next (P11)
    trouble: str | None  # what keeps it from writing, while it cannot

    @property
    def first(self) -> int:
        """The oldest number held; ``next`` when nothing is held."""

    @property
    def unsent(self) -> bool:
        """Is there anything that has not been sent on this link?"""

    async def open(self) -> None:
        """Find out what is there; before anything else. Raises SpoolError."""

    async def run(self) -> None:
        """Write behind, until cancelled; from ``open`` to ``close``."""

    async def close(self) -> None:
        """All that is held is to be there when it is opened again."""

    def append(self, message: Numbered, readings: int, at: float) -> Held:
        """Give the batch its number and keep it. May drop the oldest batches, which become a declared hole."""

    async def flush(self) -> None:
        """Return when nothing that is held now would be forgotten, were the device to stop at once."""

    async def fetch(self) -> None:
        """Have what ``peek`` will give at hand."""

    def peek(self) -> Held | None:
        """The oldest that has not been sent on this link; None when there is none, or it has to be fetched."""

    @property
    def ready(self) -> bool:
        """Whether what ``peek`` gives now may leave without waiting for a disk."""

    async def spend(self, held: Held) -> None:
        """Return when its numbers are spent for good (P3): only then may it leave, or be declared dropped."""

    def passed(self) -> None:
        """What ``peek`` gave has been sent on this link."""

    def rewind(self) -> None:
        """A new link: nothing has been sent on it yet."""

    async def settle(self, through: int) -> Settled:
        """Let go of all up to ``through``. What is on disk is removed only once the ack is durable (P3)."""

    async def renumber(self, epoch: int, log: str, fresh: bool, settled: Ranges) -> Settled:
        """Let go of what is settled; in a fresh epoch number the rest from 1, durably, before any of it leaves (P2)."""

    async def forget_epoch(self) -> None:
        """The numbering is not to be trusted (4010): the next hello asks for a fresh one."""

    def suspected(self, at: tuple[int, int] | None) -> None:
        """Keep this as ``suspect``, over a restart, too."""

    def set_aside(self, through: int, reason: str) -> bool:
        """Turn the batch next after ``through`` into a hole (P11); False when there is none."""


class MemorySpool(Line):
    """A spool in memory, bounded by bytes: a new epoch at each boot, and the oldest batches go when it is full."""

    found = 0
    trouble: str | None = None

    def __init__(self, limit: int = MEMORY_BYTES) -> None:
        super().__init__()
        self._limit = limit

    async def open(self) -> None:
        """Memory begins empty."""

    async def run(self) -> None:
        """Memory has nothing to write."""

    async def close(self) -> None:
        """Memory ends with the process."""

    def append(self, message: Numbered, readings: int, at: float) -> Held:
        held = self._add(message, readings, at)
        while self.bytes > self._limit and self._drop_oldest():
            pass
        return held

    async def flush(self) -> None:
        """Memory forgets."""

    async def fetch(self) -> None:
        """All of it is at hand."""

    @property
    def ready(self) -> bool:
        return self.unsent

    async def spend(self, held: Held) -> None:
        """Memory has nothing to sync: each boot starts an epoch of its own."""

    async def settle(self, through: int) -> Settled:
        return self._let_go(through)

    async def renumber(self, epoch: int, log: str, fresh: bool, settled: Ranges) -> Settled:
        gone = self._take_out(settled)
        if fresh:
            self._number_from_one()
        self.epoch, self.log = epoch, log
        return gone

    async def forget_epoch(self) -> None:
        self.epoch = self.log = None
        self.acked = 0

    def _drop_oldest(self) -> bool:
        for at, item in enumerate(self._held):
            if isinstance(item, Held) and item.frame is not None:
                if at == len(self._held) - 1:
                    return False  # the newest stays, however small the bound
                self._make_hole(at, "memory full")
                return True
        return False


def declaration(hole: Held) -> Dropped:
    """What is said of a hole."""
    return Dropped(hole.seq, hole.last, hole.readings, hole.reason)


__all__ = ["MEMORY_BYTES", "Held", "MemorySpool", "Numbered", "Settled", "Spool", "SpoolError", "declaration"]
