import errno
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from hub.disk import DiskFiles
from hub.journal import Journal, JournalFailed
from hub.journal.recovery import recover
from hub.ports import InlineWorker, ThreadWorker
from tests.journal.driving import DIRECTORY, PowerCut, reopened, running
from tests.simulation.files import SimulatedFiles

pytestmark = pytest.mark.trio


async def everything(journal: Journal, after: int = 0, size: int = 4096) -> list[tuple[int, bytes]]:
    return [record async for chunk in journal.scan(after, size) for record in chunk]


async def test_a_group_is_durable_after_one_sync(autojump_clock: trio.testing.MockClock) -> None:
    files = SimulatedFiles()
    async with running(files, group_seconds=0.01) as (journal, _):
        syncs = files.calls["sync"]
        lsns = [journal.append(b"%d" % number, None) for number in range(100)]
        assert journal.durable == 1 < lsns[0]
        await journal.wait_durable(lsns[-1])
        assert files.calls["sync"] == syncs + 1
        assert journal.durable == journal.appended == 101


async def test_groups_are_not_closer_than_asked(autojump_clock: trio.testing.MockClock) -> None:
    async with running(SimulatedFiles(), group_seconds=0.01) as (journal, _):
        await journal.wait_durable(journal.append(b"first", None))
        began = trio.current_time()
        await journal.wait_durable(journal.append(b"second", None))
        assert trio.current_time() - began == pytest.approx(0.01)


async def test_p6_nothing_is_handed_out_before_it_is_durable(autojump_clock: trio.testing.MockClock) -> None:
    async with running(SimulatedFiles()) as (journal, _):
        journal.append(b"a", "a")
        assert journal.tail(1, 10) == []
        assert await everything(journal) == [(1, b"marks")]
        assert await journal.wait_beyond(1) == 2
        assert journal.tail(1, 10) == ["a"]
        assert await everything(journal) == [(1, b"marks"), (2, b"a")]


async def test_a_failed_sync_is_for_ever(autojump_clock: trio.testing.MockClock) -> None:
    files = SimulatedFiles()
    journal = Journal(DIRECTORY, files, InlineWorker(), snapshot=lambda: b"marks")
    await journal.open()
    files.fail("sync")

    async def run() -> None:
        with pytest.raises(JournalFailed, match="start the hub again"):
            await journal.run()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run)
        lsn = journal.append(b"never acked", None)
        with pytest.raises(JournalFailed):
            await journal.wait_durable(lsn)
    with pytest.raises(JournalFailed):
        journal.append(b"more", None)
    assert journal.durable == 1
    assert journal.statistics().failed


@pytest.mark.parametrize("what", ["append", "open", "sync_directory"])
async def test_any_other_fault_of_the_disk_is_for_ever_too(what: str, autojump_clock: trio.testing.MockClock) -> None:
    files = SimulatedFiles()
    journal = Journal(DIRECTORY, files, InlineWorker(), snapshot=lambda: b"marks")
    await journal.open()
    files.fail(what)
    journal.append(b"a", None)
    journal.roll()
    with pytest.raises(JournalFailed):
        await journal.run()


async def test_full_disk_stops_acks_until_there_is_space(autojump_clock: trio.testing.MockClock) -> None:
    files = SimulatedFiles()
    async with running(files) as (journal, _):
        files.capacity = files.used() + 50
        journal.append(b"a" * 100, None)
        journal.append(b"b" * 100, None)
        await trio.sleep(60)
        assert journal.stalled
        assert journal.durable == 1
        assert files.used() <= files.capacity
        last = journal.append(b"c" * 100, None)
        files.capacity = None
        await journal.wait_durable(last)
        assert not journal.stalled
        assert [payload[:1] for _, payload in await everything(journal)] == [b"m", b"a", b"b", b"c"]


@pytest.mark.parametrize("space", [10, 130, 150, 260])
async def test_a_disk_that_fills_up_at_a_roll_keeps_everything_in_order(
    space: int, autojump_clock: trio.testing.MockClock
) -> None:
    files = SimulatedFiles()
    async with running(files) as (journal, _):
        files.capacity = files.used() + space
        journal.append(b"a" * 100, None)
        journal.roll()
        last = journal.append(b"b" * 100, None)
        await trio.sleep(10)
        assert journal.stalled
        files.capacity = None
        await journal.wait_durable(last)
        assert [payload[:1] for _, payload in await everything(journal)] == [b"m", b"a", b"m", b"b"]
    assert [payload[:1] for payload in dict(recover(DIRECTORY, files)[0].records).values()] == [b"b"]


async def test_p9_the_old_segment_is_synced_before_the_next_one_is_begun(
    autojump_clock: trio.testing.MockClock,
) -> None:
    files = SimulatedFiles()
    async with running(files) as (journal, _):
        journal.append(b"old", None)
        journal.roll()
        last = journal.append(b"new", None)
        calls: list[str] = []
        files.on_call = calls.append
        await journal.wait_durable(last)
        old, opens, new = ["append", "sync"], ["open", "append", "sync", "sync_directory"], ["append", "sync"]
        assert calls == ["preallocate", *old, "truncate", *opens, "preallocate", *new]
    assert files.list(DIRECTORY) == [f"{1:020d}.journal", f"{3:020d}.journal"]


async def test_full_says_when_to_roll(autojump_clock: trio.testing.MockClock) -> None:
    async with running(SimulatedFiles(), segment_bytes=1000) as (journal, _):
        count = 0
        while not journal.full:
            journal.append(b"x" * 80, None)
            count += 1
        assert count == 10
        journal.roll(lambda lsn: f"marked {lsn}")
        assert journal.segment == journal.appended == 12
        assert not journal.full
        await journal.wait_durable(12)
        assert journal.tail(11, 1) == ["marked 12"]


