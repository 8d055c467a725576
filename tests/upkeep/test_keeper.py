import errno

import pytest
import trio
import trio.testing

from hub.journal import Journal
from hub.journal.segments import segments
from hub.ports import InlineWorker
from hub.upkeep.keeper import Keeper
from tests.journal.driving import DIRECTORY, running
from tests.simulation.files import SimulatedFiles

pytestmark = pytest.mark.trio


async def filled(journal: Journal, rolls: int = 3) -> dict[int, bytes]:
    """Segments of a few records each."""
    for _ in range(rolls):
        for size in (10, 3_000, 90_000):
            journal.append(b"%d" % journal.appended + bytes(size), None)
        journal.roll()
    await journal.wait_durable(journal.appended)
    return {lsn: payload async for chunk in journal.scan(0) for lsn, payload in chunk}


async def test_archive_closed_segments_and_let_those_behind_read_them(autojump_clock: trio.testing.MockClock) -> None:
    files = SimulatedFiles()
    async with running(files) as (journal, _), trio.open_nursery() as nursery:
        before = await filled(journal)
        behind = journal.scan(0, 4_096)
        first = await behind.__anext__()
        keeper = Keeper(journal, InlineWorker())
        nursery.start_soon(keeper.run)
        await trio.sleep(2)
        assert [name[-8:] for name in files.list(DIRECTORY)] == [".archive"] * 3 + [".journal"]
        rest = [record async for chunk in behind for record in chunk]
        assert dict([*first, *rest]) == before, "a reader half way through a segment goes on in its archive"
        assert {lsn: payload async for chunk in journal.scan(0) for lsn, payload in chunk} == before
        assert journal.damage == []
        statistics = keeper.statistics()
        assert (statistics.segments_archived, statistics.journal_bytes) == (3, 0)
        assert 0 < statistics.archive_bytes < sum(map(len, before.values()))
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO])
async def test_archive_failing_is_a_problem_is_tried_again_and_holds_up_nothing(
    error: int, autojump_clock: trio.testing.MockClock
) -> None:
    files = SimulatedFiles()
    told: list[Exception] = []
    async with running(files) as (journal, _), trio.open_nursery() as nursery:
        before = await filled(journal)
        keeper = Keeper(journal, InlineWorker(), told.append)
        for nth in (1, 2, 3):
            files.fail("rename", nth, error=error)
        nursery.start_soon(keeper.run)
        await trio.sleep(1.5)
        assert keeper.problem is not None
        assert "tried again" in keeper.problem
        assert len(told) == 1
        await journal.wait_durable(journal.append(b"more", None))
        await trio.sleep(30)
        assert keeper.problem is None
        assert keeper.statistics().segments_archived == 3
        assert keeper.statistics().failures == 3
        found = {lsn: payload async for chunk in journal.scan(0) for lsn, payload in chunk}
        assert found == before | {journal.appended: b"more"}
        assert len(segments(DIRECTORY, files)) == 4
        nursery.cancel_scope.cancel()
