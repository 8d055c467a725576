"""The tail of the journal in memory: companions of the newest records, bounded by bytes."""

from typing import Final

COMPANION_SIZE: Final = 700  # bytes of Python objects around the payload of a small batch, measured on a row of 3
KEPT_SHARE: Final = 7 / 8  # what stays when it is full: letting go of many at once costs less than one at a time


class Ring:
    """Companions by LSN, without holes; the oldest go first. ``first``: LSN of the oldest."""

    def __init__(self, limit: int, first: int) -> None:
        self.first = first
        self.size = 0  # bytes, estimated
        self._limit = limit
        self._entries: list[tuple[int, object]] = []
        self._sizes: list[int] = []

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, lsn: int, companion: object, size: int) -> None:
        """The record after the newest."""
        size += COMPANION_SIZE
        self._entries.append((lsn, companion))
        self._sizes.append(size)
        self.size += size
        if self.size > self._limit:
            self._let_go()

    def restart(self, first: int) -> None:
        """Begin anew: the next record is ``first``."""
        self.first, self.size = first, 0
        self._entries.clear()
        self._sizes.clear()

    def take(self, after: int, through: int, limit: int) -> list[tuple[int, object]] | None:
        """At most ``limit`` entries of ``after + 1..through``; None when the oldest of these are gone."""
        start = after + 1 - self.first
        if start < 0:
            return None
        return self._entries[start : min(start + limit, through + 1 - self.first)]

    def _let_go(self) -> None:
        target, count = self._limit * KEPT_SHARE, 0
        while self.size > target and count < len(self._sizes):
            self.size -= self._sizes[count]
            count += 1
        del self._entries[:count]
        del self._sizes[:count]
        self.first += count
