"""How a record stands in a file of the spool: magic, length, checksum, payload; and a reader that survives damage."""

from collections.abc import Iterator
from struct import Struct
from typing import Final
from zlib import crc32

from hub.ports import File

MAGIC: Final = b"\xf5TS1"  # 0xf5 is no byte of UTF-8, and "true" in CBOR: seldom inside a payload
HEADER: Final = Struct("<4sII")
BLOCK: Final = 4096  # bytes; what a disk fails to read, it fails to read in blocks of this size
_LENGTH: Final = Struct("<I")


def pack(payload: bytes) -> bytes:
    """The record of ``payload``."""
    length = len(payload)
    return HEADER.pack(MAGIC, length, crc32(payload, crc32(_LENGTH.pack(length)))) + payload


def records(data: bytes) -> Iterator[bytes | None]:
    """The payloads of the intact records in order, and a null for each place where there is something else."""
    at, size, damaged = 0, len(data), False
    while at < size:
        payload = _payload(data, at)
        if payload is not None:
            damaged = False
            yield payload
            at += HEADER.size + len(payload)
            continue
        if not damaged:
            damaged = True
            yield None
        found = data.find(MAGIC, at + 1)
        at = found if found >= 0 else size


def _payload(data: bytes, at: int) -> bytes | None:
    """What the record at ``at`` carries, if that is an intact one."""
    if at + HEADER.size > len(data):
        return None
    magic, length, crc = HEADER.unpack_from(data, at)
    if magic != MAGIC:
        return None
    payload = data[at + HEADER.size : at + HEADER.size + length]
    if len(payload) < length or crc32(payload, crc32(data[at + 4 : at + 8])) != crc:
        return None
    return payload


def read_all(file: File) -> bytes:
    """All of a file that is readable; zeros stand for the blocks that the disk does not give."""
    size = file.size()
    try:
        return file.read(0, size)
    except OSError:
        return b"".join(_block(file, at, min(BLOCK, size - at)) for at in range(0, size, BLOCK))


def _block(file: File, at: int, size: int) -> bytes:
    try:
        return file.read(at, size)
    except OSError:
        return bytes(size)
