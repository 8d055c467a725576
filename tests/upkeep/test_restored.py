"""A state file that is older than what was collected since: the account goes on from what stands in its place."""

from pathlib import Path

import pytest
import trio.testing

from hub.journal.segments import segments
from hub.state import copy_state
from hub.upkeep.collected import read_collected
from hub.wire.kept import Refused, Removed
from hub.wire.messages import Rejection, Row
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


async def test_what_left_quarantine_since_the_copy_does_not_come_back(
    autojump_clock: trio.testing.MockClock, tmp_path: Path
) -> None:
    """Two readings were rejected before the copy was made; one is dropped after it, and that record is collected, too.
    Which one it was, nobody knows any more: kept in quarantine, it could be dropped, or stored, a second time."""
    files, clock, state = SimulatedFiles(), HandClock(), tmp_path / "state.sqlite"
    async with keeping(files, tmp_path, clock=clock) as rooms:
        rejected = (Rejection(1, "out_of_range", 0, 1, "too much"),)
        body = Row(1, clock.time, [1.5, 2.5])
        kept = rooms.ink.keep(1, body, rejections=rejected, received=clock.time)
        other = rooms.ink.keep(1, body, rejections=rejected, received=clock.time, device="pump-2")
        await rooms.settled()
        assert rooms.state.quarantine.count() == 2
        copy_state(state, tmp_path / "older")
        spots = (Refused(0, kept.birth.metrics[1].name, "out_of_range"),)
        rooms.ingest.release(lambda lsn: Removed(lsn, "pump-1", 1, kept.lsn, "admin", clock.time, spots, 1))
        rooms.ingest.marks.saw(clock.time)
        rooms.ink.roll()
        await rooms.settled()
        clock.time += 31 * DAY
        await rooms.settled()
        assert segments(DIRECTORY, files)[0] > other.lsn + 1, "the drop is collected"
        before = await rooms.ledger.entries()
    (tmp_path / "older").rename(state)
    for part in ("-wal", "-shm"):
        state.with_name(f"{state.name}{part}").unlink(missing_ok=True)
    async with keeping(files, tmp_path, clock=clock) as rooms:
        assert (await rooms.verify()).problems == []
        assert await rooms.ledger.entries() == before
        left = [reading.device for _, reading in rooms.state.quarantine.list()]
        assert left == ["pump-2"], "of a device of which nothing has changed all is there"
