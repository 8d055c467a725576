"""Which segments of the journal are on disk, as of its last sync, and whether somebody may be reading them."""

from typing import Final

import trio

PIN_SECONDS: Final = 600.0  # a proof reads about 60 GB in that time


class OnDisk:
    """Segments by their first LSN, ascending; the newest is the one that is written."""

    def __init__(self) -> None:
        self.segments: list[int] = []
        self.newest_size = 0  # durable bytes of the newest
        self._pinned = float("-inf")  # when somebody asked last that nothing be collected, on trio's clock

    def segment_of(self, lsn: int) -> int:
        """The segment that has the record, or the oldest there is."""
        return max((first for first in self.segments if first <= lsn), default=self.segments[0])

    def extent(self, first: int) -> tuple[int | None, int | None]:
        """The segment after ``first``, and how many bytes of ``first`` are durable (None: all)."""
        following = next((other for other in self.segments if other > first), None)
        return following, None if following is not None else self.newest_size

    def closed(self) -> list[tuple[int, int]]:
        """The segments that are whole and durable: first LSN, and that of the segment after it."""
        return list(zip(self.segments, self.segments[1:], strict=False))

    def collected(self, first: int) -> None:
        """The segment ``first``, a closed one, is no more."""
        self.segments.remove(first)

    def pin(self) -> None:
        """What is there now stays for PIN_SECONDS, for somebody who reads the files."""
        self._pinned = trio.current_time()

    @property
    def pinned(self) -> bool:
        """Whether somebody may be reading the files: nothing is to be collected, and nothing to expire."""
        return trio.current_time() < self._pinned + PIN_SECONDS
