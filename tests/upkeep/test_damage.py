"""P10, archive: damage to archived segments is told by the proof as the exact records, and the rest is read."""

from collections.abc import Callable
from pathlib import Path

import pytest
import trio
import trio.testing

from hub.journal.archive import HEADER_SIZE, ArchivedSegment, archive_path
from hub.journal.segments import segments
from tests.journal.driving import DIRECTORY
from tests.simulation.files import SimulatedFiles
from tests.upkeep.keeping import Keeping, keeping, segment_of_readings

pytestmark = pytest.mark.trio

FIRSTS = [1, 8, 15, 22]  # marks, a birth, five batches; the last has only marks


def flip(content: bytearray, blocks: ArchivedSegment) -> bytes:
    content[blocks.blocks[0].at + HEADER_SIZE + 9] ^= 1
    return bytes(content)


def flip_index(content: bytearray, blocks: ArchivedSegment) -> bytes:
    content[-30] ^= 1
    return bytes(content)


def cut(content: bytearray, blocks: ArchivedSegment) -> bytes:
    return bytes(content[:40])


def empty(content: bytearray, blocks: ArchivedSegment) -> bytes:
    return b""


async def archived(rooms: Keeping) -> None:
    for number in range(3):
        await segment_of_readings(rooms, 1 + 5 * number)
    await rooms.settled()
    assert segments(DIRECTORY, rooms.files) == FIRSTS
    assert [name[-8:] for name in rooms.files.list(DIRECTORY)] == [".archive"] * 3 + [".journal"]


@pytest.mark.parametrize("harm", [flip, cut, empty])
@pytest.mark.parametrize("at", [0, 1, 2])
async def test_p10_a_damaged_archive_is_told_as_the_records_that_are_gone(
    harm: Callable[[bytearray, ArchivedSegment], bytes], at: int, autojump_clock: trio.testing.MockClock, tmp_path: Path
) -> None:
    files = SimulatedFiles()
    async with keeping(files, tmp_path) as rooms:
        await archived(rooms)
        path = archive_path(DIRECTORY, FIRSTS[at])
        blocks = ArchivedSegment(files.open(path))
        files.damage(path, harm(bytearray(files.content(path)), blocks))
        recount = await rooms.verify()
        told = [problem for problem in recount.problems if problem.startswith("the journal is damaged")]
        assert told == [f"the journal is damaged: records {FIRSTS[at]} to {FIRSTS[at + 1] - 1} are missing"]
        assert recount.records == 22 - 7, "all the others are read"


async def test_p10_damage_where_the_archive_has_a_copy_costs_nothing_and_is_told(
    autojump_clock: trio.testing.MockClock, tmp_path: Path
) -> None:
    files = SimulatedFiles()
    async with keeping(files, tmp_path) as rooms:
        await archived(rooms)
        path = archive_path(DIRECTORY, 8)
        files.damage(path, flip_index(bytearray(files.content(path)), ArchivedSegment(files.open(path))))
        recount = await rooms.verify()
        assert recount.problems == ["the archive of segment 8 is damaged, where it costs no record"]
        assert recount.records == 22


@pytest.mark.parametrize("at", [0, 1, 2])
async def test_p10_a_missing_archive_is_told_as_the_records_that_are_gone(
    at: int, autojump_clock: trio.testing.MockClock, tmp_path: Path
) -> None:
    files = SimulatedFiles()
    async with keeping(files, tmp_path) as rooms:
        await archived(rooms)
        files.remove(archive_path(DIRECTORY, FIRSTS[at]))
        recount = await rooms.verify()
        told = [problem for problem in recount.problems if problem.startswith("the journal is damaged")]
        assert told == [f"the journal is damaged: records {FIRSTS[at]} to {FIRSTS[at + 1] - 1} are missing"]
        assert recount.records == 15
