"""As long as the journal is damaged, the hub says so, and what that means for the store."""

from pathlib import Path

import pytest
from trio.testing import MockClock

from hub.journal.archive import ArchivedSegment, archive_path
from hub.ports import InlineWorker
from hub.upkeep.damage import DamageWatch
from tests.journal.driving import DIRECTORY
from tests.simulation.files import SimulatedFiles
from tests.upkeep.keeping import Keeping, flip_record, keeping, segment_of_readings
from tests.upkeep.living import life, written
from tests.upkeep.test_damage import FIRSTS, archived, flip

pytestmark = pytest.mark.trio

BATCH = 3  # the first: after the marks and a birth


def watching(rooms: Keeping) -> DamageWatch:
    return DamageWatch(
        rooms.journal, rooms.store, InlineWorker(), rooms.ledger, lambda: rooms.followers.cursor(rooms.store.name)
    )


async def test_nothing_is_said_of_a_whole_journal(autojump_clock: MockClock, tmp_path: Path) -> None:
    files = SimulatedFiles()
    await written(files, tmp_path)
    async with life(files, tmp_path) as second:
        await second.watch.read_closed()
        await second.watch.look()
        assert second.watch.cautions() == []
        assert set(second.watch.statistics().values()) == {0}


async def test_the_store_has_the_only_copy(autojump_clock: MockClock, tmp_path: Path) -> None:
    files = SimulatedFiles()
    await written(files, tmp_path)
    flip_record(files, BATCH)
    for _ in range(2):  # it is told after every start
        async with life(files, tmp_path) as another:
            await another.rooms.settled()
            await another.watch.look()
            (caution,) = another.watch.cautions()
            assert "lacks 1 record (3); the only copy of 2 readings is in the store, and 'telemetrio hub reb" in caution
            assert another.watch.statistics() == {
                "records": 1, "only_copy_readings": 2, "unaccounted_readings": 0,
            }  # fmt: skip


async def test_what_is_in_neither_is_told_and_the_files_that_may_have_it(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    files = SimulatedFiles()
    await written(files, tmp_path)
    flip_record(files, BATCH)
    async with life(files, tmp_path) as second:
        await second.rooms.settled()
        await second.watch.look()
        second.mender.condemn("its file was cut")
        await second.watch.look()
        assert "the store has not come past them yet" in second.watch.cautions()[0]
        await second.renewed()
        await second.watch.look()
        (told,) = second.watch.cautions()
        (kept,) = second.set_aside()
        assert "the store has no readings of that" in told
        assert "; 2 readings that were received are in neither: by them 'telemetrio ledger' does not balance;" in told
        assert "; the only copy may be in a store that was set aside" in told
        assert f"({kept})" in told
        assert second.watch.statistics()["unaccounted_readings"] == 2
        (entry,) = await second.rooms.ledger.entries()
        assert (entry["balanced"], entry["received"], entry["stored"]) == (False, 10, 8)
    async with life(files, tmp_path) as third:
        await third.rooms.settled()
        await third.watch.look()
        assert third.watch.cautions() == [told], "a restart forgets nothing of it"


async def test_damage_that_newer_marks_cover_is_found_after_a_restart(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    files = SimulatedFiles()
    async with keeping(files, tmp_path) as rooms:
        await archived(rooms)
        store = rooms.store
    path = archive_path(DIRECTORY, FIRSTS[0])
    files.damage(path, flip(bytearray(files.content(path)), ArchivedSegment(files.open(path))))
    async with keeping(files, tmp_path, store=store) as rooms:
        watch = watching(rooms)
        await watch.look()
        assert watch.cautions() == [], "recovery reads the newest segment only"
        await watch.read_closed()
        await watch.look()
        assert "it lacks 7 records (1-7); the only copy of 10 readings" in watch.cautions()[0]


async def test_a_first_segment_that_is_gone_and_was_not_collected_is_damage(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    files = SimulatedFiles()
    async with keeping(files, tmp_path) as rooms:
        await archived(rooms)
        store = rooms.store
    files.remove(archive_path(DIRECTORY, FIRSTS[0]))
    async with keeping(files, tmp_path, store=store) as rooms:
        watch = watching(rooms)
        await watch.read_closed()
        await watch.look()
        assert "it lacks 7 records (1-7); the only copy of 10 readings" in watch.cautions()[0]


async def test_what_is_collected_is_no_damage_any_more(autojump_clock: MockClock, tmp_path: Path) -> None:
    files = SimulatedFiles()
    await written(files, tmp_path)
    flip_record(files, BATCH)
    async with life(files, tmp_path) as second:
        await segment_of_readings(second.rooms, 6)
        second.rooms.ink.roll()
        await second.rooms.settled()
        await second.watch.look()
        assert second.watch.cautions()
        on_disk = second.rooms.journal.on_disk
        on_disk.collected(on_disk.segments[0])
        await second.watch.look()
        assert second.watch.cautions() == []
        assert set(second.watch.statistics().values()) == {0}
