"""A state file that is older than what was collected since: the account goes on from what stands in its place."""

from pathlib import Path

import pytest
import trio.testing

from hub.journal.segments import segments
from hub.state import copy_state
from hub.upkeep.collected import read_collected
from tests.journal.driving import DIRECTORY
from tests.simulation.files import SimulatedFiles
from tests.upkeep.keeping import DAY, HandClock, keeping, segment_of_readings
from tests.upkeep.test_retention import check

pytestmark = pytest.mark.trio


@pytest.mark.parametrize("segments_before", [0, 1, 2, 3])
async def test_archive_the_account_balances_with_an_older_state_file(
    segments_before: int, autojump_clock: trio.testing.MockClock, tmp_path: Path
) -> None:
    """The copy is made after so many of the five segments; the first three are collected afterwards."""
    files, clock, state = SimulatedFiles(), HandClock(), tmp_path / "state.sqlite"
    async with keeping(files, tmp_path, retention=50 * DAY, clock=clock) as rooms:
        for number in range(5):
            if number == segments_before:
                copy_state(state, tmp_path / "older")
            await segment_of_readings(rooms, 1 + 5 * number)
            clock.time += 10 * DAY
            await rooms.settled()
        clock.time += 25 * DAY
        before = await check(rooms, 50)
        assert before[1] >= 20, "two segments at least have expired"
    (tmp_path / "older").rename(state)
    for part in ("-wal", "-shm"):
        state.with_name(f"{state.name}{part}").unlink(missing_ok=True)
    collected = read_collected(DIRECTORY, files)
    assert 0 < collected.lsn < segments(DIRECTORY, files)[0]
    async with keeping(files, tmp_path, retention=50 * DAY, clock=clock) as rooms:
        assert rooms.state.cursors.get("account") >= collected.lsn
        assert await check(rooms, 50) == before
