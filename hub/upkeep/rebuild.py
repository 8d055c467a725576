"""Building the store anew from the journal while no hub runs."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import trio

from hub.followers.reader import Reader
from hub.journal import Journal
from hub.ports import Ports
from hub.store.duck import DuckStore
from hub.store.mending import ASKED, MendingStore

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


async def rebuild(data: Path, memory_mb: int, ports: Ports, told: Callable[[Progress], None]) -> Progress:
    """Set the store in ``data`` aside and fill a new one from the journal; RebuildError when that cannot be.
    ``told`` hears of every commit."""
    if not (data / "journal").is_dir():
        raise RebuildError(f"{data}: no hub has run here; name its settings with --config")
    worker = ports.worker()
    try:
        lock = await worker.run(ports.files.lock, data / "lock")
    except BlockingIOError:
        raise RebuildError(f"a hub runs on {data}, but cannot be reached: stop it, then rebuild") from None
    try:
        return await _rebuild(data, memory_mb, ports, told)
    finally:
        lock.close()


async def _rebuild(data: Path, memory_mb: int, ports: Ports, told: Callable[[Progress], None]) -> Progress:
    worker, path = ports.worker(), data / "store.duckdb"
    journal = Journal(data / "journal", ports.files, worker, snapshot=lambda: b"")
    store = MendingStore(
        path, lambda: DuckStore(path, memory_mb=memory_mb), ports.files, ports.clock, lambda why, kept: None
    )
    store.end = lambda: journal.durable
    try:
        await journal.open()
        store.condemn(ASKED)
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
    finally:
        with trio.CancelScope(shield=True):  # threads' calls that checkpoint and close
            await worker.run(store.close)
            await journal.close()
