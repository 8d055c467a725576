"""The one loop: every entry once and in order, whatever fails and however far behind."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from hub.followers import Follower, Followers, MirrorFollower, StoreFollower
from hub.followers.reader import Reader
from hub.ports import InlineWorker
from hub.wire.kept import Entry, Kept
from tests.followers.making import Ink, journaling
from tests.simulation.files import SimulatedFiles

pytestmark = pytest.mark.trio


class Collecting:
    """Remembers what it took; refuses as often as it is told to."""

    def __init__(self, name: str = "collecting", *, at_end: bool = False, pace: float = 0.0, batch: int = 100) -> None:
        self.name, self.at_end, self.pace, self.batch = name, at_end, pace, batch
        self.cursor = 0
        self.groups: list[list[Entry]] = []
        self.times: list[float] = []
        self.refuse = 0

    async def start(self) -> int:
        if self.refuse:
            self.refuse -= 1
            raise OSError("no disk")
        return self.cursor

    async def take(self, entries: Sequence[Entry], cursor: int) -> None:
        self.times.append(trio.current_time())
        if self.refuse:
            self.refuse -= 1
            raise OSError("no disk")
        self.groups.append(list(entries))
        self.cursor = cursor
        assert entries[-1].lsn <= cursor

    @property
    def seqs(self) -> list[int]:
        return [entry.seq for group in self.groups for entry in group if isinstance(entry, Kept)]


@asynccontextmanager
async def following(ink: Ink, *followers: Follower, **options: Any) -> AsyncIterator[Followers]:
    loop = Followers(ink.journal, followers, **options)
    async with trio.open_nursery() as nursery:
        await nursery.start(loop.run)
        yield loop
        nursery.cancel_scope.cancel()


async def test_p6_nothing_is_taken_before_it_is_durable(autojump_clock: MockClock) -> None:
    follower = Collecting()
    async with journaling(group_seconds=0.005) as ink, following(ink, follower):
        await trio.testing.wait_all_tasks_blocked()
        ink.keep(1)
        assert follower.seqs == []
        lsn = await ink.durable()
        ink.keep(2)
        await trio.testing.wait_all_tasks_blocked()
        assert all(entry.lsn <= ink.journal.durable for group in follower.groups for entry in group)
        assert lsn < ink.journal.appended


async def test_followers_each_entry_once_and_in_order_from_its_cursor(autojump_clock: MockClock) -> None:
    early, late = Collecting("early"), Collecting("late")
    async with journaling() as ink:
        for seq in range(1, 251):
            ink.keep(seq)
        late.cursor = ink.journal.appended - 50
        async with following(ink, early, late) as loop:
            await loop.reached(await ink.durable())
            for seq in range(251, 301):
                ink.keep(seq)
            await loop.reached(await ink.durable())
    assert early.seqs == list(range(1, 301))
    assert late.seqs == list(range(201, 301))
    assert max(len(group) for group in early.groups) == 100


async def test_who_is_behind_the_tail_reads_the_disk_and_gets_the_same(autojump_clock: MockClock) -> None:
    async with journaling(tail_bytes=20_000, segment_bytes=10_000) as ink:
        for seq in range(1, 401):
            if ink.journal.full:
                ink.roll()
            ink.keep(seq)
            if seq % 50 == 0:
                await ink.durable()
        assert ink.journal.tail(0, 10) is None
        follower = Collecting()
        async with following(ink, follower) as loop:
            await loop.reached(ink.journal.durable)
    assert follower.seqs == list(range(1, 401))


async def test_full_disk_what_waits_is_no_longer_decoded_in_memory_and_is_taken_all_the_same(
    autojump_clock: MockClock,
) -> None:
    follower = Collecting()
    async with journaling(tail_bytes=20_000, ahead_bytes=0) as ink, following(ink, follower) as loop:
        ink.keep(1)
        await loop.reached(await ink.durable())
        files = ink.journal.files
        assert isinstance(files, SimulatedFiles)
        files.capacity = files.used()
        for seq in range(2, 401):
            ink.keep(seq)
        await trio.sleep(1)
        assert ink.journal.stalled
        assert ink.journal.statistics().ring <= 20_000
        files.capacity = None
        await loop.reached(await ink.durable())
    assert follower.seqs == list(range(1, 401))


async def test_followers_tail_and_disk_give_the_same_entries(autojump_clock: MockClock) -> None:
    async with journaling() as ink:
        for seq in range(1, 30):
            ink.keep(seq, device=f"pump-{seq % 3}")
        ink.epoch(2, 1, "null_hello")
        ink.gap(30, 35)
        ink.roll()
        ink.keep(40)
        await ink.durable()
        near, far = Reader(ink.journal, 5), Reader(ink.journal, 5)
        tail, disk = [], []
        while near.position < ink.journal.durable:
            tail += await near.next(7)
        ink.journal._ring.restart(ink.journal.durable + 1)  # memory has none of them any more
        while far.position < ink.journal.durable:
            disk += await far.next(7)
    assert [plain(entry) for entry in tail] == [plain(entry) for entry in disk]


def plain(entry: Any) -> Any:
    """All of it but ``through``, which records do not carry; births by what they say."""
    fields = entry._asdict() if isinstance(entry, Kept) else {n: getattr(entry, n) for n in entry.__slots__}
    fields.pop("through", None)
    if "birth" in fields:
        birth = fields["birth"]
        fields["birth"] = (birth.id, birth.device, birth.metrics)
    return fields


async def test_a_failure_is_told_and_the_same_is_handed_over_again(autojump_clock: MockClock) -> None:
    follower, other = Collecting(), Collecting("other")
    failures: list[str] = []
    async with (
        journaling() as ink,
        following(ink, follower, other, failed=lambda name, exc: failures.append(f"{name}: {exc}")) as loop,
    ):
        ink.keep(1)
        await loop.reached(await ink.durable())
        follower.refuse = 4
        follower.times.clear()
        ink.keep(2)
        await ink.durable()
        await trio.sleep(0.05)
        [status, fine] = loop.status()
        assert (status["healthy"], status["error"], status["lag"]) == (False, "OSError: no disk", 1)
        assert (fine["healthy"], fine["lag"]) == (True, 0)
        ink.keep(3)
        await loop.reached(await ink.durable())
        assert loop.status()[0]["healthy"]
    assert follower.seqs == [1, 2, 3]
    assert failures == ["collecting: no disk"]
    waits = [after - before for before, after in pairwise(follower.times[:5])]
    assert waits == pytest.approx([0.1, 0.2, 0.4, 0.8])


async def test_one_that_cannot_open_is_tried_again(autojump_clock: MockClock) -> None:
    follower = Collecting()
    follower.refuse = 3
    async with journaling() as ink:
        ink.keep(1)
        async with following(ink, follower) as loop:
            await loop.reached(await ink.durable())
    assert follower.seqs == [1]


async def test_who_has_had_everything_before_is_not_waited_for(autojump_clock: MockClock) -> None:
    follower = Collecting()
    async with journaling() as ink:
        ink.keep(1)
        follower.cursor = await ink.durable()
        follower.refuse = 1  # it opens only after somebody has begun to wait
        async with following(ink, follower) as loop:
            with trio.fail_after(5):
                await loop.reached(ink.journal.durable)


async def test_acks_and_live_begin_at_the_end(autojump_clock: MockClock) -> None:
    follower = Collecting(at_end=True)
    async with journaling() as ink:
        ink.keep(1)
        await ink.durable()
        async with following(ink, follower) as loop:
            ink.keep(2)
            await loop.reached(await ink.durable())
    assert follower.seqs == [2]


async def test_little_is_gathered_and_much_is_not_waited_for(autojump_clock: MockClock) -> None:
    follower = Collecting(pace=0.2, batch=50)
    async with journaling() as ink, following(ink, follower) as loop:
        for seq in range(1, 41):
            ink.keep(seq)
            await trio.sleep(0.02)
        await loop.reached(await ink.durable())
        few = len(follower.groups)
        for seq in range(41, 541):
            ink.keep(seq)
        began = trio.current_time()
        await loop.reached(await ink.durable())
    assert 4 <= few <= 6
    assert all(
        later - earlier >= 0.199
        for earlier, later in zip(follower.times[: few - 1], follower.times[1:few], strict=True)
    )
    assert trio.current_time() - began < 0.5
    assert follower.seqs == list(range(1, 541))


async def test_numbers_that_are_missing_are_passed_over(autojump_clock: MockClock) -> None:
    follower = Collecting()
    async with journaling() as ink:
        ink.keep(1)
        await ink.durable()
        ink.journal.skip_to(ink.journal.appended + 500)
        async with following(ink, follower) as loop:
            ink.keep(2)
            await loop.reached(await ink.durable())
    assert follower.seqs == [1, 2]


class Shelf:
    """A store and mirror in a list."""

    name = "shelf"

    def __init__(self) -> None:
        self.cursor = 0
        self.taken: list[Entry] = []

    def open(self) -> int:
        return self.cursor

    def take(self, entries: Sequence[Entry], cursor: int = 0) -> None:
        self.taken += entries
        self.cursor = cursor


async def test_stores_and_mirrors_are_fed(autojump_clock: MockClock, tmp_path: Any) -> None:
    from hub.state import State

    state = State(tmp_path / "state.sqlite")
    state.open()
    store, mirror = Shelf(), Shelf()
    mirror.name = "mirror"
    worker = InlineWorker()
    async with journaling() as ink:
        ink.keep(1)
        followers = (StoreFollower(store, worker), MirrorFollower(mirror, worker, state, worker))
        async with following(ink, *followers) as loop:
            await loop.reached(await ink.durable())
        assert store.cursor == state.cursors.get("mirror") == ink.journal.durable
    assert [entry.lsn for entry in store.taken] == [entry.lsn for entry in mirror.taken] == [1, 2, 3]
    state.close()


async def test_a_mirror_knows_what_it_missed_up_to_its_cursor(autojump_clock: MockClock, tmp_path: Any) -> None:
    from hub.state import State

    state = State(tmp_path / "state.sqlite")
    state.open()
    worker = InlineWorker()
    follower = MirrorFollower(Shelf(), worker, state, worker)
    async with journaling() as ink:
        kept = {entry.lsn: entry for entry in [ink.keep(seq) for seq in range(1, 7)]}
    await follower.start()
    assert list(kept) == [3, 4, 5, 6, 7, 8], "marks and a birth come before them"
    await follower.take([kept[3], kept[5]], 7)  # 4 is damaged, and 6 and 7 say nothing any more
    await follower.take([kept[8]], 8)
    assert follower.missing == state.cursors.missed("shelf") == [(1, 2), (4, 4), (6, 7)]
    state.close()


async def test_a_stop_waits_for_who_has_failed_and_can_again(autojump_clock: MockClock) -> None:
    follower = Collecting()
    async with journaling() as ink, following(ink, follower) as loop:
        follower.refuse = 1
        ink.keep(1)
        await ink.durable()
        await trio.testing.wait_all_tasks_blocked()
        assert loop.status()[0]["error"] is not None
        with trio.fail_after(10):
            await loop.settled(ink.journal.durable)
        assert follower.seqs == [1]


async def test_a_stop_does_not_wait_for_who_can_take_nothing(autojump_clock: MockClock) -> None:
    """Such as a store that another process has open: it goes on after the next start."""
    stuck, good = Collecting("stuck", pace=3.0), Collecting("good")
    async with journaling() as ink, following(ink, stuck, good) as loop:
        ink.keep(1)
        await ink.durable()
        await loop.reached(ink.journal.durable)
        stuck.refuse = 10**6
        ink.keep(2)
        await ink.durable()
        with trio.fail_after(10):
            await loop.settled(ink.journal.durable)
        assert (good.seqs, stuck.seqs) == ([1, 2], [1])
        assert trio.current_time() >= stuck.times[-1] >= 3.0, "it had its chance"
