"""How a record stands in a segment: magic, length, LSN, checksum, payload.

``magic 4 | length u32 | lsn u64 | crc32 u32 | payload``, little-endian; the checksum covers length, LSN and payload.

After damage a reader looks for the next magic. So that nothing a device sends can ever be taken for a record, the
first three bytes of the magic (the mark) never stand inside a stored payload: where they would, a zero byte is put
behind every first two of them, and the record gets the second magic, which says so.
"""

from collections.abc import Sequence
from struct import Struct
from typing import Final
from zlib import crc32

MARK: Final = b"\xf5TJ"  # 0xf5 is no byte of UTF-8, and "true" in CBOR
MAGIC: Final = MARK + b"1"
STUFFED_MAGIC: Final = MARK + b"2"
HEADER: Final = Struct("<4sIQI")
HEADER_SIZE: Final = HEADER.size
MAX_PAYLOAD: Final = 256 * 1024 * 1024  # bytes; marks of a million devices fit, a garbled length mostly does not

_BARE: Final = MARK[:2]
_STUFFED: Final = _BARE + b"\0"
_COVERED: Final = Struct("<IQ")
_pack_covered: Final = _COVERED.pack
_pack_header: Final = HEADER.pack


def frame(lsn: int, payload: bytes) -> tuple[bytes, bytes]:
    """The header and the payload as stored."""
    magic = MAGIC
    if MARK in payload:
        magic = STUFFED_MAGIC
        payload = payload.replace(_BARE, _STUFFED)
    length = len(payload)
    return _pack_header(magic, length, lsn, crc32(payload, crc32(_pack_covered(length, lsn)))), payload


def frame_run(lsn: int, payloads: Sequence[bytes]) -> tuple[bytes, int] | None:
    """Many payloads of one length, from ``lsn`` on, as they stand in a segment, and the bytes of each; None where
    ``frame`` has to be asked about each."""
    length = len(payloads[0])
    if MARK in b"".join(payloads):  # or across two of them: rare, and harmless
        return None
    parts: list[bytes] = []
    for at, payload in enumerate(payloads, lsn):
        if len(payload) != length:
            return None
        parts.append(_pack_header(MAGIC, length, at, crc32(payload, crc32(_pack_covered(length, at)))))
        parts.append(payload)
    return b"".join(parts), HEADER_SIZE + length


def intact(data: bytes, at: int, stored: bytes, crc: int) -> bool:
    """Does the checksum of the header at ``at`` fit it and the payload as stored?"""
    return crc32(stored, crc32(data[at + 4 : at + 16])) == crc


def unstuffed(magic: bytes, stored: bytes) -> bytes:
    """The payload as it was appended."""
    return stored if magic == MAGIC else stored.replace(_STUFFED, _BARE)
