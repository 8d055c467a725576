"""Looking for another copy of a record that is damaged where it was needed."""

from collections.abc import Callable
from pathlib import Path

from hub.journal.archive import open_segment
from hub.journal.segments import SegmentReader, segments
from hub.ports import Files


class Search:
    """``wanted(key, lsn, payload)`` says which record is meant by a key. What was not found is not looked for again."""

    def __init__(self, directory: Path, files: Files, wanted: Callable[[int, int, bytes], bool]) -> None:
        self._directory = directory
        self._files = files
        self._wanted = wanted
        self._nowhere: set[int] = set()

    def find(self, key: int, near: int) -> tuple[int, bytes] | None:
        """LSN and payload of a copy, which is not below the LSN ``key``: the segments nearest to ``near`` first, and
        of these the older ones. Blocks; it may have to read all the segments from ``key`` on."""
        if key in self._nowhere:
            return None
        firsts = segments(self._directory, self._files)
        ends = [*firsts[1:], None]
        candidates = [first for first, end in zip(firsts, ends, strict=True) if end is None or end > key]
        for first in sorted(candidates, key=lambda first: (first > near, abs(first - near))):
            if (found := self._in_segment(first, key)) is not None:
                return found
        self._nowhere.add(key)
        return None

    def _in_segment(self, first: int, key: int) -> tuple[int, bytes] | None:
        try:
            file = open_segment(self._directory, self._files, first)
        except FileNotFoundError:
            return None  # collected meanwhile
        reader = SegmentReader(file, first)
        try:
            while chunk := reader.read():
                for lsn, payload in chunk:
                    if self._wanted(key, lsn, payload):
                        return lsn, payload
        finally:
            reader.close()
        return None
