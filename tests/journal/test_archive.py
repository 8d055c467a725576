"""The archive: one way to read, whatever is archived; a flipped bit costs at most one block, and is told exactly."""

import errno
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.journal.archive import BLOCK_BYTES, HEADER_SIZE, MAGIC, ArchivedSegment, archive_path, open_segment
from hub.journal.archiving import ArchiveError, archive_segment
from hub.journal.segments import SegmentReader, segment_path, segments
from tests.journal.driving import DIRECTORY, Life, PowerCut, reopened
from tests.journal.test_recovery import check, seeds, told
from tests.simulation.files import SimulatedFiles


def written(sizes: list[int | str], files: SimulatedFiles | None = None) -> tuple[SimulatedFiles, Life]:
    """A journal with these records in its first segment, and a second segment."""
    files = files or SimulatedFiles()
    life = Life(files, segment_bytes=1 << 40)
    assert life.live([*sizes, "roll", 10, "sync"])
    return files, life


def archive(files: SimulatedFiles, first: int = 1) -> None:
    firsts = segments(DIRECTORY, files)
    for _ in archive_segment(DIRECTORY, files, first, firsts[firsts.index(first) + 1]):
        pass


def read(files: SimulatedFiles, first: int = 1) -> tuple[dict[int, bytes], SegmentReader]:
    """The records of a segment, plain or archived, as every reader reads them."""
    firsts = segments(DIRECTORY, files)
    following = firsts[firsts.index(first) + 1]
    reader = SegmentReader(open_segment(DIRECTORY, files, first), first, following=following)
    found: dict[int, bytes] = {}
    while chunk := reader.read():
        found.update(chunk)
    reader.finish()
    return found, reader


def flaws(reader: SegmentReader) -> bool:
    """Whether the archive says that something of it is damaged."""
    assert isinstance(reader.file, ArchivedSegment)
    return reader.file.flawed


def lumps(seed: int, count: int, largest: int) -> list[int | str]:
    chance = random.Random(seed)
    return [chance.randrange(largest) for _ in range(count)]


@settings(deadline=None, max_examples=40)
@given(st.lists(st.one_of(st.integers(0, 300), st.integers(0, 200_000)), max_size=30), st.integers(1, 100_000))
def test_archive_every_byte_of_a_segment_reads_as_before_at_any_offset(sizes: list[int | str], step: int) -> None:
    files, life = written(sizes)
    plain = bytes(files.content(segment_path(DIRECTORY, 1)))
    archive(files)
    assert segment_path(DIRECTORY, 1).name not in files.list(DIRECTORY)
    file = open_segment(DIRECTORY, files, 1)
    assert file.size() == len(plain)
    assert b"".join(file.read(at, step) for at in range(0, len(plain), step)) == plain
    assert isinstance(file, ArchivedSegment)
    assert all(0 < block.length <= BLOCK_BYTES for block in file.blocks)
    assert not file.flawed
    found, reader = read(files)
    assert found == {lsn: payload for lsn, payload in life.appended.items() if lsn < life.durable - 1}
    assert reader.damage == []


