"""Space is preallocated ahead of the records: what is not used reads as zeros, and is no damage."""

import errno
import os
from pathlib import Path

import pytest
import trio

from hub.disk import DiskFiles
from hub.journal import Journal
from hub.journal.archive import ArchivedSegment, archive_path, open_segment
from hub.journal.archiving import archive_segment
from hub.journal.recovery import survey
from hub.journal.segments import SegmentReader, segment_path
from hub.ports import InlineWorker
from tests.journal.driving import AHEAD, DIRECTORY, Life, reopened, running, simulate
from tests.simulation.files import SimulatedFile, SimulatedFiles


def test_a_segment_is_preallocated_in_steps_and_never_beyond_its_size() -> None:
    files = SimulatedFiles()
    sizes: list[int] = []

    async def live() -> None:
        async with running(files, segment_bytes=10_000) as (journal, _):
            while not journal.full:
                journal.append(bytes(900), None)
                await journal.wait_durable(journal.appended)
                sizes.append(len(files.content(segment_path(DIRECTORY, 1))))

    simulate(live)
    first, second, last = sorted(set(sizes))
    assert AHEAD < first < AHEAD + 1_100
    assert second == 10_000
    assert last == len(files.written(segment_path(DIRECTORY, 1))), "the record that fills it may need a little more"


def test_a_roll_and_a_clean_end_cut_a_segment_to_its_real_end() -> None:
    files = SimulatedFiles()

    async def live() -> None:
        async with running(files) as (journal, _):
            for _ in range(2):
                journal.append(b"record", None)
                await journal.wait_durable(journal.appended)
                journal.roll()
                journal.append(b"record", None)
                await journal.wait_durable(journal.appended)
        await journal.close()

    simulate(live)
    for name in files.list(DIRECTORY):
        assert bytes(files.content(DIRECTORY / name)) == files.written(DIRECTORY / name), name


def test_p10_what_a_killed_hub_had_preallocated_is_no_damage() -> None:
    files = SimulatedFiles()
    life = Life(files)
    assert life.live([10, 20, 30, "sync"])
    path = segment_path(DIRECTORY, 1)
    assert len(files.content(path)) > len(files.written(path))
    recovery, found = reopened(files)
    assert recovery.damage == []
    assert found == life.appended
    assert bytes(files.content(path)).endswith(life.appended[4])


def test_p10_zeros_between_records_are_damage_and_so_are_other_bytes_after_the_last() -> None:
    files = SimulatedFiles()
    life = Life(files)
    assert life.live([500, 500, 500, "sync"])
    path = segment_path(DIRECTORY, 1)
    whole = bytes(files.content(path))
    files.damage(path, whole[:60] + bytes(600) + whole[660:])
    recovery, found = reopened(files)
    assert sorted(found) == [1, 4]
    assert [(one.first_lsn, one.last_lsn) for one in recovery.damage] == [(2, 3)]
    files.damage(path, whole[:-1] + b"\1")
    recovery, found = reopened(files)
    assert found == life.appended
    assert [(one.first_lsn, one.last_lsn) for one in recovery.damage] == [(5, None)]


def closed_with_zeros(count: int) -> tuple[SimulatedFiles, Life]:
    """A closed segment whose cut at the roll did not reach the disk."""
    files = SimulatedFiles()
    life = Life(files)
    assert life.live([100, 200, "roll", 10, "sync"])
    path = segment_path(DIRECTORY, 1)
    files.damage(path, bytes(files.content(path)) + bytes(count))
    return files, life


@pytest.mark.parametrize("count", [1, 19, 5_000, 2 * 1024 * 1024])
def test_p10_zeros_at_the_end_of_a_closed_segment_are_no_damage_unless_records_are_missing(count: int) -> None:
    files, _ = closed_with_zeros(count)
    assert survey(DIRECTORY, files, 1, 4).damage == []
    path = segment_path(DIRECTORY, 1)
    content = bytes(files.content(path))
    start = content.rindex(b"\xf5TJ")
    files.damage(path, content[:start] + bytes(len(content) - start))
    (damage,) = survey(DIRECTORY, files, 1, 4).damage
    assert (damage.first_lsn, damage.last_lsn, damage.offset, damage.length) == (3, 3, start, len(content) - start)


