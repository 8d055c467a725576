"""A machine under a hub: what outlives each of its lives, and what can be damaged in between."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from hub.data_directory import pass_cursors
from hub.followers.account import AccountFollower
from hub.journal.archive import open_segment
from hub.journal.segments import segment_path, segments
from hub.ports import InlineWorker
from hub.state import AccountRow, State
from hub.store.memory import MemoryStore
from hub.upkeep.remains import entries_after
from hub.upkeep.reopen import reopen
from hub.wire.kept import Kept
from tests.faults.damaged_journal import Places
from tests.ingest.house import HandClock, House, house
from tests.journal.driving import DIRECTORY
from tests.simulation.files import SimulatedFiles


class Machine:
    """What outlives a hub: disk, state and store."""

    def __init__(self, folder: Path, **options: Any) -> None:
        """``options``: of the journal."""
        self.options = options
        self.files, self.clock, self.worker = SimulatedFiles(), HandClock(), InlineWorker()
        self.state, self.store = State(folder / "state.sqlite"), MemoryStore()
        self.state.open()

    @asynccontextmanager
    async def hub(self) -> AsyncIterator[House]:
        """A life, opened as ``app`` does."""
        async with house(self.files, self.clock, **self.options) as hub:
            await pass_cursors(hub.journal, self.state, self.worker, self.store)
            await reopen(hub.journal, hub.marks, self.store, self.worker, self.state, self.worker, self.clock)
            yield hub

    async def follow(self, hub: House, *, account: bool = True, store: bool = True) -> None:
        """Account and store, if wanted, take in all there is."""
        await hub.journal.wait_durable(hub.journal.appended)
        entries = list(entries_after(hub.journal, 0))
        if account:
            follower = AccountFollower(self.state, self.worker)
            after = await follower.start()
            await follower.take([entry for entry in entries if entry.lsn > after], hub.journal.durable)
        if store:
            self.store.take(entries, hub.journal.durable)

    def account(self) -> AccountRow:
        (row,) = self.state.account.all()
        return row

    def flip(self, lsn: int) -> None:
        """Damage one record."""
        first = max(first for first in segments(DIRECTORY, self.files) if first <= lsn)
        reader = Places(open_segment(DIRECTORY, self.files, first), first)
        while reader.read():
            pass
        content = self.files.content(segment_path(DIRECTORY, first))
        start, stop = reader.places[lsn]
        content[min(start + 30, stop - 1)] ^= 1

    def cut(self, lsn: int) -> None:
        """The newest segment ends before this record."""
        first = segments(DIRECTORY, self.files)[-1]
        reader = Places(open_segment(DIRECTORY, self.files, first), first)
        while reader.read():
            pass
        path = segment_path(DIRECTORY, first)
        self.files.damage(path, bytes(self.files.content(path)[: reader.places[lsn][0]]))


def lsn_of(kept: Iterable[Kept], seq: int) -> int:
    return next(entry.lsn for entry in kept if entry.seq == seq)
