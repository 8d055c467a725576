"""Archive, retention: what is too old expires by a record, is counted, and only then its segment is collected."""

import errno
import tempfile
from collections.abc import Iterable
from pathlib import Path

import pytest
import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.journal.on_disk import PIN_SECONDS
from hub.journal.segments import segments
from hub.upkeep.collected import NAME, CollectedError, read_collected
from hub.wire.messages import Row
from tests.journal.driving import DIRECTORY, PowerCut, simulate
from tests.simulation.files import SimulatedFiles
from tests.upkeep.keeping import DAY, HandClock, Keeping, flip_record, keeping, segment_of_readings


async def three_segments(rooms: Keeping) -> None:
    """One a fortnight, ten readings each; the third is not over the age when the clock stops."""
    for number in range(3):
        await segment_of_readings(rooms, 1 + 5 * number)
        rooms.clock.time += 14 * DAY
    await rooms.settled()


async def check(rooms: Keeping, received: int = 30) -> tuple[int, int]:
    """The proof holds, and the ledger with it; readings stored and expired."""
    recount = await rooms.verify()
    assert recount.problems == []
    (entry,) = await rooms.ledger.entries()
    assert entry["balanced"], entry
    assert entry["received"] == received == recount.entries[0]["received"]
    assert entry["stored"] == recount.entries[0]["stored"] == rooms.store.statistics()["readings"]
    assert entry["expired"] == recount.entries[0]["expired"]
    return entry["stored"], entry["expired"]


@pytest.mark.trio
async def test_archive_is_collected_when_all_its_readings_have_expired_and_the_ledger_counts_them(
    autojump_clock: trio.testing.MockClock, tmp_path: Path
) -> None:
    files, clock = SimulatedFiles(), HandClock()
    async with keeping(files, tmp_path, clock=clock) as rooms:
        await three_segments(rooms)
        first = segments(DIRECTORY, files)[0]
        assert await check(rooms) == (20, 10), "the first segment is older than 30 days, the others are not"
        assert first == 8, "seven records were in it: marks, a birth, five batches"
        assert rooms.keeper.statistics().segments_collected == 1
        clock.time += 14 * DAY
        assert await check(rooms) == (10, 20)
        for _ in range(20):  # and what is left expires, the records of expiry too, until only marks are there
            clock.time += 14 * DAY
            await rooms.settled()
        assert await check(rooms) == (0, 30)
        assert len(segments(DIRECTORY, files)) <= 3


@pytest.mark.trio
async def test_a_store_that_is_built_again_after_a_collection_has_the_same_readings(
    autojump_clock: trio.testing.MockClock, tmp_path: Path
) -> None:
    files, clock = SimulatedFiles(), HandClock()
    async with keeping(files, tmp_path, clock=clock) as rooms:
        await three_segments(rooms)
        before = list(rooms.store.stored(1 << 62).rows())
    async with keeping(files, tmp_path, clock=clock) as rooms:
        await rooms.settled()
        assert list(rooms.store.stored(1 << 62).rows()) == before
        assert await check(rooms) == (20, 10)


@pytest.mark.trio
async def test_nothing_is_collected_before_every_durable_cursor_is_past_it(
    autojump_clock: trio.testing.MockClock, tmp_path: Path
) -> None:
    files = SimulatedFiles()
    async with keeping(files, tmp_path) as rooms:
        rooms.mirror = 6
        await three_segments(rooms)
        assert segments(DIRECTORY, files)[0] == 1
        assert await check(rooms) == (20, 10), "expired all the same, and counted once"
        rooms.mirror = 1 << 40
        await rooms.settled()
        assert segments(DIRECTORY, files)[0] == 8
        assert await check(rooms) == (20, 10)


@pytest.mark.trio
async def test_what_replaces_a_segment_is_synced_with_its_directory_before_the_segment_goes(
    autojump_clock: trio.testing.MockClock, tmp_path: Path
) -> None:
    files = SimulatedFiles()
    async with keeping(files, tmp_path) as rooms:
        rooms.mirror = 0
        await three_segments(rooms)
        calls: list[str] = []
        files.on_call = calls.append
        rooms.mirror = 1 << 40
        await trio.sleep(5)
        steps = [call for call in calls if call in ("sync", "rename", "sync_directory", "remove")]
        assert steps == ["sync", "rename", "sync_directory", "remove", "sync_directory"]


@pytest.mark.trio
async def test_nothing_expires_or_is_collected_while_a_proof_has_pinned_the_journal(
    autojump_clock: trio.testing.MockClock, tmp_path: Path
) -> None:
    files = SimulatedFiles()
    async with keeping(files, tmp_path) as rooms:
        rooms.journal.on_disk.pin("ada")
        await three_segments(rooms)
        assert segments(DIRECTORY, files)[0] == 1
        assert await check(rooms) == (30, 0)
        await trio.sleep(PIN_SECONDS)
        assert await check(rooms) == (20, 10)


@pytest.mark.trio
async def test_what_is_too_old_goes_as_soon_as_the_last_proof_has_let_go(
    autojump_clock: trio.testing.MockClock, tmp_path: Path
) -> None:
    files = SimulatedFiles()
    async with keeping(files, tmp_path) as rooms:
        on_disk = rooms.journal.on_disk
        first, second = on_disk.pin("ada"), on_disk.pin("ada")
        await three_segments(rooms)
        on_disk.release(first, "ada")
        assert await check(rooms) == (30, 0)
        began = trio.current_time()
        on_disk.release(second, "ada")
        assert await check(rooms) == (20, 10)
        assert trio.current_time() - began < PIN_SECONDS / 10


