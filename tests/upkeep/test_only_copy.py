"""A store that has the only copy of readings is not made again unless that is accepted."""

from pathlib import Path

import pytest
from trio.testing import MockClock

from hub.journal import Damage
from hub.ports import InlineWorker
from hub.store.base import StoreError
from hub.store.duck import DuckStore
from hub.upkeep.only_copy import LossRefused, damaged, only_copy, told
from hub.wire.messages import Rejection
from hub.wire.ranges import Ranges
from tests.simulation.files import SimulatedFiles
from tests.upkeep.keeping import DAY, HandClock, flip_record, segment_of_readings
from tests.upkeep.living import life, written

pytestmark = pytest.mark.trio

BATCH = 3  # the first: after the marks and a birth


async def test_it_is_refused_and_nothing_changes(autojump_clock: MockClock, tmp_path: Path) -> None:
    files = SimulatedFiles()
    await written(files, tmp_path)
    flip_record(files, BATCH)
    flip_record(files, BATCH + 2)
    async with life(files, tmp_path) as second:
        with pytest.raises(LossRefused) as refused:
            await second.mender.renew(accept_loss=False)
        assert "it lacks 2 records (3, 5); the only copy of their 4 readings is in the store" in str(refused.value)
        assert "--accept-loss" in str(refused.value)
        assert (second.store.progress(), second.store.kept, second.readings()) == (None, None, 10)


async def test_who_accepts_it_is_told_what_the_file_that_is_set_aside_has(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    files = SimulatedFiles()
    await written(files, tmp_path)
    flip_record(files, BATCH)
    async with life(files, tmp_path) as second:
        through, alone = await second.mender.renew(accept_loss=True)
        await second.renewed()
        assert through == 7
        assert alone.plain() == {"records": [[3, 3]], "batches": 1, "readings": 2}
        assert second.readings() == 8
        assert second.store.kept is not None
        assert second.set_aside() == [second.store.kept.name]
        _, alone = await second.mender.renew(accept_loss=False)
        assert not alone, "it has nothing more to lose"
        kept = DuckStore(tmp_path / second.set_aside()[0])
    kept.open()
    assert kept.batches(3, 3) == [("pump-1", 1, 1, 2)]
    kept.close()


async def test_a_whole_journal_is_in_nobodys_way(autojump_clock: MockClock, tmp_path: Path) -> None:
    files = SimulatedFiles()
    await written(files, tmp_path)
    async with life(files, tmp_path) as second:
        _, alone = await second.mender.renew(accept_loss=False)
        await second.renewed()
        assert (alone.plain(), second.readings()) == (None, 10)


async def test_damage_of_which_the_store_has_nothing_is_in_nobodys_way(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    files = SimulatedFiles()
    async with life(files, tmp_path) as first:
        rejected = tuple(Rejection(metric, "out_of_range", 0, 1, "too much") for metric in (0, 1))
        kept = first.rooms.ink.keep(1, rejections=rejected)
        first.rooms.ink.keep(2)
        await first.rooms.settled()
    flip_record(files, kept.lsn)
    async with life(files, tmp_path) as second:
        _, alone = await second.mender.renew(accept_loss=False)
        assert not alone
        assert [one.first_lsn for one in second.rooms.journal.damage] == [kept.lsn]


async def test_what_was_collected_is_no_loss(autojump_clock: MockClock, tmp_path: Path) -> None:
    files, clock = SimulatedFiles(), HandClock()
    async with life(files, tmp_path, clock) as first:
        for number in range(3):
            await segment_of_readings(first.rooms, 1 + 5 * number)
            clock.time += 14 * DAY
        await first.rooms.settled()
        assert first.rooms.journal.on_disk.segments[0] == 8
    async with life(files, tmp_path, clock) as second:
        _, alone = await second.mender.renew(accept_loss=False)
        assert not alone


@pytest.mark.parametrize("whole", [True, False])
async def test_a_store_that_cannot_say_is_only_made_again_where_the_journal_is_whole(
    autojump_clock: MockClock, tmp_path: Path, whole: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = SimulatedFiles()
    await written(files, tmp_path)
    if not whole:
        flip_record(files, BATCH)

    def fails(*_: object) -> None:
        raise StoreError("a block cannot be read")

    async with life(files, tmp_path) as second:
        monkeypatch.setattr(DuckStore, "batches", fails)
        alone = await only_copy(second.rooms.journal, second.store, InlineWorker())
        assert bool(alone) is not whole
        if not whole:
            with pytest.raises(LossRefused, match=r"it cannot say \(a block cannot be read\)"):
                alone.refuse()
            assert alone.plain() == {"records": [[3, 3]], "batches": 0, "readings": None}


async def test_damage_is_told_as_records() -> None:
    found = [Damage(1, 0, 9, 2, 4), Damage(8, 0, 0, 9, 9), Damage(8, 0, 9, 10, 10), Damage(8, 9, 9, 12, None)]
    assert told(damaged(found, 0)) == "5 records (2-4, 9-10)"
    assert told(damaged(found, 8)) == "2 records (9-10)", "the others have been collected"
    assert told(Ranges([(7, 7)])) == "1 record (7)"
    assert told(Ranges((at, at) for at in range(1, 15, 2))) == "7 records (1, 3, 5, 7, 9 and 2 more ranges)"
