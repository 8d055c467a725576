"""Archived segments: the bytes of a closed segment, compressed in blocks, read back as if it were the segment itself.

``magic 8 | block ... | index | footer``. A block is a header and what zlib made of at most 64 KiB of the segment, cut
between records (a record larger than that has blocks of its own). The index repeats all headers, so that a damaged
header costs nothing; where the index is damaged or cut off, the headers are walked. A damaged block reads as
FILL: the reader of segments then tells which records were in it.
"""

from bisect import bisect_right
from collections.abc import Iterator
from pathlib import Path
from struct import Struct
from typing import Final, NamedTuple
from zlib import crc32, decompressobj
from zlib import error as ZlibError

from hub.journal.segments import FILL, WINDOW, read_through, segment_path
from hub.ports import File, Files

BLOCK_BYTES: Final = 64 * 1024  # of the segment in a block: what one flipped bit may cost
MAGIC: Final = b"TJARCH1\n"
MARK: Final = b"\xf5TK1"  # opens the header of a block
END: Final = b"\xf5TKE"
SUFFIX: Final = ".archive"
_HEAD: Final = Struct("<4sQQIII")  # mark, first LSN, offset in the segment, bytes there, bytes here, checksum
_CRC: Final = Struct("<I")
HEADER_SIZE: Final = _HEAD.size + _CRC.size
_FOOTER: Final = Struct("<IQI4s")  # blocks, bytes of the segment, checksum of index and these, mark


class Block(NamedTuple):
    """Where a block stands. ``at``: of its header in the archive; ``offset`` and ``length``: in the segment."""

    at: int
    first_lsn: int
    offset: int
    length: int
    stored: int
    crc: int

    def header(self) -> bytes:
        """As it stands before the block, and in the index."""
        head = _HEAD.pack(MARK, self.first_lsn, self.offset, self.length, self.stored, self.crc)
        return head + _CRC.pack(crc32(head))

    def checksum(self, stored: bytes) -> int:
        """What ``crc`` has to be for these bytes."""
        return crc32(stored, crc32(_HEAD.pack(MARK, self.first_lsn, self.offset, self.length, self.stored, 0)))


def archive_path(directory: Path, first: int) -> Path:
    """The archive of the segment whose first record is ``first``."""
    return segment_path(directory, first).with_suffix(SUFFIX)


def open_segment(directory: Path, files: Files, first: int) -> File:
    """The segment, plain or (where it was archived) as its archive gives it back; FileNotFoundError without either.
    Blocks. A plain one counts: beside it an archive may be unfinished business of a process that was killed."""
    try:
        return files.open(segment_path(directory, first))
    except FileNotFoundError:
        return ArchivedSegment(files.open(archive_path(directory, first)))


class ArchivedSegment:
    """A segment read out of its archive. It cannot be changed. Every call blocks.

    ``flawed``: something of the archive was found damaged, in a block or where a copy exists.
    """

    def __init__(self, file: File) -> None:
        self._file = file
        self.flawed = read_through(file, 0, len(MAGIC)) != MAGIC
        found = _indexed(file)
        if found is None:
            self.flawed = True
            found = list(_walked(file))
        self.blocks = found
        self._offsets = [block.offset for block in found]
        self._size = found[-1].offset + found[-1].length if found else 0
        self._last: tuple[int, bytes] = (-1, b"")  # the block that was read last: number and content

    def read(self, offset: int, size: int) -> bytes:
        """As of the segment's own file; FILL stands for what is damaged."""
        stop = min(offset + size, self._size)
        pieces: list[bytes] = []
        while offset < stop:
            number = bisect_right(self._offsets, offset) - 1
            block = self.blocks[number] if number >= 0 else None
            if block is not None and offset < block.offset + block.length:
                start = offset - block.offset
                piece = self.content(number)[start : start + stop - offset]
            else:  # nothing is known of these bytes
                following = self._offsets[number + 1] if number + 1 < len(self._offsets) else stop
                piece = FILL * (min(stop, following) - offset)
            pieces.append(piece)
            offset += len(piece)
        return b"".join(pieces)

    def content(self, number: int) -> bytes:
        """The segment's bytes in a block; FILL when it is damaged."""
        if self._last[0] != number:
            block = self.blocks[number]
            data = read_through(self._file, block.at, HEADER_SIZE + block.stored)
            if data[:HEADER_SIZE] != block.header():
                self.flawed = True
            raw = _inflated(block, data[HEADER_SIZE:])
            if raw is None:
                self.flawed = True
            self._last = number, FILL * block.length if raw is None else raw
        return self._last[1]

    def size(self) -> int:
        return self._size

    def close(self) -> None:
        self._file.close()

    def append(self, data: bytes) -> None:
        raise AssertionError("an archive is never appended to")

    def truncate(self, size: int) -> None:
        raise AssertionError("an archive is never cut")

    def allocate(self, size: int) -> None:
        raise AssertionError("an archive never grows")

    def preallocate(self, size: int) -> None:
        raise AssertionError("an archive never grows")

    def sync(self) -> None:
        """It was synced before it got its name."""


def trailer(blocks: list[Block], size: int) -> bytes:
    """Index and footer of an archive of ``size`` bytes of a segment."""
    index = b"".join(block.header() for block in blocks)
    return index + _FOOTER.pack(len(blocks), size, _index_checksum(index, len(blocks), size), END)


def _index_checksum(index: bytes, count: int, size: int) -> int:
    return crc32(index, crc32(_FOOTER.pack(count, size, 0, END)))


def _inflated(block: Block, stored: bytes) -> bytes | None:
    if len(stored) != block.stored or block.checksum(stored) != block.crc:
        return None
    try:
        raw = decompressobj().decompress(stored, BLOCK_BYTES + 1)
    except ZlibError:
        return None
    return raw if len(raw) == block.length else None


def _block(header: bytes, at: int) -> Block | None:
    if len(header) != HEADER_SIZE or header[:4] != MARK:
        return None
    if crc32(header[: _HEAD.size]) != _CRC.unpack_from(header, _HEAD.size)[0]:
        return None
    return Block(at, *_HEAD.unpack_from(header)[1:])


def _indexed(file: File) -> list[Block] | None:
    """The blocks as the index has them; None when it is damaged or cut off."""
    end = file.size() - _FOOTER.size
    if end < len(MAGIC):
        return None
    count, size, crc, mark = _FOOTER.unpack(read_through(file, end, _FOOTER.size))
    begin = end - count * HEADER_SIZE
    if mark != END or begin < len(MAGIC):
        return None
    index = read_through(file, begin, end - begin)
    if _index_checksum(index, count, size) != crc:
        return None
    blocks, at = [], len(MAGIC)
    for start in range(0, len(index), HEADER_SIZE):
        block = _block(index[start : start + HEADER_SIZE], at)
        if block is None:
            return None
        blocks.append(block)
        at += HEADER_SIZE + block.stored
    return blocks


def _walked(file: File) -> Iterator[Block]:
    """The blocks whose headers are intact, from the beginning; after damage from the next header that is one."""
    at, offset, end = len(MAGIC), 0, file.size()
    while at + HEADER_SIZE <= end:
        block = _block(read_through(file, at, HEADER_SIZE), at)
        if block is None:
            window = read_through(file, at + 1, min(WINDOW, end - at - 1))
            found = window.find(MARK)
            at += 1 + (found if found >= 0 else max(1, len(window) - len(MARK) + 1))
        elif block.offset < offset:
            return  # the index: blocks never go back
        else:
            yield block
            at += HEADER_SIZE + block.stored
            offset = block.offset + block.length
