"""A full disk, on simulated files with a budget: the reserve is given up, and is back before anything is durable."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import trio

from hub.journal import Journal, JournalFailed, Reserve
from hub.ports import InlineWorker
from tests.journal.driving import DIRECTORY, running, simulate
from tests.simulation.files import SimulatedFiles

RESERVE = 40_000
PATH = Path("/data/journal-reserve")


@asynccontextmanager
async def watched(files: SimulatedFiles) -> AsyncIterator[Journal]:
    reserve = Reserve(PATH, files, RESERVE)
    reserve.begin()
    async with running(files, reserve=reserve) as (journal, _), trio.open_nursery() as nursery:
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
