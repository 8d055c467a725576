"""Sets of whole numbers as sorted, disjoint, inclusive ranges: seqs held, lost, dropped."""

from bisect import bisect_left
from collections.abc import Iterable, Iterator


class Ranges:
    """A mutable set of whole numbers, kept as inclusive ranges ``(first, last)``; small when the set is dense."""

    __slots__ = ("_pairs",)

    def __init__(self, pairs: Iterable[tuple[int, int]] = ()) -> None:
        self._pairs: list[tuple[int, int]] = []
        for first, last in pairs:
            self.add(first, last)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return iter(self._pairs)

    def __len__(self) -> int:
        """How many ranges there are (not how many numbers: see ``count``)."""
        return len(self._pairs)

    def __bool__(self) -> bool:
        return bool(self._pairs)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Ranges) and self._pairs == other._pairs

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Ranges({self._pairs!r})"

    def __contains__(self, number: int) -> bool:
        at = bisect_left(self._pairs, (number + 1,)) - 1
        return at >= 0 and self._pairs[at][1] >= number

    @property
    def count(self) -> int:
        """How many numbers are in the set."""
        return sum(last - first + 1 for first, last in self._pairs)

    @property
    def highest(self) -> int | None:
        return self._pairs[-1][1] if self._pairs else None

    def next_free(self, number: int) -> int:
        """The first number from ``number`` up that is not in the set."""
        at = bisect_left(self._pairs, (number + 1,)) - 1
        return self._pairs[at][1] + 1 if at >= 0 and self._pairs[at][1] >= number else number

    def pairs(self) -> list[tuple[int, int]]:
        """A copy, for the wire and for records."""
        return list(self._pairs)

    def add(self, first: int, last: int) -> None:
        """Take in ``first..last`` (inclusive), joining what touches."""
        if last < first:
            return
        pairs = self._pairs
        low = bisect_left(pairs, (first,))
        if low and pairs[low - 1][1] >= first - 1:
            low -= 1
        high = bisect_left(pairs, (last + 2,))
        if low < high:
            first = min(first, pairs[low][0])
            last = max(last, pairs[high - 1][1])
        pairs[low:high] = [(first, last)]

    def remove(self, first: int, last: int) -> None:
        """Leave out ``first..last`` (inclusive)."""
        if last < first:
            return
        low, high = self._touching(first, last)
        if low == high:
            return
        (begin, _), (_, end) = self._pairs[low], self._pairs[high - 1]
        rest = [(begin, first - 1)] if begin < first else []
        if end > last:
            rest.append((last + 1, end))
        self._pairs[low:high] = rest

    def missing(self, first: int, last: int) -> "Ranges":
        """The numbers of ``first..last`` that are not in the set."""
        gap = Ranges([(first, last)])
        low, high = self._touching(first, last)
        for begin, end in self._pairs[low:high]:
            gap.remove(begin, end)
        return gap

    def _touching(self, first: int, last: int) -> tuple[int, int]:
        """Which pairs have numbers of ``first..last`` in them, as a slice."""
        low = bisect_left(self._pairs, (first,))
        if low and self._pairs[low - 1][1] >= first:
            low -= 1
        return low, bisect_left(self._pairs, (last + 1,))

    def copy(self) -> "Ranges":
        twin = Ranges.__new__(Ranges)
        twin._pairs = self._pairs[:]
        return twin
