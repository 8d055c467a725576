"""Small files that are replaced as a whole: what was there stays until all of the new one is durable."""

from pathlib import Path
from zlib import crc32

from hub.ports import Files


def write_whole(files: Files, path: Path, content: bytes) -> None:
    """Make ``content`` durable at ``path``, in the place of what was there. Blocks; OSError leaves what was there, but
    where only the name may not be durable yet."""
    draft = path.with_name(f"{path.name}.tmp")
    if draft.name in files.list(path.parent):
        files.remove(draft)
    file = files.open(draft, create=True)
    try:
        file.append(content)
        file.sync()
    finally:
        file.close()
    files.rename(draft, path)
    files.sync_directory(path.parent)


def summed(content: bytes) -> bytes:
    """With a line before it that has its checksum."""
    return b"%08x\n" % crc32(content) + content


def content_of(written: bytes) -> bytes | None:
    """What ``summed`` was given; None when it is not as it was written."""
    checksum, _, content = written.partition(b"\n")
    return content if checksum == b"%08x" % crc32(content) else None
