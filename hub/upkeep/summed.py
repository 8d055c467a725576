"""The content of small files with a checksum of it."""

from zlib import crc32


def summed(content: bytes) -> bytes:
    """With a line before it that has its checksum."""
    return b"%08x\n" % crc32(content) + content


def content_of(written: bytes) -> bytes | None:
    """What ``summed`` was given; None when it is not as it was written."""
    checksum, _, content = written.partition(b"\n")
    return content if checksum == b"%08x" % crc32(content) else None
