"""The spool in memory: numbers, order, bounds, and nothing that goes missing without a count."""

from itertools import pairwise

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from devices.spool import Held, MemorySpool, declaration
from hub.wire.codec import decode_device
from hub.wire.messages import Dropped, Event, Result, Row
from hub.wire.ranges import Ranges


def row(value: float) -> Row:
    return Row(0, 1, [value])


def filled(count: int, limit: int = 1 << 20) -> MemorySpool:
    spool = MemorySpool(limit)
    for number in range(1, count + 1):
        spool.append(row(float(number)), 1, float(number))
    return spool


def sent_now(spool: MemorySpool) -> list[Held]:
    """Send all there is to send."""
    left: list[Held] = []
    while (held := spool.peek()) is not None:
        left.append(held)
        spool.passed()
    return left


def seqs(spool: MemorySpool) -> list[int]:
    spool.rewind()
    return [held.seq for held in sent_now(spool)]


@pytest.mark.trio
async def test_an_ack_lets_go_of_all_up_to_it() -> None:
    spool = filled(5)
    settled = await spool.settle(3)
    assert (settled.batches, settled.readings, settled.times) == (3, 3, [1.0, 2.0, 3.0])
    assert (spool.first, spool.next, spool.acked) == (4, 6, 3)
    await spool.settle(5)
    assert (spool.first, spool.next, spool.bytes) == (6, 6, 0)


def test_a_new_link_begins_with_the_oldest() -> None:
    spool = filled(3)
    assert [held.seq for held in sent_now(spool)] == [1, 2, 3]
    assert spool.peek() is None
    spool.rewind()
    assert [held.seq for held in sent_now(spool)] == [1, 2, 3]


@pytest.mark.trio
async def test_p2_a_fresh_epoch_numbers_the_rest_from_one() -> None:
    spool = filled(5)
    spool.append(Event(0, None, "info", "hello"), 0, 0.0)
    spool.append(Result(None, "id", "succeeded", 1), 0, 0.0)
    settled = await spool.renumber(9, "log", True, Ranges([(1, 2), (4, 4)]))
    assert settled.readings == 3
    assert (spool.epoch, spool.log, spool.first, spool.next, spool.acked) == (9, "log", 1, 5, 0)
    held = sent_now(spool)
    assert [decode_device(each.frame or b"").seq for each in held] == [1, 2, 3, 4]  # type: ignore[union-attr]
    assert decode_device(held[0].frame or b"") == Row(1, 1, [3.0])


@pytest.mark.trio
async def test_p2_the_same_epoch_keeps_the_numbers() -> None:
    spool = filled(5)
    await spool.renumber(1, "log", False, Ranges([(1, 1), (3, 3)]))
    assert seqs(spool) == [2, 4, 5]
    assert spool.next == 6


def test_a_full_spool_drops_the_oldest_as_one_hole() -> None:
    spool = filled(50, limit=5_000)
    hole, *rest = sent_now(spool)
    assert declaration(hole) == Dropped(1, 50 - len(rest), 50 - len(rest), "memory full")
    assert spool.bytes <= 5_000
    assert spool.first == 1  # the hole waits for its declaration


def test_the_newest_stays_however_small_the_bound() -> None:
    spool = filled(3, limit=1)
    assert [held.frame is None for held in sent_now(spool)] == [True, False]


def test_p4_a_hole_does_not_reach_from_what_was_sent_into_what_was_not() -> None:
    spool = filled(10)
    for _ in range(4):
        spool.passed()
    for _ in range(6):
        spool._drop_oldest()
    left = spool.peek()
    assert left is not None
    assert declaration(left) == Dropped(5, 6, 2, "memory full")


@pytest.mark.trio
async def test_a_hole_of_which_part_is_settled_no_longer_knows_its_readings() -> None:
    spool = filled(10)
    for _ in range(6):
        spool._drop_oldest()
    await spool.settle(2)
    left = spool.peek()
    assert left is not None
    assert declaration(left) == Dropped(3, 6, None, "memory full")


def test_p11_poison_is_set_aside_and_kept_for_a_look() -> None:
    spool = filled(3)
    assert spool.set_aside(1, "poison")
    assert [(held.seq, held.frame is None) for held in sent_now(spool)] == [(1, False), (2, True), (3, False)]
    assert decode_device(spool.poison[0]) == Row(2, 1, [2.0])
    assert not spool.set_aside(3, "poison")


class Life(RuleBasedStateMachine):
    """Whatever happens to a spool: numbers stay in order and every reading is held, settled or dropped."""

    def __init__(self) -> None:
        super().__init__()
        self.spool = MemorySpool(3_000)
        self.made = self.settled = 0

    @rule(count=st.integers(1, 20))
    def append(self, count: int) -> None:
        for _ in range(count):
            self.made += 1
            self.spool.append(row(float(self.made)), 1, 0.0)

    @rule(count=st.integers(1, 5))
    def send(self, count: int) -> None:
        for _ in range(count):
            if self.spool.peek() is not None:
                self.spool.passed()

    @precondition(lambda self: self.spool.first < self.spool.next)
    @rule(share=st.floats(0, 1))
    def ack(self, share: float) -> None:
        through = self.spool.first + int(share * (self.spool.next - 1 - self.spool.first))
        self.settled += trio.run(self.spool.settle, through).readings

    @rule(fresh=st.booleans(), holes=st.lists(st.tuples(st.integers(1, 60), st.integers(0, 5)), max_size=3))
    def welcome(self, fresh: bool, holes: list[tuple[int, int]]) -> None:
        settled = Ranges((first, first + more) for first, more in holes)
        epoch = (self.spool.epoch or 0) + fresh
        self.settled += trio.run(self.spool.renumber, epoch, "log", fresh, settled).readings

    @rule()
    def poison(self) -> None:
        self.spool.set_aside(self.spool.first - 1, "poison")

    @invariant()
    def numbers_are_in_order(self) -> None:
        held = list(self.spool._held)
        assert all(before.last < after.seq for before, after in pairwise(held))
        assert not held or held[-1].last < self.spool.next
        assert all(decode_device(each.frame).seq == each.seq for each in held if each.frame)  # type: ignore[union-attr]
        assert 0 <= self.spool._passed <= len(held)
        assert self.spool.bytes == sum(len(each.frame) + 200 for each in held if each.frame is not None)

    @invariant()
    def nothing_goes_missing(self) -> None:
        held = sum(each.readings or 0 for each in self.spool._held if each.frame is not None)
        assert self.made == held + self.settled + self.spool.dropped


Life.TestCase.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
test_life = Life.TestCase


@given(st.integers(1, 40), st.integers(0, 40))
@settings(max_examples=30, deadline=None)
def test_holes_of_a_fresh_epoch_keep_their_width(count: int, drop: int) -> None:
    spool = filled(count)
    for _ in range(min(drop, count - 1)):
        spool._drop_oldest()
    trio.run(spool.renumber, 2, "log", True, Ranges())
    assert spool.next == count + 1
