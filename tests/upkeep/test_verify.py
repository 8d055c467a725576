"""The proof, over the files of a hub that was killed (its ledger had not come to the end of its journal), or whose
journal is not whole any more."""

from pathlib import Path

import pytest
from trio.testing import MockClock

from hub.journal.segments import segment_path, segments
from hub.upkeep.verify import Claims, Recount, verify
from hub.wire.kept import Refused, Removed
from hub.wire.messages import Rejection, Row
from hub.wire.shapes import LedgerEntry
from tests.faults.damaged_journal import Places
from tests.journal.driving import DIRECTORY
from tests.simulation.files import SimulatedFiles
from tests.upkeep.keeping import DAY, HandClock, Keeping, keeping

pytestmark = pytest.mark.trio


async def killed(rooms: Keeping, *, booked: int | None = None, received: int = 0) -> Recount:
    """What is found when the account was killed before it took in the last two of five batches."""
    for seq in range(1, 4):
        rooms.ink.keep(seq)
    await rooms.settled()
    at, said = rooms.journal.durable, await rooms.ledger.entries()
    entries: list[LedgerEntry] = [{**entry, "received": entry["received"] + received} for entry in said]  # type: ignore[typeddict-item]
    rooms.ink.keep(4)
    rooms.ink.keep(5)
    await rooms.settled()
    stored, cursor = dict(rooms.store.stored(1 << 62).rows()), rooms.store.counts()[0]
    claims = Claims(DIRECTORY, rooms.journal.durable, entries, stored, cursor, True, at if booked is None else booked)
    return verify(claims, rooms.files)


async def test_what_the_account_had_not_come_to_is_no_difference(autojump_clock: MockClock, tmp_path: Path) -> None:
    async with keeping(SimulatedFiles(), tmp_path) as rooms:
        recount = await killed(rooms)
        assert recount.problems == []
        (entry,) = recount.entries
        assert (entry["kept"], entry["balanced"]) == ([[1, 5]], True)


async def test_what_it_had_come_to_must_agree_to_the_last_reading(autojump_clock: MockClock, tmp_path: Path) -> None:
    async with keeping(SimulatedFiles(), tmp_path) as rooms:
        (problem,) = (await killed(rooms, received=1)).problems
        assert "received is" in problem


async def test_an_account_that_says_it_is_at_the_end_is_held_to_it(autojump_clock: MockClock, tmp_path: Path) -> None:
    async with keeping(SimulatedFiles(), tmp_path) as rooms:
        assert (await killed(rooms, booked=1 << 40)).problems


async def test_what_left_quarantine_of_a_batch_that_was_collected_is_no_problem(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    files, clock = SimulatedFiles(), HandClock()
    async with keeping(files, tmp_path, clock=clock) as rooms:
        rejected = Rejection(1, "out_of_range", 0, 1, "too much")
        kept = rooms.ink.keep(1, Row(1, clock.time, [1.5, 2.5]), rejections=(rejected,), received=clock.time)
        rooms.ink.roll()
        await rooms.settled()
        clock.time += 20 * DAY
        spots = (Refused(0, kept.birth.metrics[1].name, "out_of_range"),)
        rooms.ingest.release(lambda lsn: Removed(lsn, "pump-1", 1, kept.lsn, "admin", clock.time, spots, 1))
        rooms.ink.keep(2, Row(2, clock.time, [1.5, 2.5]), received=clock.time)
        await rooms.settled()
        clock.time += 11 * DAY
        await rooms.settled()
        assert segments(DIRECTORY, files)[0] > kept.lsn, "it is collected"
        assert (await rooms.verify()).problems == []


async def test_records_that_are_missing_at_the_end_are_told(autojump_clock: MockClock, tmp_path: Path) -> None:
    files = SimulatedFiles()
    async with keeping(files, tmp_path) as rooms:
        for seq in range(1, 4):
            rooms.ink.keep(seq)
        await rooms.settled()
        last, path = rooms.journal.durable, segment_path(DIRECTORY, segments(DIRECTORY, files)[-1])
        reader = Places(files.open(path), 1)
        while reader.read():
            pass
        files.damage(path, bytes(files.content(path)[: reader.places[last][0]]))
        assert f"the journal is damaged: records {last} to {last} are missing" in (await rooms.verify()).problems


async def test_ledger_a_count_below_0_is_a_problem_although_the_sum_is_right(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with keeping(SimulatedFiles(), tmp_path) as rooms:
        kept = rooms.ink.keep(1)
        spots = (Refused(0, kept.birth.metrics[1].name, "out_of_range"),)  # nothing of it was
        rooms.ingest.release(lambda lsn: Removed(lsn, "pump-1", 1, kept.lsn, "admin", kept.received, spots, 1))
        await rooms.settled()
        recount = await rooms.verify()
    assert [(entry["rejected"], entry["removed"]) for entry in recount.entries] == [
        ({"out_of_range": -1}, {"admin": 1})
    ]
    assert "pump-1 epoch 1: -1 readings are rejected as out_of_range: no count is below 0" in recount.problems
