"""Whether SQLite's log beside the state file breaks off before its end: SQLite takes the first frame that is not as it
was written for the end of the log, and says nothing of what was committed after it.

Formats: https://www.sqlite.org/fileformat2.html#the_write_ahead_log and https://www.sqlite.org/walformat.html.
"""

import struct
import sys
from pathlib import Path
from typing import Final

HEADER: Final = 32  # bytes
FRAME_HEADER: Final = 24  # bytes, before each page
PAGE_SIZE: Final = 16  # its offset in the state file itself; 1 stands for LARGEST_PAGE
LARGEST_PAGE: Final = 65_536  # bytes
VALID_FRAMES: Final = 16  # offset of their number in the index, in the machine's byte order
ORDER: Final = "<" if sys.byteorder == "little" else ">"  # of checksums: a new log is written in the machine's
#: Of one, nobody can tell damage from a commit that a power cut tore apart before it was synced, and so never told. A
#: second one was begun when the first had been synced.
CERTAIN: Final = 2


def forgotten(path: Path) -> int:
    """How many commits in a row are in the log of the state file ``path`` that SQLite does not see. Call it with the
    file open, when it has been read and not been written: then the index beside it says where SQLite saw the end.

    In a row means that each frame's checksum goes on from that of the frame before. What is left there of commits that
    failed (a sync did), and that a shorter one was written over, is one commit in a row each.
    """
    log, index = path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")
    if not log.exists() or not index.exists():
        return 0
    with index.open("rb") as file:
        file.seek(VALID_FRAMES)
        (valid,) = struct.unpack("=I", file.read(4))
    with path.open("rb") as file:
        file.seek(PAGE_SIZE)
        page = int.from_bytes(file.read(2))
    size = FRAME_HEADER + (page if page > 1 else LARGEST_PAGE)
    with log.open("rb") as file:
        header = file.read(HEADER)
        if len(header) < HEADER:
            return 0
        order, salts = (">" if header[3] & 1 else "<"), header[16:24]
        if _checksum(header[:24], order) != header[24:32]:  # then the frames' own tell which of them belong together
            salts, order = file.read(FRAME_HEADER)[8:16], ORDER
        file.seek(HEADER + valid * size)
        most = row = 0
        before: bytes | None = None  # the checksum in the frame before, where that is one of these
        while len(frame := file.read(size)) == size:
            checksum = frame[16:24]
            if frame[8:16] != salts:
                before = None
                continue
            if before is None or _checksum(frame[:8] + frame[24:], order, before) != checksum:
                row = 0
            row += any(frame[4:8])  # the size of the database: only commits say it
            most, before = max(most, row), checksum
        return most


def _checksum(content: bytes, order: str, before: bytes = bytes(8)) -> bytes:
    """SQLite's, going on from another one."""
    first, second = struct.unpack(">II", before)
    for one, other in struct.iter_unpack(f"{order}II", content):
        first = (first + one + second) & 0xFFFFFFFF
        second = (second + other + first) & 0xFFFFFFFF
    return struct.pack(">II", first, second)
