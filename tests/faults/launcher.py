"""Starts a hub with a bug planted, for tests that must be able to fail.

    python -m tests.faults.launcher cursor-apart|ack-before-sync|none

``none`` runs the hub as it is, on files that forget what was not synced when the process dies.
"""

import sys
import time
from collections.abc import Sequence
from pathlib import Path

from hub.app import serve
from hub.config import load
from hub.ports import DiskFile, File, Ports
from hub.store.duck import DuckStore
from hub.upkeep.mend import Mender
from hub.wire.kept import Entry
from tests.faults.unsynced import UnsyncedFile, UnsyncedFiles

LAZY_SECONDS = 0.5  # a sync that comes so late has let acks out before it


class LazyFile(UnsyncedFile):
    """Says that it has synced and does so half a second later: acks leave before the sync."""

    _last = 0.0

    def sync(self) -> None:
        if time.monotonic() - self._last > LAZY_SECONDS:
            self._last = time.monotonic()
            super().sync()


class LazyFiles(UnsyncedFiles):
    def open(self, path: Path, *, create: bool = False) -> File:
        file = super(UnsyncedFiles, self).open(path, create=create)
        assert isinstance(file, DiskFile)
        return LazyFile(file) if path.suffix != ".tmp" else UnsyncedFile(file)


def plant_cursor_apart() -> None:
    """The store commits its rows, and its cursor in a transaction of its own, with the next rows."""
    honest = DuckStore.take
    late: list[int] = []

    def take(self: DuckStore, entries: Sequence[Entry], cursor: int) -> None:
        honest(self, entries, cursor)
        assert self._writer is not None
        self._writer.execute("UPDATE cursor SET lsn = ?", [late[-1] if late else 0])
        late.append(cursor)

    async def blind(self: Mender) -> None:
        """The hub compares counts at its start, and would build the store anew: the test is to see the bug itself."""

    DuckStore.take = take  # type: ignore[method-assign]
    Mender._disagreement = blind  # type: ignore[method-assign,assignment]


def main() -> int:
    plant = sys.argv[1]
    if plant == "cursor-apart":
        plant_cursor_apart()
        return serve(load())
    files = {"ack-before-sync": LazyFiles, "none": UnsyncedFiles}[plant]()
    return serve(load(), Ports(files=files))


if __name__ == "__main__":
    sys.exit(main())
