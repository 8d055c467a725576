"""What a hub has on disk: opened in order, owned by one process, closed at the end."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from functools import partial
from typing import Final

import structlog
import trio

from hub.ingest.marks import Marks
from hub.ingest.reopening import tell
from hub.journal import Damage, IdentityError, Journal, Reserve, log_id
from hub.ports import Ports, Worker
from hub.settings import Settings
from hub.state import COPY, State, StateError, restoring
from hub.store.base import Store, StoreError
from hub.store.mending import ASKED, MendingStore
from hub.upkeep.only_copy import damaged, told
from hub.upkeep.restore import half_restored
from hub.wire.records import pack_marks

MIB: Final = 1024 * 1024

log = structlog.get_logger(__name__)


class HubError(Exception):
    """The hub cannot start or go on; the text says what to do. ``usage``: the settings or files are to be mended."""

    def __init__(self, text: str, *, usage: bool = False) -> None:
        super().__init__(text)
        self.usage = usage


@asynccontextmanager
async def own_directory(settings: Settings, ports: Ports) -> AsyncIterator[Reserve]:
    """The data directory, owned by this process alone (two hubs on one journal would destroy it), and its
    reserve."""
    worker = ports.worker()
    try:
        await worker.run(ports.files.make_directory, settings.data)
        lock = await worker.run(ports.files.lock, settings.data / "lock")
    except BlockingIOError:
        text = f"another hub runs on {settings.data} (or a command that reads or restores it): stop it, or wait for it"
        text += "; or name another directory with hub.data"
        raise HubError(text, usage=True) from None
    except OSError as error:
        text = f"{settings.data}: {error.strerror}: make it writable, or name another directory with hub.data"
        raise HubError(text, usage=True) from None
    if (why := await worker.run(half_restored, settings.data, ports.files)) is not None:
        lock.close()
        raise HubError(why)
    reserve = Reserve(settings.data / "reserve", ports.files, settings.hub.reserve_mb * MIB)
    await worker.run(reserve.begin)
    try:
        yield reserve
    finally:
        lock.close()


@asynccontextmanager
async def open_state(settings: Settings, worker: Worker) -> AsyncIterator[State]:
    path = settings.data / "state.sqlite"
    # Where a journal is, a new one would lock every device out, and the ledger would forget them.
    anew = not any((settings.data / "journal").glob("*"))
    state = State(path)
    try:
        await worker.run(partial(state.open, anew=anew))
        if await worker.run(state.is_behind):
            text = f"the state file {path} has less than the copy that the hub made of it: its log was cut, or an older"
            raise HubError(f"{text} one was put there. {restoring(path)}. If the older one is meant, remove {COPY}")
    except StateError as error:
        raise HubError(str(error)) from None
    try:
        yield state
    finally:
        with trio.CancelScope(shield=True):  # a thread's call that only closes a file
            await worker.run(state.close)


@asynccontextmanager
async def open_journal(
    settings: Settings, ports: Ports, worker: Worker, reserve: Reserve
) -> AsyncIterator[tuple[Journal, Marks]]:
    """The journal, recovered, and the marks as it left them (P10)."""
    marks = Marks()
    options = settings.journal
    journal = Journal(
        settings.data / "journal", ports.files, worker, snapshot=lambda: pack_marks(marks.snapshot()),
        group_seconds=options.group_ms / 1000, segment_bytes=int(options.segment_mb * MIB),
        tail_bytes=options.tail_mb * MIB, reader=ports.worker(), reserve=reserve,
    )  # fmt: skip
    try:
        recovery = await journal.open()
        unreadable = await worker.run(marks.recover, recovery)
    except (OSError, ValueError) as error:
        raise HubError(f"the journal in {settings.data / 'journal'} cannot be opened: {error}") from None
    for damage in recovery.damage:
        if damage.torn:  # what a kill leaves: records that were never durable, so never acked
            log.info("the journal ends with an unfinished record; it was never acked", **asdict(damage))
        else:
            log.error("the journal is damaged", **asdict(damage))
    tell(journal, unreadable)
    log.info("journal open", records=journal.durable, devices=len(marks))
    try:
        yield journal, marks
    finally:
        with trio.CancelScope(shield=True):  # a thread's call that only closes a file
            await journal.close()


@asynccontextmanager
async def open_store(settings: Settings, ports: Ports, worker: Worker, journal: Journal) -> AsyncIterator[Store]:
    """The store, open. One that cannot be opened costs disk and queries, not ingest: its follower tries again."""
    store: Store
    if settings.store.kind == "memory":
        from hub.store.memory import MemoryStore

        store = MemoryStore()
    else:
        from hub.store.duck import DuckStore  # a second to import: only where it is used

        path, options = settings.data / "store.duckdb", settings.store
        store = MendingStore(
            path, lambda: DuckStore(path, memory_mb=options.memory_mb, log_mb=options.log_mb), ports.files, ports.clock,
            lambda text, kept: _mended(text, kept, journal),
        )  # fmt: skip
        store.end = lambda: journal.durable
    try:
        await worker.run(store.open)
    except (StoreError, OSError) as error:
        log.error("the store cannot be opened; readings wait in the journal", why=str(error))
    try:
        yield store
    finally:
        with trio.CancelScope(shield=True):  # its last commit is done; this is a checkpoint
            await worker.run(store.close)


def _mended(text: str, kept: str, journal: Journal) -> None:
    """What happened to the store, for the log; ``kept`` is the name under which a damaged file is kept."""
    lacking = damaged(journal.damage, 0)
    if kept and lacking:
        what = "the journal is damaged, too: what the store had of these records is at most in the file set aside"
        log.error(what, records=told(lacking), kept=kept)
    if kept and text == ASKED:
        log.info("the store is set aside, and built anew from the journal", why=text, kept=kept)
    elif kept:
        log.error("the store is damaged: it is set aside, and rebuilt from the journal", why=text, kept=kept)
    else:
        log.info("the store is rebuilt", took=text)


async def pass_cursors(journal: Journal, state: State, state_worker: Worker, store: Store) -> None:
    """Where somebody has taken in more than the journal has (it was damaged or put back), give no LSN twice (P10)."""
    taken = await state_worker.run(state.cursors.all)  # a mirror's too: it would wait for numbers that it has had
    taken[store.name] = int(store.statistics().get("cursor", 0))
    name, cursor = max(taken.items(), key=lambda item: item[1])
    if cursor > journal.appended:
        text = "the journal ends before what was taken from it: records are missing at its end"
        log.error(text, follower=name, cursor=cursor, journal=journal.appended)
        journal.noticed([Damage(journal.segment, 0, 0, journal.appended + 1, cursor)])
        journal.skip_to(cursor)


async def read_identity(settings: Settings, ports: Ports, worker: Worker) -> str:
    try:
        return await log_id(settings.data, ports.files, worker, ports.randomness)
    except IdentityError as error:
        raise HubError(str(error)) from None
