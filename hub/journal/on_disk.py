"""Which segments of the journal are on disk, as of its last sync, and whether somebody may be reading them."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import trio

PIN_SECONDS: Final = 600.0  # a proof reads about 60 GB in that time
PINS: Final = 32  # at once: proofs and backups are few, and who pins in a loop must not grow the hub's memory


class TooManyPins(Exception):
    """PINS hold already; the text says what to do."""


class OnDisk:
    """Segments by their first LSN, ascending; the newest is the one that is written."""

    def __init__(self) -> None:
        self.segments: list[int] = []
        self.newest_size = 0  # durable bytes of the newest
        self._pins: dict[
            int, tuple[float, str]
        ] = {}  # until when (trio's clock) and for whom; also some that have ended
        self._given = 0  # the last id
        self._holders = 0  # in this process, by ``held``

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

    def pin(self, holder: str) -> int:
        """What is there now stays until ``holder`` releases it, or for PIN_SECONDS: for another process that reads the
        files, and may be killed before it says that it has ended. The pin's id, never given twice; TooManyPins."""
        now = trio.current_time()
        self._pins = {pin: (until, whose) for pin, (until, whose) in self._pins.items() if now < until}
        if len(self._pins) >= PINS:
            raise TooManyPins(
                f"{PINS} proofs or backups read the journal already: try again when one has ended (one that was "
                f"killed holds for {PIN_SECONDS / 60:.0f} minutes)"
            )
        self._given += 1
        self._pins[self._given] = now + PIN_SECONDS, holder
        return self._given

    def release(self, pin: int, holder: str) -> None:
        """``holder`` reads no more; of a pin that is another's, unknown, or has ended, nothing comes."""
        if pin in self._pins and self._pins[pin][1] == holder:
            del self._pins[pin]

    @contextmanager
    def held(self) -> Iterator[None]:
        """As a pin, for who reads in this process: for as long as that takes."""
        self._holders += 1
        try:
            yield
        finally:
            self._holders -= 1

    @property
    def pinned(self) -> bool:
        """Whether somebody may be reading the files: nothing is to be collected, and nothing to expire."""
        now = trio.current_time()
        return self._holders > 0 or any(now < until for until, _ in self._pins.values())
