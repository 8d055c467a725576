"""Stores that were set aside, and how they are called.

``store.duckdb.damaged-SECONDS`` was not to be trusted, ``store.duckdb.replaced-SECONDS`` was only to be made again. A
log (``.wal``) may stand beside it. The hub removes none of them.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

DAMAGED: Final = "damaged"
REPLACED: Final = "replaced"
LOG: Final = ".wal"


def free_name(store: Path, word: str, seconds: int) -> Path:
    """The name for a store that is set aside now; never one that stands before another, later one."""
    taken = {_seconds(path) for path in _beside(store)}
    while seconds in taken:
        seconds += 1
    return store.with_name(f"{store.name}.{word}-{seconds}")


def all_aside(store: Path) -> list[Path]:
    """Those that are still here, oldest first."""
    return sorted((path for path in _beside(store) if path.suffix != LOG), key=_seconds)


def _beside(store: Path) -> Iterator[Path]:
    for word in (DAMAGED, REPLACED):
        yield from store.parent.glob(f"{store.name}.{word}-*")


def _seconds(path: Path) -> int:
    """When it was set aside; 0 for a name that somebody else gave."""
    digits = path.name.removesuffix(LOG).rpartition("-")[2]
    return int(digits) if digits.isdecimal() else 0
