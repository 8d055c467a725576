"""Whether SQLite's log beside the state file breaks off before its end: SQLite takes the first frame that is not as it
was written for the end of the log, and says nothing of what was committed after it.

Formats: https://www.sqlite.org/fileformat2.html#the_write_ahead_log and https://www.sqlite.org/walformat.html.
"""

import struct
from pathlib import Path
from typing import Final

HEADER: Final = 32  # bytes
FRAME_HEADER: Final = 24  # bytes, before each page
PAGE_SIZE: Final = 16  # its offset in the state file itself; 1 stands for LARGEST_PAGE
LARGEST_PAGE: Final = 65_536  # bytes
VALID_FRAMES: Final = 16  # offset of their number in the index, in the machine's byte order
#: Of one, nobody can tell damage from a commit that a power cut tore apart before it was synced, and so never told. A
#: second one was begun when the first had been synced.
CERTAIN: Final = 2


def forgotten(path: Path) -> int:
    """How many commits are in the log of the state file ``path`` that SQLite does not see. Call it with the file open,
    when it has been read and not been written: then the index beside it says where SQLite saw the end."""
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
        salts = header[16:24]
        if not _intact(header):  # then the frames' own tell which of them belong together
            salts = file.read(FRAME_HEADER)[8:16]
        found, at = 0, HEADER + valid * size
        while True:
            file.seek(at)
            frame = file.read(FRAME_HEADER)
            if len(frame) < FRAME_HEADER:
                return found
            if frame[8:16] == salts and any(frame[4:8]):  # the size of the database: only commits say it
                found += 1
            at += size


def _intact(header: bytes) -> bool:
    """Whether its checksum is right."""
    order = ">" if header[3] & 1 else "<"
    first = second = 0
    for one, other in struct.iter_unpack(f"{order}II", header[:24]):
        first = (first + one + second) & 0xFFFFFFFF
        second = (second + other + first) & 0xFFFFFFFF
    return (first, second) == struct.unpack(">II", header[24:32])
