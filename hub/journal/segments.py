"""Segment files: their names, and a reader that takes what is intact and tells what is not."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hub.journal.framing import HEADER, HEADER_SIZE, MAGIC, MARK, MAX_PAYLOAD, STUFFED_MAGIC, intact, unstuffed
from hub.ports import File, Files

WINDOW: Final = 1024 * 1024  # bytes read at once where the caller does not say
BLOCK: Final = 4096  # bytes; what a disk fails to read, it fails to read in blocks of this size
FILL: Final = b"\xff"  # stands for bytes that are not to be had: zeros are what preallocated space reads as
MAX_LSN: Final = 2**63 - 1
_NAME: Final = re.compile(r"(\d{20})\.(?:journal|archive)")
_MAGICS: Final = frozenset({MAGIC, STUFFED_MAGIC})


@dataclass(frozen=True, slots=True)
class Damage:
    """Records that are not there any more: the LSNs ``first_lsn..last_lsn`` (none when it is below ``first_lsn``).

    ``last_lsn`` is null at the end of the last segment, where nothing tells how many there were: most often this is
    what a crash left of records that were never durable. ``offset`` and ``length`` are the bytes in the file of
    ``segment`` (its first LSN); length 0 where the bytes are gone too.
    """

    segment: int
    offset: int
    length: int
    first_lsn: int
    last_lsn: int | None

    @property
    def torn(self) -> bool:
        """At the journal's end: as a crash leaves it. Nothing acked is missing, if syncs on this disk hold."""
        return self.last_lsn is None


def segment_path(directory: Path, first: int) -> Path:
    """The file of the segment whose first record is ``first``."""
    return directory / f"{first:020d}.journal"


def segments(directory: Path, files: Files) -> list[int]:
    """First LSNs of the segments there, plain or archived, ascending."""
    found = (_NAME.fullmatch(name) for name in files.list(directory))
    return sorted({int(name[1]) for name in found if name})


def read_through(file: File, offset: int, size: int) -> bytes:
    """Read what is readable; FILL stands for the blocks that the disk does not give."""
    try:
        return file.read(offset, size)
    except OSError:
        if size <= BLOCK:
            return FILL * size
        return b"".join(
            read_through(file, at, min(BLOCK, offset + size - at)) for at in range(offset, offset + size, BLOCK)
        )


class SegmentReader:
    """Reads the intact records of one segment in order, up to ``end`` bytes, and resynchronises after damage.

    Blocks: make its calls through the worker. ``following``: first LSN of the segment after it, if there is one.
    """

    def __init__(self, file: File, first: int, *, end: int | None = None, following: int | None = None) -> None:
        self.first = first
        self.end = file.size() if end is None else end
        self.following = following
        self.damage: list[Damage] = []
        self.intact_end = 0  # bytes; where the last intact record ends
        self.last: int | None = None  # LSN of the last intact record
        self.file = file  # may be opened anew between reads
        self._at = 0
        self._expected = first
        self._hole: int | None = None  # where the damage began that the reader is in
        self._need = 0  # bytes of a record that the last window held only the beginning of

    def read(self, size: int = WINDOW) -> list[tuple[int, bytes]]:
        """The next records, of about ``size`` bytes; an empty list at ``end``."""
        records: list[tuple[int, bytes]] = []
        while not records and self._at < self.end:
            wanted = min(max(size, self._need, BLOCK), self.end - self._at)
            data = read_through(self.file, self._at, wanted)
            final = self._at + len(data) >= self.end or len(data) < wanted
            self._at += self._parse(data, final, records)
            if final and self._need == 0:
                self._at = max(self._at, self.end)
        return records

    def finish(self) -> None:
        """The segment has been read to its end: tell what is missing there. Zeros after its last record are space that
        was preallocated: ``end`` is before them then."""
        if self._hole is not None and self._blank(self._hole):
            self.end, self._hole = self._hole, None
        length = 0 if self._hole is None else self.end - self._hole
        if length or (self.following is not None and self.following > self._expected):
            last = None if self.following is None else self.following - 1
            self.damage.append(Damage(self.first, self.end - length, length, self._expected, last))
        self._hole = None

    def close(self) -> None:
        self.file.close()

    def _blank(self, start: int) -> bool:
        """Whether nothing was ever written from ``start`` on, and no record is missing there."""
        if self.last is None or self.following not in (None, self._expected):
            return False
        return not any(
            read_through(self.file, at, min(WINDOW, self.end - at)).strip(b"\0")
            for at in range(start, self.end, WINDOW)
        )

    def _parse(self, data: bytes, final: bool, records: list[tuple[int, bytes]]) -> int:
        """Take the records of ``data``; how many bytes are dealt with. ``final``: nothing comes after these."""
        at, size = 0, len(data)
        self._need = 0
        ceiling = MAX_LSN if self.following is None else self.following - 1
        while size - at >= HEADER_SIZE:
            magic, length, lsn, crc = HEADER.unpack_from(data, at)
            if magic in _MAGICS and self._expected <= lsn <= ceiling and length <= MAX_PAYLOAD:
                stop = at + HEADER_SIZE + length
                if stop > size and not final and self._at + stop <= self.end:
                    self._need = stop - at
                    return at
                stored = data[at + HEADER_SIZE : stop]
                if stop <= size and intact(data, at, stored, crc):
                    self._took(lsn, self._at + at, self._at + stop)
                    records.append((lsn, unstuffed(magic, stored)))
                    at = stop
                    continue
            if self._hole is None:
                self._hole = self._at + at
            found = data.find(MARK, at + 1)
            at = found if found >= 0 else max(at + 1, size - len(MARK) + 1)
        if final and at < size:
            if self._hole is None:
                self._hole = self._at + at
            at = size
        return at

    def _took(self, lsn: int, start: int, stop: int) -> None:
        if self._hole is not None or lsn != self._expected:
            hole = start if self._hole is None else self._hole
            self.damage.append(Damage(self.first, hole, start - hole, self._expected, lsn - 1))
            self._hole = None
        self._expected = lsn + 1
        self.last = lsn
        self.intact_end = stop
