"""Starts a hub with a bug planted, for tests that must be able to fail.

    python -m tests.faults.launcher cursor-apart|no-deduplication|ack-before-sync|none

``none`` runs the hub as it is, on files that forget what was not synced when the process dies.
"""

import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from devices.disk import DiskSpool
from devices.line import Held
from hub.app import serve
from hub.config import load
from hub.disk import DiskFile
from hub.ingest.ingest import Ingest, Opening
from hub.ports import File, Files, Ports
from hub.store.duck import DuckStore
from hub.upkeep.mend import Mender
from hub.wire.kept import Entry
from hub.wire.messages import Hello
from hub.wire.ranges import Ranges
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


async def _blind(self: Mender) -> None:
    """The hub compares counts at its start, and would build the store anew: the lab is to see the bug itself."""


def plant_cursor_apart() -> None:
    """The store commits its rows, and its cursor in a transaction of its own, with the next rows."""
    honest = DuckStore.take
    late: list[int] = []

    def take(self: DuckStore, entries: Sequence[Entry], cursor: int) -> None:
        honest(self, entries, cursor)
        assert self._writer is not None
        self._writer.execute("UPDATE cursor SET lsn = ?", [late[-1] if late else 0])
        late.append(cursor)

    DuckStore.take = take  # type: ignore[method-assign]


def plant_no_deduplication() -> None:
    """What a device still holds is new, whatever the marks say."""
    honest = Ingest.open

    def open(self: Ingest, device: str, hello: Hello) -> Opening:
        current = self.marks.of(device).current
        if current is not None and current.epoch == hello.epoch:
            current.prefix, current.held = hello.first - 1, Ranges()
        return honest(self, device, hello)

    Ingest.open = open  # type: ignore[method-assign]


def plant_in_devices(name: str) -> None:
    """Bugs of devices: numbers leave that are not reserved on their disk."""
    if name == "number-reused":

        async def spend(self: DiskSpool, held: Held) -> None:
            return None

        DiskSpool.spend = spend  # type: ignore[method-assign]
        DiskSpool._reservation = lambda self: 0  # type: ignore[method-assign]


#: Bugs of the hub: what replaces methods, or the files port.
METHODS: dict[str, Callable[[], None]] = {
    "cursor-apart": plant_cursor_apart, "no-deduplication": plant_no_deduplication,
}  # fmt: skip
FILES: dict[str, Callable[[], Files]] = {"ack-before-sync": LazyFiles, "none": UnsyncedFiles}


def main(plant: str) -> int:
    """Serve with the bug, if it is one of the hub's."""
    if plant in METHODS:
        METHODS[plant]()
        Mender._disagreement = _blind  # type: ignore[method-assign,assignment]
    files = FILES.get(plant)
    return serve(load(), Ports() if files is None else Ports(files=files()))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
