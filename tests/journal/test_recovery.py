import errno

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.journal.segments import Damage, segment_path
from tests.journal.driving import DIRECTORY, Life, PowerCut, reopened, running, simulate
from tests.simulation.files import SimulatedFiles

steps = st.lists(
    st.one_of(st.integers(0, 60), st.integers(0, 9000), st.just("sync"), st.just("sync"), st.just("roll")),
    min_size=1, max_size=30,
)  # fmt: skip
seeds = st.integers(0, 2**32)
lively = settings(deadline=None, max_examples=120)


def check(life: Life, found: dict[int, bytes], *, missing: set[int] = frozenset()) -> None:  # type: ignore[assignment]
    """No durable record is lost, other than ``missing``; none is invented. Recovery starts at the last marks."""
    assert found.items() <= life.appended.items(), "a record that was never appended, or not like that"
    oldest = min(found, default=0)
    lost = {lsn for lsn in life.appended if oldest <= lsn <= life.durable and lsn not in found}
    assert lost <= missing
    assert not life.durable or found or missing


@lively
@given(steps, st.integers(0, 60), seeds, st.floats(0, 1))
def test_p10_a_power_cut_at_any_call_loses_nothing_that_was_durable(
    steps: list[int | str], stop: int, seed: int, keep: float
) -> None:
    files = SimulatedFiles(seed)
    left = stop

    def count_down(_: str) -> None:
        nonlocal left
        if left == 0:
            raise PowerCut
        left -= 1

    files.on_call = count_down
    life = Life(files, segment_bytes=20_000)
    life.live(steps)
    files.on_call = None
    files.power_cut(keep)
    check(life, reopened(files)[1])


@lively
@given(steps, st.integers(0, 30), seeds, st.floats(0, 1))
def test_p10_a_power_cut_during_recovery_loses_nothing_either(
    steps: list[int | str], stop: int, seed: int, keep: float
) -> None:
    files = SimulatedFiles(seed)
    life = Life(files)
    life.live(steps)
    files.power_cut(keep)
    left = stop

    def count_down(_: str) -> None:
        nonlocal left
        if left == 0:
            raise PowerCut
        left -= 1

    files.on_call = count_down
    life.live([10, "sync", 20])
    files.on_call = None
    files.power_cut(keep)
    check(life, reopened(files)[1])


@lively
@given(steps, seeds, st.floats(0, 1))
def test_p10_what_recovery_tells_is_durable(steps: list[int | str], seed: int, keep: float) -> None:
    """A killed process leaves unsynced pages, and a failed sync pages that look clean: both are there to be read."""
    files = SimulatedFiles(seed)
    life = Life(files)
    life.live([*steps, 100])  # killed: the last appends are in the page cache at best
    files.fail("sync")
    try:
        life.live([50, "roll", 50, "sync"])
    except* Exception:
        pass
    _, told = reopened(files)
    files.power_cut(keep)
    assert reopened(files)[1] == told


@lively
@given(steps, st.data())
def test_p10_one_flipped_byte_costs_at_most_the_record_it_is_in(steps: list[int | str], data: st.DataObject) -> None:
    files = SimulatedFiles()
    life = Life(files)
    assert life.live([*steps, "sync"])
    _, before = reopened(files)
    names = [name for name in files.list(DIRECTORY) if name.endswith(".journal")]
    path = DIRECTORY / data.draw(st.sampled_from(names))
    content = bytearray(files.content(path))
    content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    files.damage(path, bytes(content))
    recovery, found = reopened(files)
    assert found.items() <= life.appended.items()
    missing = set(before) - set(found)
    assert len(missing) <= 1
    for lsn in missing:
        assert told(recovery.damage) >= {lsn} or recovery.damage[-1].last_lsn is None


@lively
@given(steps, st.integers(0, 50), st.data())
def test_p10_zeroed_blocks_cost_the_records_in_them_and_are_told_exactly(
    steps: list[int | str], block: int, data: st.DataObject
) -> None:
    files = SimulatedFiles()
    life = Life(files)
    assert life.live([*steps, "sync", 10, "sync"])
    last = DIRECTORY / files.list(DIRECTORY)[-1]
    content = bytearray(files.written(last))
    start = block * 512 % len(content)
    stop = min(start + 512, len(content) - 40)  # the last record stays: it tells how many were before it
    content[start:stop] = bytes(max(0, stop - start))
    _, before = reopened(files)
    files.damage(last, bytes(content))
    recovery, found = reopened(files)
    assert found.items() <= life.appended.items()
    missing = {lsn for lsn in before if lsn not in found}
    assert missing <= told(recovery.damage)
    assert told(recovery.damage) <= set(life.appended) - set(found)