def test_p10_a_tail_that_the_disk_does_not_read_is_damage(monkeypatch: pytest.MonkeyPatch) -> None:
    files, _ = closed_with_zeros(10_000)
    read = SimulatedFile.read

    def bad_block(self: SimulatedFile, offset: int, size: int) -> bytes:
        if offset + size > 8_192:
            raise OSError(errno.EIO, "bad block")
        return read(self, offset, size)

    monkeypatch.setattr(SimulatedFile, "read", bad_block)
    assert [(one.first_lsn, one.last_lsn) for one in survey(DIRECTORY, files, 1, 4).damage] == [(4, 3)]


def test_archive_takes_the_real_part_of_a_segment_only() -> None:
    files, life = closed_with_zeros(300_000)
    real = bytes(files.content(segment_path(DIRECTORY, 1)))[:-300_000]
    for _ in archive_segment(DIRECTORY, files, 1, 4):
        pass
    assert archive_path(DIRECTORY, 1).name in files.list(DIRECTORY)
    file = open_segment(DIRECTORY, files, 1)
    assert isinstance(file, ArchivedSegment)
    assert file.read(0, 1 << 20) == real
    reader = SegmentReader(file, 1, following=4)
    assert dict(reader.read()) == {lsn: life.appended[lsn] for lsn in (1, 2, 3)}


def test_p10_the_last_block_of_an_archive_that_is_damaged_is_not_taken_for_preallocated_space() -> None:
    files = SimulatedFiles()
    assert Life(files).live([50_000, 50_000, "roll", "sync"])
    for _ in archive_segment(DIRECTORY, files, 1, 4):
        pass
    files.remove(segment_path(DIRECTORY, 4))
    path = archive_path(DIRECTORY, 1)
    blocks = ArchivedSegment(files.open(path)).blocks  # type: ignore[arg-type]
    assert len(blocks) == 2
    content = bytearray(files.content(path))
    content[blocks[1].at + 50] ^= 1
    files.damage(path, bytes(content))
    recovery, found = reopened(files)
    assert sorted(found) == [1, 2]
    assert [(one.first_lsn, one.last_lsn) for one in recovery.damage] == [(3, None)]


def test_full_disk_is_met_before_a_record_is_begun_and_its_last_bytes_are_used() -> None:
    files = SimulatedFiles()

    async def live() -> None:
        async with running(files) as (journal, _):
            files.capacity = files.used() + AHEAD // 2  # too little for a whole step
            while not journal.stalled:
                begun = files.calls["append"]
                last = journal.append(bytes(1_000), None)
                await trio.sleep(0.1)
            assert last > 3
            assert files.calls["append"] == begun, "nothing is begun for which there is no space"
            assert files.capacity - files.used() < 1_020
            files.capacity = None
            await journal.wait_durable(last)

    simulate(live)


def test_a_failing_preallocation_other_than_for_space_ends_the_journal() -> None:
    files = SimulatedFiles()

    async def live() -> None:
        journal = Journal(DIRECTORY, files, InlineWorker(), snapshot=lambda: b"marks")
        await journal.open()
        files.fail("preallocate")
        journal.append(b"record", None)
        with pytest.raises(Exception, match="refused to keep the journal"):
            await journal.run()

    simulate(live)


# --- the real disk ---------------------------------------------------------------------------------------------------


def test_a_preallocated_file_of_the_disk_has_the_space_and_is_appended_to_where_it_ended(tmp_path: Path) -> None:
    path = tmp_path / "file"
    file = DiskFiles().open(path, create=True)
    file.append(b"one")
    file.preallocate(100_000)
    assert file.size() == 3
    assert path.stat().st_size == 100_000
    assert path.stat().st_blocks * 512 >= 98_304
    file.append(b"two")
    file.preallocate(50_000)
    assert path.read_bytes() == b"onetwo" + bytes(99_994)
    file.truncate(file.size())
    assert path.read_bytes() == b"onetwo"
    file.close()


@pytest.mark.parametrize("number", [errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSPC])
def test_a_disk_that_cannot_or_has_no_space_leaves_the_file_as_it_was(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    file = DiskFiles().open(path, create=True)
    file.append(b"one")

    def half(fd: int, offset: int, length: int) -> None:
        os.ftruncate(fd, offset + length // 2)  # as ext4 does with the space that it found
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "posix_fallocate", half)
    if number == errno.ENOSPC:
        with pytest.raises(OSError, match="space"):
            file.preallocate(100_000)
    else:
        file.preallocate(100_000)
    assert path.read_bytes() == b"one"
    file.append(b"two")
    assert path.read_bytes() == b"onetwo"
    file.close()
