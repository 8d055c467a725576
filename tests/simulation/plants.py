"""Bugs to plant, each a context in which one method of the product is replaced: the simulation must notice them."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Final
from unittest import mock

from devices.disk import DiskSpool
from hub.journal.writer import SegmentWriter
from hub.wire.kept import Entry
from tests.simulation.files import SimulatedFiles
from tests.simulation.store import SimulatedStore


@contextmanager
def ack_before_sync() -> Iterator[None]:
    """Groups count as durable without a sync; only a roll syncs."""

    def sync(self: SegmentWriter) -> None:
        if self._unsynced:
            self._unsynced = False
            self._size = self._current().size()

    with mock.patch.object(SegmentWriter, "_sync", sync):
        yield


@contextmanager
def cursor_apart() -> Iterator[None]:
    """The store commits rows, and the cursor in a transaction of its own."""
    honest = SimulatedStore._commit

    def commit(self: SimulatedStore, entries: Sequence[Entry], cursor: int) -> None:
        honest(self, entries, self._cursor)
        honest(self, [], cursor)

    with mock.patch.object(SimulatedStore, "_commit", commit):
        yield


@contextmanager
def no_directory_sync() -> Iterator[None]:
    """New names are never synced."""
    with mock.patch.object(SimulatedFiles, "sync_directory", lambda self, directory: self.count("sync_directory")):
        yield


@contextmanager
def retry_after_eio() -> Iterator[None]:
    """A failed sync of the journal is tried again, as if the pages were still there."""
    honest = SegmentWriter._sync

    def sync(self: SegmentWriter) -> None:
        try:
            honest(self)
        except OSError:
            honest(self)

    with mock.patch.object(SegmentWriter, "_sync", sync):
        yield


@contextmanager
def number_reused() -> Iterator[None]:
    """Numbers leave that are not reserved on the device's disk."""

    async def spend(self: DiskSpool, held: Any) -> None:
        return None

    with mock.patch.object(DiskSpool, "spend", spend), mock.patch.object(DiskSpool, "_reservation", return_value=0):
        yield


PLANTS: Final[dict[str, Callable[[], AbstractContextManager[None]]]] = {
    "none": nullcontext,
    "ack-before-sync": ack_before_sync,
    "cursor-apart": cursor_apart,
    "no-directory-sync": no_directory_sync,
    "retry-after-eio": retry_after_eio,
    "number-reused": number_reused,
}
