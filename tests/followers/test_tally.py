"""The books, as properties: every number in one set, every reading once, in whatever groups entries come."""

from copy import deepcopy
from dataclasses import replace
from time import process_time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.followers.ledger import ledger_entry, tell_targets
from hub.followers.tally import Tally, touched
from hub.state import AccountRow
from hub.wire.kept import Birth, Entry, EpochGiven, Gap, Kept, Verdict
from hub.wire.messages import Dropped, Rejection, Row
from hub.wire.ranges import Ranges

BIRTHS = [Birth(n, f"pump-{n}", "pump", (), "") for n in range(3)]


class Device:
    """Makes entries as ingest does: every number once, in rising order, gaps never over what is here."""

    def __init__(self, birth: Birth) -> None:
        self.birth = birth
        self.epoch, self.next = 1, 1
        self.sets: dict[tuple[int, str], set[int]] = {}
        self.received: dict[int, int] = {}

    def add(self, what: str, size: int) -> Entry:
        if what == "kept":
            self.sets.setdefault((self.epoch, what), set()).add(self.next)
            self.received[self.epoch] = self.received.get(self.epoch, 0) + size
            rejections = (Rejection(0, "out_of_range", 0, 1, ""),) if size == 4 else ()
            self.next += 1
            return Kept(
                0, self.birth, self.epoch, self.next - 1, 0, 0, 0, Verdict(size, rejections, 0),
                Row(self.next - 1, 0, []), 0, 0,
            )  # fmt: skip
        if what in ("dropped", "lost"):
            numbers = range(self.next, self.next + size)
            self.sets.setdefault((self.epoch, what), set()).update(numbers)
            self.next += size
            gap = Dropped(numbers[0], numbers[-1], 3, "full")
            return Gap(0, self.birth.device, self.epoch, gap, what == "lost", 0, 0)
        if what == "hole":  # damage: numbers that nobody has accounted for yet
            self.next += size
            return self.add("kept", 1)
        end = {"restored": self.next + size, "rewound": max(1, self.next - size)}.get(what)
        self.epoch, self.next = self.epoch + 1, 1
        double = min(2, end - 1) if what == "rewound" and end is not None else 0
        return EpochGiven(0, self.birth.device, self.epoch, self.epoch - 1, what, 0, end, double)


WORDS = st.sampled_from(["kept"] * 6 + ["dropped", "lost", "hole", "null_hello", "rewound", "restored"])
STEPS = st.lists(st.tuples(st.sampled_from(BIRTHS), WORDS, st.integers(1, 4)), max_size=60)


def booked(entries: list[Entry], group: int) -> dict[Any, AccountRow]:
    base: dict[Any, AccountRow] = {}
    for at in range(0, len(entries), group):
        piece = entries[at : at + group]
        before = deepcopy(base) if group > 1 else base
        tally = Tally()
        tally.bring(touched(piece), base)
        tally.book(piece)
        assert base == before  # what is committed is not changed by what is not yet
        base |= tally.rows
    return base


@settings(max_examples=150, deadline=None)
@given(STEPS, st.integers(1, 7))
def test_every_number_is_in_one_set_and_every_reading_counted(steps: list[Any], group: int) -> None:
    devices = {birth.device: Device(birth) for birth in BIRTHS}
    entries = [devices[birth.device].add(what, size) for birth, what, size in steps]
    rows = booked(entries, group)
    assert rows == booked(entries, 1000)
    for (name, epoch), row in rows.items():
        device = devices[name]
        for what in ("kept", "dropped"):
            found = {n for first, last in getattr(row, what) for n in range(first, last + 1)}
            assert found == device.sets.get((epoch, what), set())
        assert row.received == device.received.get(epoch, 0)
        sets = [row.kept, row.dropped, row.lost, row.moved]
        assert sum(numbers.count for numbers in sets) == row.here().count
        if row.closed:
            assert row.here() == Ranges([(1, row.highest)])


def test_a_null_hello_leaves_what_is_above_unknown_and_what_is_missing_below_lost() -> None:
    device = Device(BIRTHS[0])
    entries = [device.add("kept", 2), device.add("hole", 3), device.add("null_hello", 1), device.add("kept", 1)]
    rows = booked(entries, 10)
    row = rows["pump-0", 1]
    assert (row.closed, row.unknown_above, row.kept.pairs(), row.lost.pairs()) == (
        True,
        True,
        [(1, 1), (5, 5)],
        [(2, 4)],
    )
    assert not rows["pump-0", 2].closed


def epoch_of(*entries: Entry) -> AccountRow:
    """The first epoch of a device of which 1-4 and 8-10 are here, after these entries."""
    device = Device(BIRTHS[0])
    kept = [device.add("kept", 1) for _ in range(10)]
    return booked([*kept[:4], *kept[7:], *entries], 100)["pump-0", 1]


def given_next(reason: str, next: int, double: int = 0, epoch: int = 2) -> EpochGiven:
    return EpochGiven(0, "pump-0", epoch, 1, reason, 0, next, double)


