"""A full disk, on simulated files with a budget: the reserve is given up, and is back before anything is durable."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import trio

from hub.journal import Journal, JournalFailed, Reserve
from hub.ports import InlineWorker, T, Ts, Worker
from tests.journal.driving import DIRECTORY, INLINE, running, simulate
from tests.simulation.files import SimulatedFiles

RESERVE = 40_000
PATH = Path("/data/journal-reserve")


class SlowWorker(InlineWorker):
    """One call after the other, each of which takes its time, as on a slow disk."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._limiter = trio.CapacityLimiter(1)

    async def run(self, call: Callable[[*Ts], T], *args: *Ts) -> T:
        async with self._limiter:
            await trio.sleep(self._seconds)
            return call(*args)


@asynccontextmanager
async def watched(files: SimulatedFiles, worker: Worker = INLINE) -> AsyncIterator[Journal]:
    reserve = Reserve(PATH, files, RESERVE)
    reserve.begin()
    async with running(files, worker, reserve=reserve) as (journal, _), trio.open_nursery() as nursery:
        nursery.start_soon(journal.watch)
        yield journal
        nursery.cancel_scope.cancel()


def test_the_reserve_is_given_up_and_is_back_before_acks_go_on() -> None:
    files = SimulatedFiles(capacity=100_000)

    async def live() -> None:
        async with watched(files) as journal:
            assert len(files.content(PATH)) == RESERVE
            count = 0
            while not journal.stalled:
                journal.append(bytes(1_000), None)
                count += 1
                await trio.sleep(0.1)
            durable = journal.durable
            assert PATH.name not in files.list(PATH.parent)
            for _ in range(20):
                journal.append(bytes(1_000), None)
            await trio.sleep(30)
            assert journal.durable == durable, "the journal does not take what the others were given"
            assert files.free(DIRECTORY) >= RESERVE // 4, "state and store have space to commit"
            assert files.capacity is not None
            files.capacity += RESERVE
            await trio.sleep(1)
            assert journal.durable == journal.appended, "what waited is written"
            assert not journal.stalled
            assert len(files.content(PATH)) == RESERVE

    simulate(live)


def test_space_that_others_took_stalls_the_journal_before_they_fail() -> None:
    files = SimulatedFiles(capacity=100_000)

    async def live() -> None:
        async with watched(files) as journal:
            other = files.open(Path("/data/store"), create=True)
            other.append(bytes(files.free(DIRECTORY) - RESERVE // 8))
            await trio.sleep(2)
            assert journal.stalled
            other.append(bytes(RESERVE))  # and now they can commit
            other.truncate(0)
            await trio.sleep(1)
            assert not journal.stalled

    simulate(live)


def test_the_stall_outlives_the_group_that_is_under_way() -> None:
    """The group that waits for the worker when space turns out to be short ends after the look, and before the reserve
    is given up; nothing may be durable on that space afterwards."""
    files = SimulatedFiles(capacity=200_000)

    async def live() -> None:
        async with watched(files, SlowWorker(0.05)) as journal, trio.open_nursery() as nursery:

            async def stream() -> None:
                while True:
                    journal.append(b"", None)
                    await trio.sleep(0.01)

            nursery.start_soon(stream)
            other = files.open(Path("/data/store"), create=True)
            other.append(bytes(files.free(DIRECTORY) - RESERVE // 4 + 1))
            await trio.sleep(2)
            assert journal.stalled
            assert PATH.name not in files.list(PATH.parent)
            durable = journal.durable
            await trio.sleep(5)
            assert journal.durable == durable
            nursery.cancel_scope.cancel()

    simulate(live)


def test_a_hub_starts_on_a_full_disk_and_waits() -> None:
    files = SimulatedFiles()

    async def live() -> None:
        async with watched(files) as journal:
            journal.append(b"one", None)
            await journal.wait_durable(journal.appended)
        files.capacity = files.used() + 100
        async with watched(files) as journal:
            assert journal.stalled
            journal.append(b"two", None)
            await trio.sleep(5)
            assert journal.durable < journal.appended
            files.capacity = None
            await journal.wait_durable(journal.appended)

    simulate(live)


def test_after_a_failed_sync_nothing_is_durable_any_more() -> None:
    for nth in range(1, 11):
        files = SimulatedFiles()
        told: list[int] = []

        async def live(files: SimulatedFiles = files, told: list[int] = told, nth: int = nth) -> None:
            journal = Journal(DIRECTORY, files, InlineWorker(), snapshot=lambda: b"marks")
            await journal.open()
            files.fail("sync", nth)
            try:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(journal.run)
                    for _ in range(12):
                        journal.append(b"record", None)
                        await journal.wait_durable(journal.appended)
                        told.append(journal.durable)
            except* JournalFailed:
                pass
            durable = journal.durable
            assert durable == told[-1] if told else True
            assert journal.statistics().failed
            try:
                journal.append(b"late", None)
            except JournalFailed:
                return
            raise AssertionError("a record was taken after the failure")

        simulate(live)
        assert len(told) == nth - 1