def test_archive_bit_flips_every_64th_byte_are_all_detected_and_cost_at_most_one_block() -> None:
    files, _ = written(lumps(1, 900, 2_000))
    whole, _ = read(files)
    archive(files)
    path = archive_path(DIRECTORY, 1)
    content = bytes(files.content(path))
    blocks = ArchivedSegment(files.open(path)).blocks  # type: ignore[arg-type]
    assert len(blocks) > 5
    ends = [block.first_lsn for block in blocks[1:]] + [max(whole) + 1]
    for at in range(0, len(content), 64):
        flipped = bytearray(content)
        flipped[at] ^= 1 << (at // 64 % 8)
        files.damage(path, bytes(flipped))
        found, reader = read(files)
        assert found.items() <= whole.items()
        missing = set(whole) - set(found)
        assert told(reader.damage) == missing, "the ranges are exact"
        assert missing or flaws(reader), "every flip is detected"
        hit = next(
            (n for n, block in enumerate(blocks) if block.at <= at < block.at + HEADER_SIZE + block.stored), None
        )
        if hit is None or at < blocks[hit].at + HEADER_SIZE:
            assert not missing, "a header, the index and the footer stand twice or are needless"
        else:
            assert missing == set(range(blocks[hit].first_lsn, ends[hit]))


@pytest.mark.parametrize("keep", [0, 5, 200, 0.3, 0.6, -1, -10, -200])
def test_archive_cut_short_is_read_up_to_there_and_the_rest_is_told_exactly(keep: float) -> None:
    files, _ = written(lumps(2, 400, 2_000))
    whole, _ = read(files)
    archive(files)
    path = archive_path(DIRECTORY, 1)
    blocks = ArchivedSegment(files.open(path)).blocks  # type: ignore[arg-type]
    content = bytes(files.content(path))
    content = content[: int(keep * len(content)) if 0 < keep < 1 else int(keep)]
    files.damage(path, content)
    found, reader = read(files)
    intact = [block for block in blocks if block.at + HEADER_SIZE + block.stored <= len(content)]
    first_gone = blocks[len(intact)].first_lsn if len(intact) < len(blocks) else max(whole) + 1
    assert sorted(found) == list(range(1, first_gone))
    assert told(reader.damage) == set(whole) - set(found)
    assert flaws(reader)


def test_archive_that_is_missing_is_told_as_the_lsns_that_are_gone() -> None:
    files = SimulatedFiles()
    life = Life(files)
    life.live([10, 10, "roll", 10, 10, "roll", 10, "sync"])  # 1..3, 4..6, 7..8
    archive(files, 1)
    archive(files, 4)
    files.remove(archive_path(DIRECTORY, 4))
    found, reader = read(files)
    assert sorted(found) == [1, 2, 3]
    assert [(one.segment, one.first_lsn, one.last_lsn) for one in reader.damage] == [(1, 4, 6)]


def test_archive_with_damaged_header_and_index_still_costs_one_block() -> None:
    files, _ = written(lumps(3, 400, 2_000))
    whole, _ = read(files)
    archive(files)
    path = archive_path(DIRECTORY, 1)
    blocks = ArchivedSegment(files.open(path)).blocks  # type: ignore[arg-type]
    content = bytearray(files.content(path))
    content[-1] ^= 1
    content[blocks[2].at + 9] ^= 1
    files.damage(path, bytes(content))
    found, reader = read(files)
    assert set(whole) - set(found) == set(range(blocks[2].first_lsn, blocks[3].first_lsn)) == told(reader.damage)


def test_archive_of_a_damaged_segment_keeps_its_bytes_and_what_is_told() -> None:
    files, _ = written(lumps(4, 300, 2_000))
    path = segment_path(DIRECTORY, 1)
    content = bytearray(files.content(path))
    content[5_000] ^= 1
    content[100_000:104_096] = bytes(4_096)
    files.damage(path, bytes(content))
    before, plain = read(files)
    archive(files)
    after, archived = read(files)
    assert after == before
    assert archived.damage == plain.damage != []


@settings(deadline=None, max_examples=100)
@given(st.integers(0, 40), seeds, st.floats(0, 1))
def test_p9_p10_a_power_cut_at_any_call_of_archiving_loses_nothing(stop: int, seed: int, keep: float) -> None:
    files = SimulatedFiles(seed)
    life = Life(files, segment_bytes=20_000)
    life.live([*lumps(seed, 20, 9_000), "roll", 10, "roll", 10, "sync"])
    firsts = segments(DIRECTORY, files)
    left = stop

    def count_down(_: str) -> None:
        nonlocal left
        if left == 0:
            raise PowerCut
        left -= 1

    files.on_call = count_down
    try:
        for first in firsts[:-1]:
            archive(files, first)
    except PowerCut:
        pass
    files.on_call = None
    files.power_cut(keep)
    assert segments(DIRECTORY, files) == firsts
    everything = dict(reopened(files)[1])
    for first in firsts[:-1]:
        found, reader = read(files, first)
        assert reader.damage == []
        everything.update(found)
    assert everything == life.appended
    assert [name for name in files.list(DIRECTORY) if name.endswith(".tmp")] == []


@pytest.mark.parametrize("what", ["append", "sync", "rename", "remove", "sync_directory", "open"])
@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO])
def test_archive_failing_loses_nothing_and_can_be_tried_again(what: str, error: int) -> None:
    files, _ = written(lumps(5, 100, 3_000))
    before, _ = read(files)
    files.fail(what, error=error)
    with pytest.raises(OSError, match=errno.errorcode[error]):
        archive(files)
    assert read(files)[0] == before
    if segment_path(DIRECTORY, 1).name in files.list(DIRECTORY):
        archive(files)
    assert read(files)[0] == before


def test_archive_has_its_name_durably_before_the_segment_goes() -> None:
    files, _ = written(lumps(7, 10, 3_000))
    calls: list[str] = []
    files.on_call = calls.append
    archive(files)
    steps = [call for call in calls if call in ("sync", "rename", "sync_directory", "remove")]
    assert steps == ["sync", "rename", "sync_directory", "remove", "sync_directory"]


def test_archive_that_does_not_read_back_never_replaces_its_segment() -> None:
    files, _ = written(lumps(6, 100, 3_000))
    before, _ = read(files)

    def spoil(what: str) -> None:
        if what == "sync":
            name = next(name for name in files.list(DIRECTORY) if name.endswith(".tmp"))
            files.content(DIRECTORY / name)[len(MAGIC) + HEADER_SIZE + 20] ^= 1

    files.on_call = spoil
    with pytest.raises(ArchiveError, match="does not read back"):
        archive(files)
    files.on_call = None
    assert read(files)[0] == before
    assert files.list(DIRECTORY) == [f"{first:020d}.journal" for first in segments(DIRECTORY, files)]


def test_p10_recovery_reads_archived_segments_and_goes_on_in_one_that_became_the_last() -> None:
    files = SimulatedFiles()
    life = Life(files)
    life.live([10, 10, "roll", 10, 10, "roll", 10, "sync"])  # 1..3, 4..6, 7..8
    archive(files, 1)
    archive(files, 4)
    damaged = bytearray(files.content(segment_path(DIRECTORY, 7)))
    damaged[25] ^= 1
    files.damage(segment_path(DIRECTORY, 7), bytes(damaged))  # so that the marks of an archived segment are needed
    recovery, found = reopened(files)
    assert recovery.snapshot == b"marks up to 3"
    assert sorted(found) == [4, 5, 6, 8]
    files.remove(segment_path(DIRECTORY, 7))
    again = Life(files)
    again.live([30, "sync"])
    assert [Path(name).suffix for name in files.list(DIRECTORY)] == [".archive", ".journal"]
    life.appended = {lsn: payload for lsn, payload in life.appended.items() if lsn <= 6} | again.appended
    check(life, reopened(files)[1])
