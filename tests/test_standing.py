"""What the hub says of itself."""

from typing import Any
from unittest.mock import Mock

from hub.standing import Standing


class Refusing:
    """A mirror's follower with these counters."""

    name = "influx"

    def __init__(self, **told: Any) -> None:
        self._told = {"refused": 0, "collisions": 0, "refusal": ""} | told

    def statistics(self) -> dict[str, Any]:
        return self._told


def test_what_a_mirror_refuses_or_overwrites_is_told() -> None:
    standing = Standing(Mock(), Mock(), Mock(), Mock(), Mock(), list)
    standing.damage, standing.copies = Mock(cautions=list), Mock(problem=None)
    standing._of_the_clock = list  # type: ignore[method-assign]
    standing.mirrors = [Refusing()]  # type: ignore[list-item]
    assert standing.cautions() == []
    standing.mirrors = [Refusing(refused=2, refusal="field type conflict", collisions=3)]  # type: ignore[list-item]
    refused, overwrote = standing.cautions()
    assert refused == "the mirror influx refused 2 lines, the last one with: field type conflict"
    assert "3 lines for the mirror influx had series and time of others" in overwrote