def told(damage: list[Damage]) -> set[int]:
    return {
        lsn for one in damage if one.last_lsn is not None for lsn in range(one.first_lsn, one.last_lsn + 1)
    }  # fmt: skip


def test_p10_a_truncated_last_segment_is_read_up_to_there_and_its_end_is_cut() -> None:
    files = SimulatedFiles()
    life = Life(files)
    life.live([100, 100, 100, "sync"])
    path = segment_path(DIRECTORY, 1)
    size = len(files.written(path))
    files.damage(path, files.written(path)[: size - 50])
    recovery, found = reopened(files)
    assert sorted(found) == [1, 2, 3]
    (damage,) = recovery.damage
    assert (damage.first_lsn, damage.last_lsn, damage.offset + damage.length) == (4, None, size - 50)
    assert damage.torn
    again, _ = reopened(files)
    assert again.damage == []
    assert again.last == 3


def test_p10_a_missing_or_truncated_segment_is_told_as_the_lsns_that_are_gone() -> None:
    files = SimulatedFiles()
    life = Life(files)
    life.live([10, 10, "roll", 10, 10, "roll", 10, "sync"])  # 1..3, 4..6, 7..8
    damaged_marks = bytearray(files.content(segment_path(DIRECTORY, 7)))
    damaged_marks[25] ^= 1
    files.damage(segment_path(DIRECTORY, 7), bytes(damaged_marks))  # so that earlier segments are needed
    files.remove(segment_path(DIRECTORY, 4))
    recovery, found = reopened(files)
    assert sorted(found) == [1, 2, 3, 8]
    assert [(one.segment, one.first_lsn, one.last_lsn) for one in recovery.damage] == [(1, 4, 6), (7, 7, 7)]


def test_p9_marks_that_are_damaged_are_replaced_by_those_before_and_all_records_since() -> None:
    files = SimulatedFiles()
    life = Life(files)
    life.live([10, 10, "roll", 10, 10, "roll", 10, "sync"])
    content = bytearray(files.content(segment_path(DIRECTORY, 7)))
    content[21] ^= 1
    files.damage(segment_path(DIRECTORY, 7), bytes(content))
    recovery, found = reopened(files)
    assert recovery.snapshot == b"marks up to 3"
    assert sorted(found) == [4, 5, 6, 8]


def test_a_last_segment_without_an_intact_record_is_set_aside_and_its_lsns_are_not_given_again() -> None:
    files = SimulatedFiles()
    life = Life(files)
    life.live([10, 10, "roll", 10, "sync"])  # 1..3, 4..5
    files.damage(segment_path(DIRECTORY, 4), bytes(300))
    recovery, found = reopened(files)
    assert sorted(found) == [1, 2, 3]
    assert [(one.segment, one.first_lsn, one.last_lsn) for one in recovery.damage] == [(4, 4, None)]
    assert f"{4:020d}.damaged" in files.list(DIRECTORY)

    async def goes_on() -> None:
        async with running(files) as (journal, _):
            assert journal.append(b"next", None) >= 4
            await journal.wait_durable(journal.appended)

    simulate(goes_on)
    assert reopened(files)[1][4] == b"next"


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_does_not_keep_the_journal_from_opening(error: int) -> None:
    files = SimulatedFiles()
    life = Life(files)
    life.live([1000, 1000, "sync", 1000, "sync"])
    files.fail("append", error=error)
    _, found = reopened(files)
    assert found == life.appended
    assert [name for name in files.list(DIRECTORY) if not name.endswith(".journal")] == []


@settings(deadline=None, max_examples=60)
@given(st.lists(steps, min_size=1, max_size=5), seeds, st.floats(0, 1))
def test_p8_no_lsn_that_was_durable_is_ever_given_again(lives: list[list[int | str]], seed: int, keep: float) -> None:
    files = SimulatedFiles(seed)
    life = Life(files)
    for steps in lives:
        durable = {lsn: payload for lsn, payload in life.appended.items() if lsn <= life.durable}
        life.live(steps)
        assert durable.items() <= life.appended.items()
        files.power_cut(keep)
        check(life, reopened(files)[1])
        life.durable = max(life.durable, reopened(files)[0].last)
        life.appended = {lsn: payload for lsn, payload in life.appended.items() if lsn <= life.durable}
