"""Time, retention: a clock that leaps ahead makes nothing expire until somebody says that it is right."""

from pathlib import Path

import pytest
import trio.testing

from hub.ingest.trust import LEAP
from hub.journal.segments import segments
from hub.wire.messages import Row
from tests.journal.driving import DIRECTORY
from tests.simulation.files import SimulatedFiles
from tests.upkeep.keeping import DAY, HandClock, Keeping, keeping, segment_of_readings
from tests.upkeep.test_retention import check

pytestmark = pytest.mark.trio
YEARS = 3_650 * DAY


async def three_segments(rooms: Keeping) -> None:
    """One every five days, ten readings each."""
    for number in range(3):
        await segment_of_readings(rooms, 1 + 5 * number)
        rooms.clock.time += 5 * DAY
    await rooms.settled()


async def test_time_a_clock_ten_years_ahead_makes_nothing_expire(
    autojump_clock: trio.testing.MockClock, tmp_path: Path
) -> None:
    files, clock = SimulatedFiles(), HandClock()
    async with keeping(files, tmp_path, clock=clock, doubting=True) as rooms:
        await three_segments(rooms)
        clock.time += YEARS  # while the hub runs
        assert await check(rooms) == (30, 0)
        await segment_of_readings(rooms, 16)
        assert await check(rooms, 40) == (40, 0), "nor by records that were written by it"
    for _ in range(2):  # restarted with the wrong clock, and again
        async with keeping(files, tmp_path, clock=clock, doubting=True) as rooms:
            assert rooms.ingest.trust.ahead(clock.time) >= YEARS
            rooms.ingest.roll()
            assert await check(rooms, 40) == (40, 0)
            assert segments(DIRECTORY, files)[0] == 1
    clock.time -= YEARS  # set right
    async with keeping(files, tmp_path, clock=clock, doubting=True) as rooms:
        assert (rooms.ingest.trust.ahead(clock.time), rooms.ingest.trust.behind(clock.time)) == (0, 0)
        assert await check(rooms, 40) == (40, 0)
        for _ in range(3):
            clock.time += 6 * DAY
            await rooms.settled()
        assert await check(rooms, 40) == (30, 10), "and what is too old expires as ever"


async def test_time_what_is_too_old_expires_once_a_clock_that_is_ahead_is_confirmed(
    autojump_clock: trio.testing.MockClock, tmp_path: Path
) -> None:
    files, clock = SimulatedFiles(), HandClock()
    async with keeping(files, tmp_path, clock=clock, doubting=True) as rooms:
        await three_segments(rooms)
    clock.time += 60 * DAY  # the hub was off for so long
    async with keeping(files, tmp_path, clock=clock, doubting=True) as rooms:
        await segment_of_readings(rooms, 16)
        assert await check(rooms, 40) == (40, 0)
        rooms.ingest.confirm_clock("admin")
        assert await check(rooms, 40) == (10, 30)
    async with keeping(files, tmp_path, clock=clock, doubting=True) as rooms:
        assert rooms.ingest.trust.ahead(clock.time) == 0
        assert await check(rooms, 40) == (10, 30)


@pytest.mark.parametrize("believed", [True, False])
async def test_time_what_came_while_the_clock_was_ahead_holds_nothing_back_for_long(
    believed: bool, autojump_clock: trio.testing.MockClock, tmp_path: Path
) -> None:
    """Its times are those of the hub, because the devices had none. Believed is a clock that was ahead from the first
    record on; it is confirmed when it is set right."""
    files, clock = SimulatedFiles(), HandClock()
    async with keeping(files, tmp_path, clock=clock, doubting=True) as rooms:
        if not believed:
            await segment_of_readings(rooms, 1)
        clock.time += YEARS
        await segment_of_readings(rooms, 6)
        clock.time += 40 * DAY
        await segment_of_readings(rooms, 11)  # when they had been ahead for long
        there = 20 if believed else 30
        assert await check(rooms, there) == (there, 0)
        clock.time -= YEARS
        if believed:
            rooms.ingest.confirm_clock("admin")
        else:
            clock.time -= 38 * DAY
        assert (rooms.ingest.trust.ahead(clock.time), rooms.ingest.trust.behind(clock.time)) == (0, 0)
        assert await check(rooms, there) == (there, 0)
        for number in range(6):
            await segment_of_readings(rooms, 16 + 5 * number)
            clock.time += 6 * DAY
            await rooms.settled()
        assert (await check(rooms, there + 60))[0] == 50, "five of the last six segments are younger than 30 days"


async def test_time_what_came_while_the_clock_was_never_set_is_judged_by_its_own_time(
    autojump_clock: trio.testing.MockClock, tmp_path: Path
) -> None:
    files, clock = SimulatedFiles(), HandClock()
    async with keeping(files, tmp_path, clock=clock, doubting=True) as rooms:
        now, clock.time = clock.time, 5_000_000
        for seq in range(1, 6):
            rooms.ink.keep(seq, Row(seq, now + seq, [1.5, 2.5]), received=clock.time)
        rooms.ink.roll()
        clock.time = now + DAY
        assert await check(rooms, 10) == (10, 0)
        clock.time = now + 31 * DAY
        assert await check(rooms, 10) == (0, 10)


async def test_time_readings_without_a_time_that_came_before_the_clock_was_set_do_not_expire_once_it_is(
    autojump_clock: trio.testing.MockClock, tmp_path: Path
) -> None:
    files, clock = SimulatedFiles(), HandClock()
    async with keeping(files, tmp_path, clock=clock, doubting=True) as rooms:
        now, clock.time = clock.time, 5_000_000
        await segment_of_readings(rooms, 1)
        clock.time = now
        for number in range(4):
            await segment_of_readings(rooms, 6 + 5 * number)
            clock.time += 7 * DAY
            assert await check(rooms, 20 + 10 * number) == (20 + 10 * number, 0)
        clock.time += 4 * DAY
        assert await check(rooms, 50) == (30, 20), "with those that came when it had just been set"


async def test_time_a_hub_that_runs_for_weeks_without_a_record_is_not_doubted(
    autojump_clock: trio.testing.MockClock, tmp_path: Path
) -> None:
    files, clock = SimulatedFiles(), HandClock()
    async with keeping(files, tmp_path, clock=clock, doubting=True) as rooms:
        await segment_of_readings(rooms, 1)
        for _ in range(20):
            clock.time += DAY
            await rooms.settled()
            assert rooms.ingest.trust.ahead(clock.time) == 0
    clock.time += LEAP
    async with keeping(files, tmp_path, clock=clock, doubting=True) as rooms:
        assert rooms.ingest.trust.ahead(clock.time) == 0, "nor over a restart"
        await rooms.settled()
        clock.time += 4 * DAY
        assert await check(rooms, 10) == (0, 10)
