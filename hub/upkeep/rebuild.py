"""Building the store anew from the journal while no hub runs."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import trio

from hub.followers.reader import Reader
from hub.ingest.marks import Marks
from hub.journal import Journal
from hub.journal.segments import segments
from hub.ports import Ports, Worker
from hub.store.base import StoreError
from hub.store.duck import DuckStore
from hub.store.mending import ASKED, MendingStore
from hub.upkeep.only_copy import OnlyCopy, only_copy, unread
from hub.upkeep.restore import half_restored
from hub.wire.records import pack_marks

BATCH: Final = 20_000  # entries in one commit


class RebuildError(Exception):
    """The store cannot be rebuilt; the text says what to do."""


@dataclass(frozen=True)
class Progress:
    """How far it is: records and readings."""

    record: int
    through: int
    readings: int
    seconds: float


@dataclass(frozen=True)
class Rebuilt:
    """``kept``: the file that was set aside, where there was one; ``alone``: what it is the only copy of."""

    progress: Progress
    kept: Path | None
    alone: OnlyCopy


async def rebuild(
    data: Path, memory_mb: int, ports: Ports, told: Callable[[Progress], None], *, accept_loss: bool = False
) -> Rebuilt:
    """Set the store in ``data`` aside and fill a new one from the journal; RebuildError when that cannot be,
    LossRefused when it alone has readings, unless their loss is accepted. ``told`` hears of every commit."""
    if not (data / "journal").is_dir():
        raise RebuildError(f"{data}: no hub has run here; name its settings with --config")
    if not segments(data / "journal", ports.files):
        raise RebuildError(f"{data / 'journal'} has no segment to build a store from; nothing was done")
    worker = ports.worker()
    try:
        lock = await worker.run(ports.files.lock, data / "lock")
    except BlockingIOError:
        raise RebuildError(f"a hub runs on {data}, but cannot be reached: stop it, then rebuild") from None
    try:
        if (why := await worker.run(half_restored, data, ports.files)) is not None:
            raise RebuildError(why)
        return await _rebuild(data, memory_mb, ports, told, accept_loss)
    finally:
        lock.close()


async def _rebuild(
    data: Path, memory_mb: int, ports: Ports, told: Callable[[Progress], None], accept_loss: bool
) -> Rebuilt:
    worker, path = ports.worker(), data / "store.duckdb"
    journal = Journal(data / "journal", ports.files, worker, snapshot=lambda: pack_marks(Marks().snapshot()))

    def make() -> DuckStore:
        return DuckStore(path, memory_mb=memory_mb)

    store = MendingStore(path, make, ports.files, ports.clock, lambda why, kept: None)
    store.end = lambda: journal.durable
    try:
        await journal.open()
        alone = await _alone(journal, worker, store) if store.exists() else OnlyCopy()
        if not accept_loss:
            alone.refuse()
        store.condemn(ASKED)
        progress = await _fill(journal, worker, store, ports, told)
        return Rebuilt(progress, store.kept, alone)
    finally:
        with trio.CancelScope(shield=True):  # threads' calls that checkpoint and close
            await worker.run(store.close)
            await journal.close()


async def _alone(journal: Journal, worker: Worker, store: MendingStore) -> OnlyCopy:
    """What the store has that the journal lacks, also beyond its end; a file that is damaged cannot say."""
    try:
        cursor = await worker.run(store.open_as_it_is)
        journal.skip_to(cursor)
    except StoreError as error:
        if error.damaged:
            store.condemn(str(error))  # so that it is not called replaced
        return OnlyCopy(await unread(journal), unknown=str(error))
    try:
        return await only_copy(journal, store, worker)
    finally:
        await worker.run(store.close)


async def _fill(
    journal: Journal, worker: Worker, store: MendingStore, ports: Ports, told: Callable[[Progress], None]
) -> Progress:
    cursor = await worker.run(store.open)
    began = ports.clock.monotonic()
    reader = Reader(journal, cursor)
    progress = Progress(cursor, journal.durable, 0, 0.0)
    while reader.position < journal.durable:
        entries = await reader.next(BATCH)
        await worker.run(store.take, entries, reader.position)
        readings = store.statistics()["readings"]
        progress = Progress(reader.position, journal.durable, readings, ports.clock.monotonic() - began)
        told(progress)
    return progress
