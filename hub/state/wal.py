"""Whether SQLite's log beside the state file breaks off before its end: SQLite takes the first frame that is not as it
was written for the end of the log, and says nothing of what was committed after it.

Format: https://www.sqlite.org/fileformat2.html#the_write_ahead_log.
"""

import struct
import sys
from functools import cache
from pathlib import Path
from typing import BinaryIO, Final

import numpy as np
import numpy.typing as npt

HEADER: Final = 32  # bytes
FRAME_HEADER: Final = 24  # bytes, before each page
PAGE_SIZE: Final = 16  # its offset in the state file itself; 1 stands for LARGEST_PAGE
LARGEST_PAGE: Final = 65_536  # bytes
PAGES: Final = frozenset(2**power for power in range(9, 17))  # bytes: the sizes there are
MODULO: Final = 2**32 - 1
ORDER: Final = "<" if sys.byteorder == "little" else ">"  # of checksums: a new log is written in the machine's
#: Of one, nobody can tell damage from a commit that a power cut tore apart before it was synced, and so never told. A
#: second one was begun when the first had been synced.
CERTAIN: Final = 2


def forgotten(path: Path) -> int:
    """How many commits in a row are in the log of the state file ``path`` that SQLite will not see. Blocks; nobody may
    be writing the file.

    Call it before this process opens the file with SQLite: a descriptor that is closed takes all locks of its process
    on the file with it (POSIX), also SQLite's own. And SQLite must not have been there since the damage: it takes in
    what is before, and removes the log.

    In a row means that each frame's checksum goes on from that of the frame before. What is left there of commits that
    failed (a sync did), and that a shorter one was written over, is one commit in a row each.
    """
    try:
        with path.open("rb") as file:
            file.seek(PAGE_SIZE)
            page = int.from_bytes(file.read(2))
        log = path.with_name(f"{path.name}-wal").open("rb")
    except FileNotFoundError:
        return 0
    with log:
        header = log.read(HEADER)
        if len(header) < HEADER:
            return 0
        order, salts, seen = (">" if header[3] & 1 else "<"), header[16:24], 0
        # Where the header is damaged SQLite sees nothing of the log. (The checksum of zeros is zero.)
        known = any(header[:4]) and _checksum(header[:24], order) == header[24:32]
        page = int.from_bytes(header[8:12]) if known else page if page > 1 else LARGEST_PAGE
        if page not in PAGES:
            return 0  # SQLite will say so
        size = FRAME_HEADER + page
        chain = header[24:32]
        if known:
            seen, chain = _seen(log, size, order, header)
        else:
            order = ORDER
        log.seek(HEADER + seen * size)
        most = row = 0
        before: bytes | None = None  # the checksum in the frame before, where that is one of these
        while len(frame := log.read(size)) == size:
            checksum, content, commits = frame[16:24], frame[:8] + frame[24:], any(frame[4:8])  # a commit has a size
            chain = _checksum(content, order, chain)  # also where the checksum or the salts in the frame are damaged
            if known and frame[8:16] != salts:
                before, row = None, int(commits)
                continue
            if not known and frame[8:16] != salts:
                before, salts = None, frame[8:16]  # the frames' own have to tell which of them belong together
            if chain != checksum and (before is None or _checksum(content, order, before) != checksum):
                row = 0
            row += commits
            most, before = max(most, row), checksum
        return most


def _seen(log: BinaryIO, size: int, order: str, header: bytes) -> tuple[int, bytes]:
    """How many frames SQLite sees, up to the last commit before the first frame that is not as it was written; and the
    checksum of the last of them."""
    salts, before = header[16:24], header[24:32]
    read, seen, last = 0, 0, before
    while len(frame := log.read(size)) == size and frame[8:16] == salts and any(frame[:4]):  # there is no page 0
        before = _checksum(frame[:8] + frame[24:], order, before)
        if frame[16:24] != before:
            break
        read += 1
        if any(frame[4:8]):
            seen, last = read, before
    return seen, last


def _checksum(content: bytes, order: str, before: bytes = bytes(8)) -> bytes:
    """SQLite's, going on from another one. It is the last two of a[k] = a[k-2] + a[k-1] + w[k], over all words w and
    modulo 2^32: each word counts as often as a Fibonacci number says."""
    words = np.frombuffer(content, f"{order}u4").astype(np.uint32)
    first, second = struct.unpack(">II", before)
    n = len(words)
    weights = _fibonacci(n + 1)
    one = int(words[:-1] @ weights[n - 2 :: -1]) + int(weights[n - 2]) * first + int(weights[n - 1]) * second
    other = int(words @ weights[n - 1 :: -1]) + int(weights[n - 1]) * first + int(weights[n]) * second
    return struct.pack(">II", one & MODULO, other & MODULO)


@cache
def _fibonacci(n: int) -> npt.NDArray[np.uint32]:
    """So many of them, modulo 2^32."""
    numbers = [1, 1]
    while len(numbers) < n:
        numbers.append((numbers[-2] + numbers[-1]) & MODULO)
    return np.array(numbers, np.uint32)
