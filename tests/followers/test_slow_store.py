"""A store that blocks costs disk, not ingest: acks go on, memory stays bounded, and it catches up afterwards."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from hub.followers import Acks, Followers, StoreFollower
from hub.wire.kept import Entry, Kept
from tests.followers.making import journaling

pytestmark = pytest.mark.trio

TAIL_BYTES = 200_000  # of memory for the newest records: some 250 rows
ROWS = 3_000


class StuckWorker:
    """Lets no call of ``take`` begin until it is released, as a disk does that has stopped answering."""

    def __init__(self) -> None:
        self.released = trio.Event()
        self.waiting = 0

    async def run(self, call: Callable[..., Any], *args: Any) -> Any:
        if args:
            self.waiting += 1
            await self.released.wait()
        return call(*args)


class Shelf:
    """A store in a list."""

    name = "store"

    def __init__(self) -> None:
        self.cursor = 0
        self.seqs: list[int] = []

    def open(self) -> int:
        return self.cursor

    def take(self, entries: Sequence[Entry], cursor: int) -> None:
        self.seqs += [entry.seq for entry in entries if isinstance(entry, Kept)]
        self.cursor = cursor


async def test_a_store_that_is_stuck_costs_disk_and_not_ingest(autojump_clock: MockClock) -> None:
    acked: list[int] = []
    acks = Acks(lambda device, epoch, through: acked.append(through), lambda device, reject: None)
    worker, shelf = StuckWorker(), Shelf()
    async with journaling(tail_bytes=TAIL_BYTES, segment_bytes=100_000) as ink:
        followers = Followers(ink.journal, [acks, StoreFollower(shelf, worker)])
        async with trio.open_nursery() as nursery:
            await nursery.start(followers.run)
            largest = 0
            for seq in range(1, ROWS + 1):
                if ink.journal.full:
                    ink.roll()
                ink.keep(seq)
                if seq % 50 == 0:
                    await followers.reached(await ink.durable(), ["acks"])
                    largest = max(largest, ink.journal.statistics().ring)
            assert worker.waiting == 1, "the store is stuck in its first take"
            assert acked[-1] == ROWS, "acks go on"
            assert 0 < largest <= TAIL_BYTES, "memory is bounded, and told by the gauge"
            lag = {each["name"]: each["lag"] for each in followers.status()}
            assert lag["acks"] == 0
            assert lag["store"] > ROWS
            worker.released.set()
            await followers.reached(ink.journal.durable)
            nursery.cancel_scope.cancel()
    assert shelf.seqs == list(range(1, ROWS + 1)), "what memory had let go of came from the disk, each once"
