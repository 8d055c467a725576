"""A mirror may hold back collecting for its hold and no longer; what it missed by that is told exactly."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from hub.journal.segments import segments
from hub.store.base import StoreError
from hub.upkeep.collector import Hold
from hub.wire.kept import Entry, Kept
from tests.journal.driving import DIRECTORY
from tests.simulation.files import SimulatedFiles
from tests.upkeep.keeping import DAY, HandClock, Keeping, keeping, segment_of_readings

pytestmark = pytest.mark.trio

WEEK = 7 * DAY
ROOM = 1 << 30  # bytes; more than a test writes


class Elsewhere:
    """A mirror that can be down."""

    name = "elsewhere"

    def __init__(self, *, up: bool = True) -> None:
        self.up = up
        self.seqs: list[int] = []
        self.lsns: list[int] = []

    def take(self, entries: Sequence[Entry]) -> None:
        if not self.up:
            raise StoreError("it is down")
        self.lsns += [entry.lsn for entry in entries]
        self.seqs += [entry.seq for entry in entries if isinstance(entry, Kept)]


async def three_segments(rooms: Keeping) -> None:
    """Batches 1 to 15, five in a segment of seven records, a fortnight apart; the first has expired for 12 days."""
    for number in range(3):
        await segment_of_readings(rooms, 1 + 5 * number)
        await rooms.settled()
        rooms.clock.time += 14 * DAY
    await rooms.settled()


def missing(rooms: Keeping) -> list[list[int]]:
    (status,) = [each for each in rooms.followers.status() if each["name"] == "elsewhere"]
    return status["missing"]


async def test_archive_a_mirror_that_is_down_holds_a_segment_back_for_its_hold_and_then_has_an_exact_gap(
    autojump_clock: trio.testing.MockClock, tmp_path: Path
) -> None:
    files, clock, mirror = SimulatedFiles(), HandClock(), Elsewhere()
    options: dict[str, Any] = {"writer": mirror, "hold": Hold(ROOM, 13 * DAY), "tail_bytes": 2_000}
    async with keeping(files, tmp_path, clock=clock, **options) as rooms:
        rooms.ink.keep(1)
        await rooms.settled()
        mirror.up = False
        rooms.ink.keep(2)
        await rooms.settled()  # it has this one in memory, to be sent again and again
        await segment_of_readings(rooms, 3, 3)
        clock.time += 14 * DAY
        for number in (1, 2):
            await segment_of_readings(rooms, 1 + 5 * number)
            await rooms.settled()
            clock.time += 14 * DAY
        await rooms.settled()
        assert segments(DIRECTORY, files)[0] == 1, "12 days: it is waited for"
        (entry,) = await rooms.ledger.entries()
        assert (entry["stored"], entry["expired"]) == (20, entry["received"] - 20), "expired all the same"
        clock.time += 2 * DAY
        await rooms.settled()
        assert segments(DIRECTORY, files)[0] == 8, "14 days: it is not"
        assert missing(rooms) == [], "what it missed is known when it takes something again"
        mirror.up = True
        await trio.sleep(30)
        gap = missing(rooms)
        missed = [lsn for first, last in gap for lsn in range(first, last + 1)]
        assert sorted(mirror.lsns + missed) == list(range(1, rooms.journal.durable + 1)), "each once, here or there"
        assert gap == [[5, 7]], "the batches 3, 4 and 5"
        assert mirror.seqs == [1, 2, *range(6, 16)]
    taken = len(mirror.seqs)
    async with keeping(files, tmp_path, clock=clock, writer=mirror) as rooms:
        await trio.sleep(5)
        assert missing(rooms) == gap, "it is remembered"
        assert len(mirror.seqs) == taken, "and nothing is sent twice"


async def test_archive_the_gap_of_a_mirror_is_the_records_that_it_never_got(
    autojump_clock: trio.testing.MockClock, tmp_path: Path
) -> None:
    files, clock = SimulatedFiles(), HandClock()
    async with keeping(files, tmp_path, clock=clock, writer=Elsewhere(up=False), hold=Hold(ROOM, WEEK)) as rooms:
        await three_segments(rooms)
        assert segments(DIRECTORY, files)[0] == 8
    mirror = Elsewhere()
    async with keeping(files, tmp_path, clock=clock, writer=mirror, hold=Hold(ROOM, WEEK)) as rooms:
        await trio.sleep(5)
        assert mirror.seqs == list(range(6, 16)), "it goes on from the archive"
        assert missing(rooms) == [[1, 7]]
        assert (await rooms.verify()).problems == []


@pytest.mark.parametrize(("size", "first"), [(ROOM, 1), (0, 8)])
async def test_archive_a_mirror_holds_back_no_more_bytes_than_its_hold(
    size: int, first: int, autojump_clock: trio.testing.MockClock, tmp_path: Path
) -> None:
    files = SimulatedFiles()
    async with keeping(files, tmp_path, writer=Elsewhere(up=False), hold=Hold(size, 20 * DAY)) as rooms:
        await three_segments(rooms)
        assert segments(DIRECTORY, files)[0] == first


async def test_archive_a_mirror_that_keeps_up_misses_nothing(
    autojump_clock: trio.testing.MockClock, tmp_path: Path
) -> None:
    files, mirror = SimulatedFiles(), Elsewhere()
    async with keeping(files, tmp_path, writer=mirror, hold=Hold(0, 0)) as rooms:
        await three_segments(rooms)
        assert segments(DIRECTORY, files)[0] == 8
        assert mirror.seqs == list(range(1, 16))
        assert missing(rooms) == []
        durable = rooms.journal.durable
        mirror.up = False
        rooms.ink.keep(16)
        await rooms.journal.wait_durable(durable + 1)  # acks never wait for it
