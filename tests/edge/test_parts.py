"""Long answers in parts, and put together again."""

from typing import Any

import pytest

from hub.client.parts import whole
from hub.edge.parts import parts
from hub.wire.codec import encode
from hub.wire.operator import Answer


@pytest.mark.parametrize(
    "items", [[], [1], ["a"] * 20_000, [{"device": "a" * 64}] * 9_000, [{"kept": [[1, 2]] * 20_000}] * 3, [[1, 2]] * 5]
)
def test_parts_of_a_list_are_bounded_and_joined_are_the_list(items: list[Any]) -> None:
    found = list(parts(items))
    assert [more for _, more in found] == [True] * (len(found) - 1) + [False]
    assert whole([part for part, _ in found]) == items
    assert all(len(part) == 1 or len(encode(Answer(1, part, more))) < 400_000 for part, more in found)