async def test_the_tail_in_memory_is_bounded(autojump_clock: trio.testing.MockClock) -> None:
    async with running(SimulatedFiles(), tail_bytes=100_000) as (journal, _):
        for number in range(1001):  # in one group, which is not durable yet
            journal.append(b"x" * 300, number)
            assert journal.statistics().ring <= 100_000
        assert journal.tail(1, 10) is None
        await journal.wait_durable(1002)
        assert journal.tail(1, 10) is None
        tail = journal.tail(1002 - 80, 1000)
        assert tail is not None
        assert tail == list(range(921, 1001))
        assert journal.tail(1002 - 80, 3) == tail[:3]
        assert journal.tail(1002 - 80, 1000, 5_000) == tail[:4]  # by bytes, with what a companion weighs
        assert journal.tail(1002 - 80, 1000, 1) == tail[:1]
        assert journal.tail(1002, 3) == []


async def test_a_scan_begins_with_the_segment_and_ends_at_the_durable_end(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with running(SimulatedFiles()) as (journal, _):
        for _ in range(3):  # segments 1..5, 6..10, 11..15, 16
            for _ in range(4):
                journal.append(b"y" * 3000, None)
            journal.roll()
        await journal.wait_durable(journal.appended)
        assert [lsn for lsn, _ in await everything(journal, after=7)] == list(range(6, 17))
        assert [lsn for lsn, _ in await everything(journal, after=9)] == list(range(6, 17))
        assert [lsn for lsn, _ in await everything(journal, after=10)] == list(range(11, 17))
        assert [lsn for lsn, _ in await everything(journal, after=99)] == [16]


async def test_a_scan_goes_on_into_what_becomes_durable_meanwhile(autojump_clock: trio.testing.MockClock) -> None:
    async with running(SimulatedFiles()) as (journal, _):
        seen: list[int] = []
        async for chunk in journal.scan(0, 4096):
            seen += [lsn for lsn, _ in chunk]
            if len(seen) < 20:
                journal.append(b"z" * 2000, None)
                if len(seen) % 4 == 0:
                    journal.roll()
                await journal.wait_durable(journal.appended)
        assert seen == list(range(1, journal.appended + 1))


async def test_a_scan_tells_damage_and_reads_on(autojump_clock: trio.testing.MockClock) -> None:
    files = SimulatedFiles()
    async with running(files) as (journal, _):
        for _ in range(5):
            journal.append(b"w" * 100, None)
        journal.roll()
        await journal.wait_durable(journal.appended)
        files.content(DIRECTORY / f"{1:020d}.journal")[300] ^= 1
        assert [lsn for lsn, _ in await everything(journal)] == [1, 2, 3, 5, 6, 7]
        assert [(one.first_lsn, one.last_lsn) for one in journal.damage] == [(4, 4)]
        await everything(journal)
        assert journal.statistics().damaged == 1


async def test_p10_lsns_that_a_store_has_seen_are_not_given_again(autojump_clock: trio.testing.MockClock) -> None:
    files = SimulatedFiles()
    async with running(files) as (journal, _):
        await journal.wait_durable(journal.append(b"a", "a"))
    async with running(files) as (journal, _):
        journal.skip_to(17)
        assert journal.append(b"b", "b") == 18
        await journal.wait_durable(18)
        assert journal.tail(17, 5) == ["b"]
        assert await everything(journal) == [(1, b"marks"), (2, b"a"), (18, b"b")]


async def test_cancelling_in_the_middle_leaves_a_journal_that_opens(autojump_clock: trio.testing.MockClock) -> None:
    files = SimulatedFiles()
    async with running(files) as (journal, _):
        for number in range(10):
            journal.append(b"%d" % number, None)
    _, found = await trio.to_thread.run_sync(reopened, files)
    assert set(found) <= set(range(1, 12))


async def test_a_machine_that_stops_takes_the_loop_with_it(autojump_clock: trio.testing.MockClock) -> None:
    files = SimulatedFiles()

    def stop(what: str) -> None:
        if what == "sync":
            raise PowerCut

    with pytest.RaisesGroup(PowerCut):
        async with running(files) as (journal, _):
            files.on_call = stop
            await journal.wait_durable(journal.append(b"a", None))


async def test_on_a_real_disk(tmp_path: Path) -> None:
    worker = ThreadWorker()
    directory = tmp_path / "data" / "journal"

    def journal_of(**options: Any) -> Journal:
        return Journal(directory, DiskFiles(), worker, snapshot=lambda: b"marks", **options)

    journal = journal_of(segment_bytes=5000)
    await journal.open()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(journal.run)
        for number in range(200):
            if journal.full:
                journal.roll()
            journal.append(b"%d" % number * 20, number)
        await journal.wait_durable(journal.appended)
        nursery.cancel_scope.cancel()
    await journal.close()
    assert len(list(directory.iterdir())) > 2

    again = journal_of()
    recovery = await again.open()
    assert recovery.damage == []
    assert again.appended == again.durable == journal.appended
    payloads = [payload for _, payload in await everything(again) if payload != b"marks"]
    assert payloads == [b"%d" % number * 20 for number in range(200)]
    await again.close()


async def test_no_space_for_a_first_segment_is_said_at_once(autojump_clock: trio.testing.MockClock) -> None:
    files = SimulatedFiles()
    files.fail("append", error=errno.ENOSPC)
    with pytest.raises(OSError, match="make space"):
        await Journal(DIRECTORY, files, InlineWorker(), snapshot=lambda: b"marks").open()
