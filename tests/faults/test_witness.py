"""The witness says what was acked, whatever became of the numbers on the way; and its files survive a kill."""

import functools
import json
import operator
from pathlib import Path

import pytest
import trio
import trio.testing

from hub.wire.messages import Row
from hub.wire.ranges import Ranges
from tests.faults.witness import GroupRecord, WitnessedMemory, WitnessedSource, last_numbers, write_stored


def noted(path: Path) -> list[list[int]]:
    return [json.loads(line)["n"] for line in path.read_text().splitlines()]


def filled(record: GroupRecord, count: int, limit: int = 1 << 20) -> WitnessedMemory:
    spool = WitnessedMemory(limit)
    spool.witness("counter-1", record)
    for number in range(count):
        spool.append(Row(0, number, [100 + number]), 1, 0.0)
    return spool


@pytest.mark.trio
async def test_acks_are_noted_over_a_fresh_epoch(tmp_path: Path) -> None:
    record = GroupRecord(tmp_path / "acked.jsonl")
    spool = filled(record, 6)
    await spool.settle(2)
    await spool.renumber(9, "log", True, Ranges([(1, 2), (4, 4)]))
    await spool.settle(2)  # in the new numbers: what were 3 and 5
    record.close()
    assert noted(tmp_path / "acked.jsonl") == [[100, 101], [103], [102, 104]]


@pytest.mark.trio
async def test_what_a_device_gave_up_is_not_noted_as_acked(tmp_path: Path) -> None:
    record = GroupRecord(tmp_path / "acked.jsonl")
    spool = filled(record, 5, limit=700)  # of which only the newest fit
    assert spool.dropped > 0
    await spool.settle(5)
    record.close()
    assert functools.reduce(operator.iadd, noted(tmp_path / "acked.jsonl"), []) == [
        100 + number for number in range(spool.dropped, 5)
    ]


@pytest.mark.trio
async def test_no_sample_is_given_out_before_it_is_on_disk(tmp_path: Path) -> None:
    record = GroupRecord(tmp_path / "sent.jsonl")
    source = WitnessedSource("counter-1", record, 1.0, start=7)
    rows: list[Row] = []

    async def sample() -> None:
        rows.extend(await source.sample(0))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(sample)
        await trio.testing.wait_all_tasks_blocked()
        assert (rows, noted(tmp_path / "sent.jsonl")) == ([], [])
        await record.sync()
    assert [row.values for row in rows] == [[7]]
    assert noted(tmp_path / "sent.jsonl") == [[7]]


def test_a_line_that_a_kill_cut_short_is_no_part_of_the_next(tmp_path: Path) -> None:
    path = tmp_path / "sent.jsonl"
    path.write_text('{"device": "a", "n": [1, 2]}\n{"device": "a", "n": [3')
    record = GroupRecord(path)
    record.note("a", [3])
    record.close()
    assert noted(path) == [[1, 2], [3]]
    assert last_numbers(path) == {"a": 3}
    write_stored(tmp_path, {"a": [1, 1]})
    assert noted(tmp_path / "stored.jsonl") == [[1, 1]]
