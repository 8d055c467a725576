"""When a segment began, as far as that is believed: what is in the segments before it came no later."""

from collections.abc import Iterator
from pathlib import Path

from hub.ingest.marks import newest_in
from hub.ingest.trust import FIRST
from hub.journal.archive import open_segment
from hub.journal.segments import BLOCK, SegmentReader
from hub.ports import Files
from hub.wire.records import marks_snapshot


class Beginnings:
    """Looks in ``firsts``, the segments after one, for a time that all of this one came by; go through ``steps``.
    ``time``: us, null when there is none that is not after ``now``.

    Marks have the newest receive time that was believed. It stands still while the clock is doubted, so it says when a
    segment began only if it is another than right after the one before.
    """

    def __init__(self) -> None:
        self.time: int | None = None

    def steps(self, directory: Path, files: Files, firsts: list[int], now: int) -> Iterator[None]:
        """A segment at a time. Blocks."""
        after = 0
        for first in firsts:
            newest = _newest(directory, files, first)
            after = after or newest
            if newest != after and FIRST <= newest <= now:
                self.time = newest
                return
            yield


def _newest(directory: Path, files: Files, first: int) -> int:
    """Of the marks that open a segment; 0 where they are damaged."""
    reader = SegmentReader(open_segment(directory, files, first), first)
    try:
        records = reader.read(BLOCK)
    finally:
        reader.close()
    snapshot = marks_snapshot(records[0][1]) if records and records[0][0] == first else None
    return 0 if snapshot is None else newest_in(snapshot)
