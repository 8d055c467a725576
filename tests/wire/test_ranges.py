"""Ranges behave as the sets of numbers they stand for."""

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from hub.wire.ranges import Ranges

spans = st.tuples(st.integers(1, 60), st.integers(0, 8)).map(lambda span: (span[0], span[0] + span[1]))


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.booleans(), spans), max_size=20), spans)
def test_ranges_are_sets(changes: list[tuple[bool, tuple[int, int]]], window: tuple[int, int]) -> None:
    ranges, numbers = Ranges(), set[int]()
    for adding, (first, last) in changes:
        covered = set(range(first, last + 1))
        if adding:
            ranges.add(first, last)
            numbers |= covered
        else:
            ranges.remove(first, last)
            numbers -= covered
    pairs = ranges.pairs()
    assert {number for first, last in pairs for number in range(first, last + 1)} == numbers
    assert all(one[1] + 1 < other[0] for one, other in pairwise(pairs))
    assert ranges.count == len(numbers)
    assert ranges.highest == max(numbers, default=None)
    assert all((number in ranges) is (number in numbers) for number in range(70))
    missing = ranges.missing(*window)
    wanted = set(range(window[0], window[1] + 1)) - numbers
    assert {number for first, last in missing for number in range(first, last + 1)} == wanted
    assert Ranges(pairs) == ranges.copy() == ranges