@pytest.mark.trio
@pytest.mark.parametrize("hit", [range(1, 8), [7], [3]], ids=["all of it", "its end", "a record"])
async def test_readings_that_the_store_alone_has_of_a_damaged_segment_are_kept_as_long_as_others(
    autojump_clock: trio.testing.MockClock, tmp_path: Path, hit: Iterable[int]
) -> None:
    files, clock, readings = SimulatedFiles(), HandClock(), list[int]()
    async with keeping(files, tmp_path, clock=clock, segment_bytes=1 << 20) as rooms:
        rooms.keeper.look = idle  # type: ignore[method-assign]  # it would archive what is to be damaged
        rooms.ink.keep(1, Row(1, clock.time - 29 * DAY, [1.5, 2.5]), received=clock.time)
        await segment_of_readings(rooms, 2, 4)
        await segment_of_readings(rooms, 6)
        await rooms.settled()
        store = rooms.store
    for lsn in sorted(hit, reverse=True):
        flip_record(files, lsn)
    async with keeping(files, tmp_path, clock=clock, store=store) as rooms:
        for number in range(8):
            clock.time += 6 * DAY
            await segment_of_readings(rooms, 20 + 5 * number)
            await rooms.settled()
            readings.append(store.statistics()["readings"])
    assert readings[:5] == [30, 40, 50, 60, 70], "nothing is 30 days old"
    assert readings[7] < 80, "but a damaged segment does not keep for ever what is in it and after it"


async def idle() -> None:
    """In the place of the keeper's look."""


@pytest.mark.trio
async def test_a_segment_that_lasts_too_long_is_closed_so_that_it_can_expire(
    autojump_clock: trio.testing.MockClock, tmp_path: Path
) -> None:
    files = SimulatedFiles()
    async with keeping(files, tmp_path, retention=80_000_000) as rooms:  # 80 s
        rooms.ink.keep(1)
        await rooms.settled()
        assert len(segments(DIRECTORY, files)) == 1
        await trio.sleep(10)
        assert len(segments(DIRECTORY, files)) == 2
        await trio.sleep(100)
        assert len(segments(DIRECTORY, files)) == 2, "one that has nothing but marks stays"


@pytest.mark.trio
@pytest.mark.parametrize("what", ["append", "sync", "rename", "remove", "sync_directory"])
async def test_a_failing_disk_puts_collecting_off_and_loses_nothing(
    what: str, autojump_clock: trio.testing.MockClock, tmp_path: Path
) -> None:
    files = SimulatedFiles()
    async with keeping(files, tmp_path) as rooms:
        rooms.mirror = 0
        await three_segments(rooms)
        files.fail(what, error=errno.ENOSPC if what == "append" else errno.EIO)
        rooms.mirror = 1 << 40
        await trio.sleep(20)
        assert rooms.keeper.statistics().failures == 1
        assert rooms.keeper.problem is None
        assert await check(rooms) == (20, 10)
        assert segments(DIRECTORY, files)[0] == 8


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 120), st.integers(0, 2**32), st.floats(0, 1))
def test_p9_p10_a_power_cut_at_any_call_leaves_a_directory_that_opens_right(stop: int, seed: int, keep: float) -> None:
    files, clock = SimulatedFiles(seed), HandClock()

    async def first_life(path: Path) -> None:
        async with keeping(files, path, clock=clock) as rooms:
            with rooms.journal.on_disk.held():
                await three_segments(rooms)
            left = stop

            def count_down(_: str) -> None:
                nonlocal left
                if left == 0:
                    raise PowerCut
                left -= 1

            files.on_call = count_down
            await rooms.settled()

    async def second_life(path: Path) -> None:
        async with keeping(files, path, clock=clock) as rooms:
            await rooms.settled()
            assert await check(rooms) == (20, 10)
            assert segments(DIRECTORY, files)[0] == 8

    with tempfile.TemporaryDirectory() as folder:
        try:
            simulate(lambda: first_life(Path(folder)))
        except* PowerCut:
            pass
        files.on_call = None
        files.power_cut(keep)
        simulate(lambda: second_life(Path(folder)))


@pytest.mark.trio
async def test_a_damaged_count_of_what_was_collected_is_told_and_stops_collecting_only(
    autojump_clock: trio.testing.MockClock, tmp_path: Path
) -> None:
    files, clock = SimulatedFiles(), HandClock()
    async with keeping(files, tmp_path, clock=clock) as rooms:
        await three_segments(rooms)
    content = bytearray(files.content(DIRECTORY / NAME))
    content[30] ^= 1
    files.damage(DIRECTORY / NAME, bytes(content))
    with pytest.raises(CollectedError, match="put back the one of a backup"):
        read_collected(DIRECTORY, files)
    async with keeping(files, tmp_path, clock=clock) as rooms:
        clock.time += 14 * DAY
        recount = await rooms.verify()
        assert any("is damaged: put back" in problem for problem in recount.problems)
        assert "is damaged: put back" in (rooms.keeper.problem or "")
        assert segments(DIRECTORY, files)[0] == 8
