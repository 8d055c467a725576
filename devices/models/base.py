"""What the physics of all models share: seconds that pass, events, commands."""

import math
from collections.abc import Mapping
from typing import Any, ClassVar, Final

from devices.signals import seed_of
from devices.source import Handler, Progress
from hub.wire.messages import Columns, Plain, Value

LONGEST_CATCH_UP: Final = 3_600  # seconds of physics calculated at once, the longest interval; more never happened


class Physics:
    """One simulated thing. Its state moves in steps of a whole second, so that runs with one seed repeat.

    Subclasses give ``measure`` and, if they have a state, ``_second``; metrics are named as in the model's file.
    """

    MODEL: ClassVar[str]

    def __init__(self, seed: int) -> None:
        self.seed = seed_of(seed, self.MODEL)
        self.properties: dict[str, Plain] = {}
        self.events: list[tuple[str, str]] = []  # (level, text), taken by whoever sends them
        self.now = math.nan  # seconds since 1970 of the last ``measure``
        self._at: int | None = None

    def measure(self, time: float) -> dict[str, Value]:
        """The values at ``time`` (seconds since 1970), in the metrics' units."""
        raise NotImplementedError

    def bulk(self, start: int, until: int) -> Columns | None:
        """What is measured many times a second, from ``start`` until ``until`` (us), or None; metrics by name order
        of ``BULK``. Time that has been given out already is not given again."""
        return None

    @property
    def handlers(self) -> Mapping[str, Handler]:
        """Who carries out the commands that only this model has."""
        return {}

    def set_property(self, name: str, value: Plain) -> bool:
        """Take over a desired setting."""
        return False

    def pass_time(self, time: float) -> None:
        """Let the seconds up to ``time`` pass. A clock that went back stops the physics until it has caught up."""
        self.now = time
        second = math.floor(time)
        if self._at is None:
            self._at = second
            self._begin(second)
        for at in range(max(self._at, second - LONGEST_CATCH_UP), second):
            self._second(at)
        self._at = max(self._at, second)

    def _begin(self, second: int) -> None:
        """Take a believable state for the first moment."""

    def _second(self, second: int) -> None:
        """One second passes."""

    def event(self, level: str, text: str) -> None:
        """Something happened that an operator should read."""
        self.events.append((level, text))

    def seeds(self, *names: str) -> list[int]:
        """A seed for each name."""
        return [seed_of(self.seed, name) for name in names]


Arguments = Mapping[str, Any]
__all__ = ["Arguments", "Physics", "Progress"]
