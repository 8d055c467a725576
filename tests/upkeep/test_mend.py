"""The store is held against account and journal at the start, also where the oldest segments are collected."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import duckdb
import pytest
import trio
import trio.testing

from hub.disk import DiskFiles
from hub.journal.archive import archive_path
from hub.journal.segments import segments
from hub.ports import InlineWorker
from hub.store.duck import DuckStore
from hub.store.mending import ASKED, MendingStore
from hub.upkeep.collected import NAME, read_collected
from hub.upkeep.mend import Mender
from tests.journal.driving import DIRECTORY
from tests.simulation.files import SimulatedFiles
from tests.upkeep.keeping import DAY, HandClock, Keeping, keeping, segment_of_readings

pytestmark = pytest.mark.trio


@asynccontextmanager
async def living(
    files: SimulatedFiles, path: Path, clock: HandClock, told: list[str], *, mended: bool = True
) -> AsyncIterator[Keeping]:
    """The rooms with a store on the disk, and what looks after it."""
    duck = path / "store.duckdb"
    store = MendingStore(duck, lambda: DuckStore(duck), DiskFiles(), clock, lambda why, kept: told.append(why))
    store.open()
    try:
        async with keeping(files, path, clock=clock, store=store) as rooms, trio.open_nursery() as nursery:
            store.end = lambda: rooms.journal.durable
            if mended:
                mender = Mender(store, InlineWorker(), InlineWorker(), rooms.ledger, rooms.followers, rooms.journal)
                nursery.start_soon(mender.run)
            yield rooms
            nursery.cancel_scope.cancel()
    finally:
        store.close()


async def with_a_collected_segment(files: SimulatedFiles, path: Path, clock: HandClock) -> list[tuple[int, int]]:
    """A life after which the first segment is collected and two are there; what the store has."""
    async with living(files, path, clock, [], mended=False) as rooms:
        for number in range(3):
            await segment_of_readings(rooms, 1 + 5 * number)
            clock.time += 14 * DAY
        await rooms.settled()
        assert segments(DIRECTORY, files)[0] == 8
        return list(rooms.store.stored(1 << 62).rows())


def lose(path: Path) -> None:
    """A few rows are gone, as after a mistake of the database: every block of the file is intact."""
    with duckdb.connect(str(path / "store.duckdb")) as connection:
        connection.execute("DELETE FROM readings WHERE rowid IN (SELECT min(rowid) FROM readings)")
        connection.execute("UPDATE batches SET readings = 1 WHERE lsn = (SELECT min(lsn) FROM batches)")


def double(path: Path) -> None:
    with duckdb.connect(str(path / "store.duckdb")) as connection:
        connection.execute("INSERT INTO readings SELECT * FROM readings LIMIT 1")
        connection.execute("UPDATE batches SET readings = 3 WHERE lsn = (SELECT min(lsn) FROM batches)")


@pytest.mark.parametrize("harm", [lose, double])
async def test_a_store_that_is_wrong_is_rebuilt_also_after_a_collection(
    harm: Callable[[Path], None], autojump_clock: trio.testing.MockClock, tmp_path: Path
) -> None:
    files, clock = SimulatedFiles(), HandClock()
    before = await with_a_collected_segment(files, tmp_path, clock)
    harm(tmp_path)
    told: list[str] = []
    async with living(files, tmp_path, clock, told) as rooms:
        await rooms.settled()
        await trio.sleep(5)
        await rooms.settled()
        assert list(rooms.store.stored(1 << 62).rows()) == before
        assert len(told) == 2, "set aside, and rebuilt"
        assert "readings of pump-1 epoch 1, and 20 were accepted" in told[0]
        assert (await rooms.verify()).problems == []


async def test_a_store_that_is_right_is_left_alone_after_a_collection(
    autojump_clock: trio.testing.MockClock, tmp_path: Path
) -> None:
    files, clock = SimulatedFiles(), HandClock()
    before = await with_a_collected_segment(files, tmp_path, clock)
    told: list[str] = []
    async with living(files, tmp_path, clock, told) as rooms:
        await rooms.settled()
        cursor, stored = rooms.store.counts()
        collected = read_collected(DIRECTORY, files)
        assert collected.lsn == 7
        assert await rooms.ledger.accepted(cursor, collected.lsn, collected.rows) == stored
        assert list(rooms.store.stored(1 << 62).rows()) == before
    assert told == []


@pytest.mark.parametrize("what", ["segment", "collected"])
async def test_a_journal_that_is_not_whole_has_no_say(
    what: str, autojump_clock: trio.testing.MockClock, tmp_path: Path
) -> None:
    files, clock = SimulatedFiles(), HandClock()
    await with_a_collected_segment(files, tmp_path, clock)
    lose(tmp_path)
    if what == "segment":
        files.remove(archive_path(DIRECTORY, 8))
    else:
        files.damage(DIRECTORY / NAME, b"00000000\n[]")
    told: list[str] = []
    async with living(files, tmp_path, clock, told):
        await trio.sleep(10)
    assert told == [], "what it cannot give again is not thrown away"


async def test_a_store_that_is_to_be_built_anew_is_not_called_damaged(tmp_path: Path) -> None:
    duck, told = tmp_path / "store.duckdb", list[str]()
    store = MendingStore(duck, lambda: DuckStore(duck), DiskFiles(), HandClock(), lambda why, kept: told.append(why))
    store.open()
    store.condemn(ASKED)
    assert store.progress() == "the store will be rebuilt from the journal: it was asked for"
    store.open()
    assert told == ["it was asked for"]
    store.condemn("its file was cut")
    assert store.progress() == "the store is damaged and will be rebuilt from the journal: its file was cut"
    store.close()
