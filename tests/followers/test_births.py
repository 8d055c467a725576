"""P9: a birth stands in every segment that needs it, so one that is damaged costs nothing where a copy is left."""

import pytest
import trio.testing

from hub.followers.reader import Reader
from hub.ingest.marks import Marks
from hub.journal.archiving import archive_segment
from hub.journal.recovery import recover
from hub.journal.segments import segment_path, segments
from hub.upkeep.collected import SegmentCount
from hub.upkeep.verify import Claims, verify
from hub.wire.kept import Born, Kept
from hub.wire.records import pack_born
from tests.followers.making import Ink, journaling
from tests.simulation.files import SimulatedFiles

pytestmark = pytest.mark.trio


def again(ink: Ink) -> None:
    """The birth in the next segment, as ingest writes it there."""
    birth = ink.births["pump-1"]
    ink.journal.roll()
    ink.journal.append(pack_born(birth), Born(ink.journal.appended + 1, birth))


def flip(ink: Ink, segment: int, number: int) -> None:
    """One bit in the record ``number`` of a segment."""
    files = ink.journal.files
    assert isinstance(files, SimulatedFiles)
    content = bytearray(files.content(segment_path(ink.journal.directory, segment)))
    at = 0
    for _ in range(number):
        at += 20 + int.from_bytes(content[at + 4 : at + 8], "little")
    content[at + 25] ^= 4
    files.damage(segment_path(ink.journal.directory, segment), bytes(content))


async def read(ink: Ink) -> list[int]:
    """The seqs of the batches that a follower reads from disk."""
    reader, seqs = Reader(ink.journal, 0), []
    while reader.position < ink.journal.durable:
        seqs += [entry.seq for entry in await reader.next(100) if isinstance(entry, Kept)]
    return seqs


@pytest.mark.parametrize("damaged", [0, 1, 2])
@pytest.mark.parametrize("archived", [False, True])
async def test_p9_a_flipped_birth_costs_no_reading_where_another_segment_has_it(
    damaged: int, archived: bool, autojump_clock: trio.testing.MockClock
) -> None:
    async with journaling(tail_bytes=1) as ink:
        ink.keep(1)
        again(ink)
        ink.keep(2)
        again(ink)
        ink.keep(3)
        await ink.durable()
        ink.keep(4)  # memory lets go of the others
        await ink.durable()
        files, directory = ink.journal.files, ink.journal.directory
        firsts = segments(directory, files)
        flip(ink, firsts[damaged], 1)
        if archived:
            for first, following in ink.journal.on_disk.closed():
                for _ in archive_segment(directory, files, first, following):
                    pass
        assert await read(ink) == [1, 2, 3, 4]
        lost = [(one.first_lsn, one.last_lsn) for one in ink.journal.damage]
        assert lost == [(firsts[damaged] + 1, firsts[damaged] + 1)]
        recount = verify(Claims(directory, ink.journal.durable, [], {}, 0, False), files)
        assert recount.entries[0]["received"] == 8
        for first, following in ink.journal.on_disk.closed():
            count = SegmentCount({})
            for _ in count.steps(directory, files, first, following):
                pass
            assert count.tally.rows["pump-1", 1].received == 2


async def test_p9_recovery_finds_the_birth_of_a_record_in_an_older_segment(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with journaling() as ink:
        ink.journal._snapshot = lambda: b"\x05" + Marks().snapshot()
        ink.roll()
        ink.keep(1)
        again(ink)
        ink.keep(2)
        await ink.durable()
        flip(ink, segments(ink.journal.directory, ink.journal.files)[-1], 1)
        marks = Marks()
        assert marks.recover(recover(ink.journal.directory, ink.journal.files)[0]) == []
        current = marks.of("pump-1").current
        assert current is not None
        assert 2 in current


async def test_p9_a_birth_of_which_no_copy_is_left_costs_its_batches_and_is_told(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with journaling(tail_bytes=1) as ink:
        ink.keep(1)
        ink.roll()
        ink.keep(2, device="pump-2")
        await ink.durable()
        flip(ink, 1, 1)
        assert await read(ink) == [2]
        assert {(one.first_lsn, one.last_lsn) for one in ink.journal.damage} == {(2, 2), (3, 3)}
