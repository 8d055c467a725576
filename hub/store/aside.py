"""Stores that were set aside: their names, and what is known of each, so that nobody is sent for lost readings to one
that was itself made from a damaged journal.

``store.duckdb.damaged-SECONDS`` was not to be trusted, ``store.duckdb.replaced-SECONDS`` was only to be made again. A
log (``.wal``) and a note of what the store had may stand beside it. The hub removes none of them.
"""

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from hub.ports import Files
from hub.wire.ranges import Ranges

DAMAGED: Final = "damaged"
REPLACED: Final = "replaced"
LOG: Final = ".wal"
NOTE: Final = ".note"


@dataclass
class Had:
    """What is known of a store while it is open: it was handed no record above ``highest``, and says that it has no
    reading of the records ``without``."""

    highest: int = 0
    without: Ranges = field(default_factory=Ranges)

    def may_have(self, records: Ranges) -> bool:
        """Whether it can have a reading of any of these."""
        return any(self.without.missing(first, min(last, self.highest)) for first, last in records)


def free_name(store: Path, word: str, seconds: int) -> Path:
    """The name for a store that is set aside now; never one that stands before another, later one."""
    taken = {_seconds(path) for path in _beside(store)}
    while seconds in taken:
        seconds += 1
    return store.with_name(f"{store.name}.{word}-{seconds}")


def all_aside(store: Path) -> list[Path]:
    """Those that are still here, oldest first."""
    return sorted((path for path in _beside(store) if path.suffix not in (LOG, NOTE)), key=_seconds)


def write_note(files: Files, aside: Path, had: Had) -> None:
    """Keep what is known of a store beside it. A disk that has no room for that keeps nobody from setting it aside."""
    with suppress(OSError):
        note = {"file": _identity(aside), "highest": had.highest, "without": had.without.pairs()}
        file = files.open(aside.with_name(aside.name + NOTE), create=True)
        try:
            file.append(json.dumps(note).encode())
            file.sync()
        finally:
            file.close()


def read_note(files: Files, aside: Path) -> Had | None:
    """What is known of it; None where nobody knows, also where the file has been changed since."""
    try:
        note = json.loads(files.read(aside.with_name(aside.name + NOTE)))
        if note["file"] != _identity(aside):
            return None
        return Had(int(note["highest"]), Ranges((first, last) for first, last in note["without"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _beside(store: Path) -> Iterator[Path]:
    for word in (DAMAGED, REPLACED):
        yield from store.parent.glob(f"{store.name}.{word}-*")


def _seconds(path: Path) -> int:
    """When it was set aside; 0 for a name that somebody else gave."""
    digits = path.name.removesuffix(LOG).removesuffix(NOTE).rpartition("-")[2]
    return int(digits) if digits.isdecimal() else 0


def _identity(path: Path) -> list[int]:
    """Differs for a file that was put in its place, or was in use again."""
    found = path.stat()
    return [found.st_ino, found.st_size, found.st_mtime_ns]
