"""Making the archive of a closed segment: written, synced, read back, renamed; only then the segment goes."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final
from zlib import compress, crc32

from hub.crashpoints import reach
from hub.journal.archive import BLOCK_BYTES, HEADER_SIZE, MAGIC, ArchivedSegment, Block, archive_path, trailer
from hub.journal.segments import WINDOW, SegmentReader, read_through, segment_path
from hub.ports import File, Files

LEVEL: Final = 1  # of zlib: rows shrink to 36 % at 68 MB/s; at 6 to 36 % too, at 21 MB/s


class ArchiveError(Exception):
    """What was written does not read back as it was: the segment stays as it is."""


def archive_segment(directory: Path, files: Files, first: int, following: int) -> Iterator[int]:
    """Put the archive of the closed segment ``first`` in its place; ``following`` is the first LSN after it. Blocks;
    gives the bytes of the segment dealt with, a block at a time, so that who calls can rest in between.

    OSError when the disk fails, ArchiveError when the archive does not read back: the segment is there as before, and
    it can be tried again. A crash at any point leaves the segment, or the archive, or both.
    """
    path, archive = segment_path(directory, first), archive_path(directory, first)
    copy = archive.with_suffix(".archive.tmp")
    _remove(files, copy)  # of an attempt that failed
    source = files.open(path)
    try:
        target = files.open(copy, create=True)
        try:
            yield from write_archive(source, target, first, following)
        finally:
            target.close()
    except (OSError, ArchiveError):
        _remove(files, copy)
        raise
    finally:
        source.close()
    reach("archive")
    files.rename(copy, archive)
    reach("archive")
    files.sync_directory(directory)
    reach("archive")
    files.remove(path)
    reach("archive")
    files.sync_directory(directory)


def write_archive(source: File, target: File, first: int, following: int) -> Iterator[int]:
    """Write all of an archive into ``target``, sync it and read it back; raises and gives as ``archive_segment``."""
    blocks: list[Block] = []
    target.append(MAGIC)
    at, whole = len(MAGIC), 0
    for lsn, offset, stop in _cuts(source, first, following):
        raw = read_through(source, offset, stop - offset)
        stored = compress(raw, LEVEL)
        block = Block(at, lsn, offset, len(raw), len(stored), 0)
        block = block._replace(crc=block.checksum(stored))
        target.append(block.header() + stored)
        blocks.append(block)
        at += HEADER_SIZE + len(stored)
        whole = crc32(raw, whole)
        yield stop
    size = blocks[-1].offset + blocks[-1].length if blocks else 0
    target.append(trailer(blocks, size))
    target.sync()
    back, again = ArchivedSegment(target), 0
    for number in range(len(back.blocks)):
        again = crc32(back.content(number), again)
        yield back.size()
    if back.flawed or again != whole or back.size() != size:
        raise ArchiveError(f"the archive of segment {first} does not read back as it was written")


class _Stops(SegmentReader):
    """Notes where intact records end."""

    def __init__(self, file: File, first: int, following: int) -> None:
        super().__init__(file, first, following=following)
        self.stops: list[tuple[int, int]] = []  # LSN, and the byte after it

    def _took(self, lsn: int, start: int, stop: int) -> None:
        super()._took(lsn, start, stop)
        self.stops.append((lsn, stop))


def _cuts(source: File, first: int, following: int) -> Iterator[tuple[int, int, int]]:
    """``(first LSN, start, stop)`` of every block: as many whole records as fit, all bytes of the segment in order, but
    for preallocated space. What is no record (damage) is kept as it is; what is larger than a block is cut where blocks
    end."""
    reader = _Stops(source, first, following)
    start, lsn = 0, first  # of the block
    fits, after = 0, first  # where the newest record in it ends, and the LSN that comes then
    more = True
    while more:
        more = bool(reader.read(WINDOW))
        if not more:
            reader.finish()
        for last, stop in reader.stops if more else [(following - 1, reader.end)]:
            if stop - start > BLOCK_BYTES and fits > start:
                yield lsn, start, fits
                start, lsn = fits, after
            while stop - start > BLOCK_BYTES:
                yield lsn, start, start + BLOCK_BYTES
                start += BLOCK_BYTES
            fits, after = stop, last + 1
        reader.stops.clear()
    if fits > start:
        yield lsn, start, fits


def _remove(files: Files, path: Path) -> None:
    if path.name in files.list(path.parent):
        files.remove(path)