@pytest.mark.parametrize(
    ("next", "double", "moved", "lost"),
    [(8, 8 - 5, [(5, 7)], []), (8, 8 - 7, [(7, 7)], [(5, 6)]), (10, 1, [], [(5, 7)]), (3, 2, [], [(5, 7)])],
)
def test_p2_after_a_rewind_has_moved_on_what_the_device_has_and_the_rest_is_lost(
    next: int, double: int, moved: list[tuple[int, int]], lost: list[tuple[int, int]]
) -> None:
    row = epoch_of(given_next("rewound", next, double))
    assert (row.closed, row.unknown_above, row.highest) == (True, False, 10)
    assert (row.moved.pairs(), row.lost.pairs()) == (moved, lost)


@pytest.mark.parametrize("reason", ["restored", "unconfirmed", "gaps"])
def test_ledger_what_a_device_holds_when_it_gets_a_fresh_epoch_has_moved_on(reason: str) -> None:
    row = epoch_of(given_next(reason, 14))
    assert (row.closed, row.unknown_above, row.highest) == (True, False, 13)
    assert (row.moved.pairs(), row.lost.pairs()) == ([(5, 7), (11, 13)], [])
    entry = ledger_entry(row, 0, row.received, 0, 0)
    assert (entry["next"], entry["waiting"], entry["balanced"]) == (14, [], True)


@pytest.mark.parametrize(
    ("changes", "stored", "pending", "expired", "why"),
    [
        ({"rejected": {"malformed": -1, "past_time": 1}}, 7, 0, 0, "-1 readings are rejected as malformed"),
        ({"removed": {"ada": -2}}, 9, 0, 0, "-2 readings were removed by ada"),
        ({}, -1, 8, 0, "-1 readings are stored"),
        ({}, 8, -1, 0, "-1 readings are pending"),
        ({}, 8, 0, -1, "-1 readings have expired"),
        ({"received": -7}, -7, 0, 0, "-7 readings were received"),
    ],
)
def test_ledger_a_count_below_0_is_a_problem_although_the_sum_is_right(
    changes: dict[str, Any], stored: int, pending: int, expired: int, why: str
) -> None:
    entry = ledger_entry(replace(epoch_of(), **{"received": 7} | changes), 0, stored, pending, expired)
    assert (entry["balanced"], entry["problem"]) == (False, f"{why}: no count is below 0")


def test_ledger_what_was_to_move_and_was_given_up_after_all_has_not_moved() -> None:
    gap = Gap(0, "pump-0", 1, Dropped(5, 12, None, "not held"), False, 0, 0)
    row = epoch_of(given_next("restored", 14), gap, given_next("unconfirmed", 15, epoch=3))
    assert (row.moved.pairs(), row.dropped.pairs(), row.highest) == ([(13, 14)], [(5, 7), (11, 12)], 14)


def test_ledger_what_moved_says_to_which_epoch() -> None:
    def entries(*rows: AccountRow) -> list[int | None]:
        told = [ledger_entry(row, 0, 0, 0, 0) for row in rows]
        tell_targets(told)
        return [entry.get("moved_to") for entry in told]

    moved = replace(epoch_of(given_next("restored", 14)), received=0)
    other = replace(moved, device="pump-1")
    assert entries(moved, other) == [None, None]  # nobody knows yet where they went
    unused, used, closed = (replace(AccountRow("pump-0", epoch), highest=0) for epoch in (2, 3, 4))
    used.highest, closed.closed = 3, True
    used.kept.add(1, 3)
    assert entries(moved, unused, other) == [2, None, None]
    assert entries(moved, unused, used, closed) == [3, None, None, None]  # 2 was given, and no device heard of it
    assert entries(moved, unused, closed) == [4, None, None]


def test_a_gap_never_covers_what_is_here() -> None:
    device = Device(BIRTHS[0])
    kept = [device.add("kept", 1) for _ in range(4)]
    gap = Gap(0, "pump-0", 1, Dropped(1, 9, 5, "x"), True, 0, 0)
    row = booked([*kept[:1], *kept[2:], gap], 10)["pump-0", 1]
    assert (row.kept.pairs(), row.lost.pairs()) == ([(1, 1), (3, 4)], [(2, 2), (5, 9)])
    late = booked([*kept[:1], *kept[2:], gap, kept[1]], 10)["pump-0", 1]
    assert (late.kept.pairs(), late.lost.pairs()) == ([(1, 4)], [(5, 9)])


def test_a_gap_costs_what_it_covers_however_many_there_are() -> None:
    device = Device(BIRTHS[0])
    entries = [device.add(what, 1) for _ in range(15_000) for what in ("kept", "dropped")]
    began = process_time()
    row = booked(entries, 10_000)["pump-0", 1]
    assert process_time() - began < 10  # less than one; minutes, were each gap held against all of the row
    assert (len(row.kept), len(row.dropped), row.here().pairs()) == (15_000, 15_000, [(1, 30_000)])
