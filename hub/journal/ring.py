"""The tail of the journal in memory: companions of the newest records, bounded by bytes."""

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import Final

COMPANION_SIZE: Final = 700  # bytes of Python objects around the payload of a small batch, measured on a row of 3
KEPT_SHARE: Final = 7 / 8  # what stays when it is full: letting go of many at once costs less than one at a time


class Ring:
    """Companions by LSN, without holes; the oldest go first, durable or not. ``first``: of the oldest."""

    def __init__(self, limit: int, first: int) -> None:
        self.first = first
        self.size = 0  # bytes, estimated
        self.durable = first - 1  # followers see nothing beyond
        self._limit = limit
        self._companions: list[object] = []
        self._sizes: list[int] = []

    def __len__(self) -> int:
        return len(self._companions)

    def add(self, companion: object, size: int) -> None:
        """The record after the newest."""
        size += COMPANION_SIZE
        self._companions.append(companion)
        self._sizes.append(size)
        self.size += size
        if self.size > self._limit:
            self._let_go()

    def add_run(self, companions: Sequence[object], size: int) -> None:
        """The records after the newest, of so many bytes each."""
        size += COMPANION_SIZE
        self._companions += companions
        self._sizes += [size] * len(companions)
        self.size += size * len(companions)
        if self.size > self._limit:
            self._let_go()

    def restart(self, first: int) -> None:
        """Begin anew: the next record is ``first``."""
        self.first, self.size, self.durable = first, 0, first - 1
        self._companions.clear()
        self._sizes.clear()

    def take(self, after: int, limit: int, size: int) -> list[object] | None:
        """Durable ones after ``after``, one for each LSN: at most ``limit``, and (but for one) of ``size`` bytes; None
        when the oldest of these are gone."""
        start = after + 1 - self.first
        if start < 0:
            return None
        stop = min(start + limit, self.durable + 1 - self.first)
        sizes = self._sizes[start:stop]
        if sum(sizes) > size:  # seldom: a plain sum costs a third of the running one
            stop = start + max(1, bisect_right(list(accumulate(sizes)), size))
        return self._companions[start:stop]

    def _let_go(self) -> None:
        target, count, most = self._limit * KEPT_SHARE, 0, len(self._companions)
        while self.size > target and count < most:
            self.size -= self._sizes[count]
            count += 1
        del self._companions[:count]
        del self._sizes[:count]
        self.first += count
