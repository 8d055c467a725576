"""What a backup's folder says of itself: whose it is, of when, and each file with its size and checksum.

A backup is made again into the same folder by writing new files beside the old ones, and then the manifest: whoever
dies in the middle leaves the backup that was there.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from hub.disk import DiskFiles
from hub.ports import write_whole
from hub.upkeep.summed import content_of, summed
from hub.wire.ranges import Ranges

NAME: Final = "backup.json"
FORMAT: Final = 1
PIECE: Final = 1024 * 1024  # bytes copied at once


class BackupError(Exception):
    """A backup cannot be made or used; the text says what to do. What was there is as it was."""


@dataclass(frozen=True)
class Copied:
    """A file of the backup: its name there, bytes, SHA-256; of a segment, the records that are in it."""

    file: str
    size: int
    sha256: str
    records: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True)
class Manifest:
    """``files``: by their names in the data directory. ``made``: us; ``base``: up to that record all was collected;
    ``lsn``: the last record that anybody had taken in."""

    log: str
    version: str
    made: int
    base: int = 0
    lsn: int = 0
    files: Mapping[str, Copied] = field(default_factory=dict)

    @property
    def records(self) -> Ranges:
        """Those that are in it."""
        return Ranges(span for copied in self.files.values() for span in copied.records)

    @property
    def missing(self) -> Ranges:
        """Records that the hub should have had, and had not."""
        missing = Ranges([(self.base + 1, self.lsn)] if self.lsn > self.base else [])
        for first, last in self.records:
            missing.remove(first, last)
        return missing


def read_manifest(folder: Path) -> Manifest | None:
    """None where ``folder`` is none or has no manifest; BackupError when the manifest is damaged."""
    path = folder / NAME
    try:
        content = content_of(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None
    if content is None:
        raise BackupError(f"{path} is damaged: use another backup")
    format_, *plain = json.loads(content)
    if format_ != FORMAT:
        raise BackupError(f"{path} is of format {format_}, this version knows {FORMAT}: use the version that made it")
    log, version, made, base, lsn, files = plain
    return Manifest(log, version, made, base, lsn, {name: _copied(*each) for name, each in files.items()})


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Make it durable in the place of what was there; all it names has to be so already."""
    files = {name: [each.file, each.size, each.sha256, each.records] for name, each in manifest.files.items()}
    told = [FORMAT, manifest.log, manifest.version, manifest.made, manifest.base, manifest.lsn, files]
    content = json.dumps(told).encode()
    write_whole(DiskFiles(), folder / NAME, summed(content))


def digest_of(path: Path) -> tuple[int, str]:
    """Bytes and SHA-256 of a file."""
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        return file.tell(), sha256


def copy_file(source: Path, target: Path) -> tuple[int, str]:
    """Copy what ``source`` holds now, durably, in the place of what was there; bytes and SHA-256. The directory of
    ``target`` is to be synced by who calls."""
    digest, size = hashlib.sha256(), 0
    with (
        source.open("rb") as reading,
        open(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as writing,
    ):
        while piece := reading.read(PIECE):
            writing.write(piece)
            digest.update(piece)
            size += len(piece)
        writing.flush()
        os.fsync(writing.fileno())
    return size, digest.hexdigest()


def check_file(folder: Path, copied: Copied) -> None:
    """BackupError when the file is not as it was written."""
    path = folder / copied.file
    try:
        found = digest_of(path)
    except FileNotFoundError:
        raise BackupError(f"{path} is gone: use another backup") from None
    if found != (copied.size, copied.sha256):
        raise BackupError(f"{path} is not as it was written: use another backup")


def _copied(file: str, size: int, sha256: str, records: Any) -> Copied:
    return Copied(file, size, sha256, tuple((first, last) for first, last in records))
