"""Bugs to plant, each a context in which a port or a method is replaced: the simulation must notice them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Final
from unittest import mock

import trio

from devices.disk import DiskSpool
from hub.edge.device import DeviceConversation
from hub.followers.base import Follower
from hub.followers.loop import _Following
from hub.followers.tally import Key
from hub.ingest.ingest import Ingest, Opening
from hub.ingest.intake import Intake
from hub.ingest.trust import Trust
from hub.journal import Journal
from hub.journal.writer import SegmentWriter
from hub.upkeep.collector import Collector
from hub.wire.credit import Allowance
from hub.wire.kept import Entry, Kept
from hub.wire.messages import Batch, Hello
from tests.simulation.files import SimulatedFiles
from tests.simulation.store import SimulatedStore

GLANCE_SECONDS: Final = 0.005  # between two looks of a store that does not wait for syncs


@contextmanager
def ack_before_sync() -> Iterator[None]:
    """Groups count as durable without a sync; only a roll syncs."""

    def sync(self: SegmentWriter) -> None:
        if self._unsynced:
            self._unsynced = False
            self._size = self._current().size()

    with mock.patch.object(SegmentWriter, "_sync", sync):
        yield


class Eager:
    """A journal all of whose records count as durable."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def __getattr__(self, name: str) -> Any:
        return getattr(self._journal, name)

    @property
    def durable(self) -> int:
        return self._journal.appended

    async def wait_beyond(self, lsn: int) -> int:
        while self._journal.appended <= lsn:  # noqa: ASYNC110  (the journal tells of what is durable only)
            await trio.sleep(GLANCE_SECONDS)
        return self._journal.appended

    def tail(self, after: int, limit: int, max_bytes: int) -> list[object] | None:
        ring = self._journal._ring
        durable, ring.durable = ring.durable, self._journal.appended
        try:
            return ring.take(after, limit, max_bytes)
        finally:
            ring.durable = durable


@contextmanager
def apply_before_sync() -> Iterator[None]:
    """The store is handed records as soon as they are appended."""
    honest = _Following.__init__

    def begin(self: _Following, journal: Any, follower: Follower, *rest: Any) -> None:
        honest(self, Eager(journal) if follower.name == "memory" else journal, follower, *rest)

    with mock.patch.object(_Following, "__init__", begin):
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
def no_deduplication() -> Iterator[None]:
    """Whoever comes back is believed about what is here: numbers that it sends again are taken as new."""
    honest = Ingest.open

    def opened(self: Ingest, device: str, hello: Hello) -> Opening:
        current = self.marks.of(device).current
        if current is not None and current.epoch == hello.epoch:
            current.prefix = min(current.prefix, hello.first - 1)
        return honest(self, device, hello)

    with mock.patch.object(Ingest, "open", opened):
        yield


@contextmanager
def collection_too_early() -> Iterator[None]:
    """A segment is collected when it is old, whether or not the followers have taken it in."""

    async def expired(self: Collector, through: int, before: int) -> bool:
        readings: Mapping[Key, int] = (await self._doors.counts(through))[1]
        if readings:
            self._doors.expire(through, before, readings)
        return True

    with mock.patch.object(Collector, "_expired", expired):
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
def window_ignored() -> Iterator[None]:
    """Neither end minds how much was granted."""
    with mock.patch.object(Allowance, "allows", return_value=True):
        yield


@contextmanager
def takeover_race() -> Iterator[None]:
    """Whether a batch is new is asked when its link opens; and the link before is not ended in that step."""
    keep, take_over = Intake.keep, DeviceConversation._take_over

    def kept(self: Intake, batch: Batch, frame: bytes) -> Kept:
        self._generation = self._marks.generation
        if batch.seq is not None:
            self._numbering.prefix = batch.seq - 1
        return keep(self, batch, frame)

    def taken_over(self: DeviceConversation, device: str, *rest: Any) -> None:
        registry = self._rooms.registry
        connected = registry.connected

        def silently(*link: Any, **numbers: Any) -> None:
            connected(*link, **numbers)

        self._desk.here.pop(device, None)
        with mock.patch.object(registry, "connected", silently):
            take_over(self, device, *rest)

    with mock.patch.object(Intake, "keep", kept), mock.patch.object(DeviceConversation, "_take_over", taken_over):
        yield


@contextmanager
def number_reused() -> Iterator[None]:
    """Numbers leave that are not reserved on the device's disk."""

    async def spend(self: DiskSpool, held: Any) -> None:
        return None

    with mock.patch.object(DiskSpool, "spend", spend), mock.patch.object(DiskSpool, "_reservation", return_value=0):
        yield


@contextmanager
def clock_believed() -> Iterator[None]:
    """What is too old is told by the hub's clock, wherever that has leapt to."""
    with mock.patch.object(Trust, "believed", lambda self, now: now):
        yield


PLANTS: Final[dict[str, Callable[[], AbstractContextManager[None]]]] = {
    "ack-before-sync": ack_before_sync,
    "apply-before-sync": apply_before_sync,
    "cursor-apart": cursor_apart,
    "no-deduplication": no_deduplication,
    "collection-too-early": collection_too_early,
    "no-directory-sync": no_directory_sync,
    "retry-after-eio": retry_after_eio,
    "window-ignored": window_ignored,
    "takeover-race": takeover_race,
    "number-reused": number_reused,
    "clock-believed": clock_believed,
}
NONE: Final[Callable[[], AbstractContextManager[None]]] = nullcontext
