"""Everything that retention needs: a journal on a simulated disk, a store, the account, keeper and collector."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import trio

from hub.followers.account import AccountFollower
from hub.followers.base import Follower
from hub.followers.ledger import Ledger
from hub.followers.loop import Followers
from hub.followers.store import MirrorFollower, StoreFollower, Writer
from hub.ingest.credit import Credit
from hub.ingest.ingest import Ingest
from hub.ingest.marks import Marks
from hub.journal import Journal
from hub.journal.segments import segment_path, segments
from hub.ports import InlineWorker
from hub.state import State
from hub.store.base import Store
from hub.store.memory import MemoryStore
from hub.upkeep.collector import Collector, Doors, Hold
from hub.upkeep.keeper import Keeper
from hub.upkeep.restored import bring_up
from hub.upkeep.verify import Claims, Recount, verify
from hub.wire.messages import Row
from hub.wire.records import pack_marks
from tests.faults.damaged_journal import Places
from tests.followers.making import T0, Ink
from tests.journal.driving import DIRECTORY
from tests.simulation.files import SimulatedFiles

SECOND = 1_000_000
DAY = 86_400 * SECOND


class HandClock:
    """Stands at ``time`` (us)."""

    def __init__(self) -> None:
        self.time = T0

    def now(self) -> int:
        return self.time

    def monotonic(self) -> float:
        return trio.current_time()


@dataclass
class Keeping:
    """The rooms."""

    files: SimulatedFiles
    clock: HandClock
    journal: Journal
    ingest: Ingest
    ink: Ink
    state: State
    store: Store
    followers: Followers
    ledger: Ledger
    collector: Collector
    keeper: Keeper
    mirror: int = 1 << 40  # the cursor of another follower

    async def settled(self) -> None:
        """Everything that was appended is durable and taken in, twice: the keeper adds records."""
        for _ in range(3):
            await self.journal.wait_durable(self.journal.appended)
            await self.followers.reached(self.journal.durable, ("account", self.store.name))
            await trio.sleep(2)

    async def verify(self) -> Recount:
        """The proof, of what the rooms say now."""
        await self.settled()
        stored = dict(self.store.stored(1 << 62).rows())
        entries = await self.ledger.entries()
        lsn = self.journal.durable
        cursor = self.store.counts()[0]
        return verify(Claims(DIRECTORY, lsn, entries, stored, cursor, True), self.files)


@asynccontextmanager
async def keeping(
    files: SimulatedFiles,
    path: Path,
    retention: int = 30 * DAY,
    clock: HandClock | None = None,
    store: Store | None = None,
    writer: Writer | None = None,
    hold: Hold | None = None,
    *,
    doubting: bool = False,
    **journal_options: Any,
) -> AsyncIterator[Keeping]:
    """A life of these rooms; the store forgets at its end. ``doubting``: the clock is held against the records, as in a
    hub; otherwise a test may have it go on by weeks in between."""
    clock = clock or HandClock()
    marks = Marks()
    journal = Journal(
        DIRECTORY, files, InlineWorker(), snapshot=lambda: pack_marks(marks.snapshot()), **journal_options
    )  # fmt: skip
    marks.recover(await journal.open())
    ingest = Ingest(journal, marks, clock, Credit(1 << 28, 100), "log", lambda name: None, kept_for=retention)
    state = State(path / "state.sqlite")
    state.open()
    try:
        store = store or MemoryStore()
        worker = InlineWorker()
        await bring_up(journal, state, worker)

        async def counts(device: str | None) -> tuple[int, dict[tuple[str, int], int]]:
            return store.counts(device)

        async def counted(through: int) -> tuple[int, dict[tuple[str, int], int]]:
            return store.counts(None, through)

        async def cursors() -> dict[str, int]:
            return {"account": state.cursors.get("account"), store.name: store.counts()[0], "mirror": rooms.mirror}

        members: list[Follower] = [AccountFollower(state, worker), StoreFollower(store, worker)]
        if writer is not None:
            members.append(MirrorFollower(writer, worker, state, worker))

        async def mirrors() -> dict[str, int]:
            return {} if writer is None else {writer.name: state.cursors.get(writer.name)}

        followers = Followers(journal, members)
        ledger = Ledger(journal, state, worker, counts, lambda device: None)
        doors = Doors(
            counted, cursors, ingest.expire, ingest.roll, ingest.trust.now if doubting else clock.now, mirrors
        )
        collector = Collector(journal, worker, clock, retention, doors, hold or Hold())
        keeper = Keeper(journal, worker, collector=collector, noted=ingest.note_clock)
        rooms = Keeping(
            files, clock, journal, ingest, Ink(journal), state, store, followers, ledger, collector, keeper
        )  # fmt: skip
        async with trio.open_nursery() as nursery:
            nursery.start_soon(journal.run)
            await nursery.start(followers.run)
            nursery.start_soon(keeper.run)
            yield rooms
            nursery.cancel_scope.cancel()
    finally:
        state.close()


async def segment_of_readings(rooms: Keeping, first_seq: int, count: int = 5) -> None:
    """Batches of two readings each at the clock's time, and the segment's end."""
    for seq in range(first_seq, first_seq + count):
        rooms.ink.keep(seq, Row(seq, rooms.clock.time + seq, [1.5, 2.5]), received=rooms.clock.time)
    rooms.ingest.marks.saw(rooms.clock.time)  # as ingest does, which has not written these
    rooms.ink.roll()
    await rooms.journal.wait_durable(rooms.journal.appended)


def flip_record(files: SimulatedFiles, lsn: int) -> None:
    """One bit of a record in a segment that is not archived."""
    first = max(first for first in segments(DIRECTORY, files) if first <= lsn)
    reader = Places(files.open(segment_path(DIRECTORY, first)), first)
    while reader.read():
        pass
    files.content(segment_path(DIRECTORY, first))[reader.places[lsn][0] + 30] ^= 1
