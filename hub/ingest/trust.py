"""Whether the hub's own clock is fit to judge by: what it says is held against the receive times on record.

``newest`` is the newest receive time on record that is believed, us. It follows from the records alone, so that every
replay of them comes to the same.
"""

from typing import TYPE_CHECKING, Final

from hub.ports import Clock

if TYPE_CHECKING:
    from hub.ingest.marks import Marks

SECOND: Final = 1_000_000  # us
DAY: Final = 86_400 * SECOND
FIRST: Final = 1_748_736_000 * SECOND  # 2025-06-01, before the first hub: no record of a clock that was set says less
BUILT: Final = 1_793_491_200 * SECOND  # 2026-11-01, when this was released: a clock that says less was never set
SLACK: Final = SECOND  # that the clock may step back before it is no longer trusted
LEAP: Final = 7 * DAY  # how far the clock may be ahead of the newest record: the longest that a hub is off unnoticed
NOTED: Final = DAY  # without a record, the clock is written down after so long: well before LEAP, and a trifle of disk


def newer(newest: int, received: int) -> int:
    """``newest`` after one more record: a leap ahead is not believed, unless no clock that was set has spoken yet."""
    if received <= newest or (newest >= FIRST and received > newest + LEAP):
        return newest
    return received


class Trust:
    """What the hub's clock says, against the marks."""

    def __init__(self, marks: "Marks", clock: Clock) -> None:
        self._marks = marks
        self._clock = clock

    def behind(self, now: int) -> int:
        """By how much the clock, which says ``now``, is behind what it said before or when the hub was built, us.
        0: it may be trusted to be late enough."""
        floor = max(self._marks.newest, BUILT)
        return 0 if now + SLACK >= floor else floor - now

    def ahead(self, now: int) -> int:
        """By how much it is ahead of the newest record, us, where that is more than anybody should believe; else 0."""
        newest = self._marks.newest
        return now - newest if newest >= FIRST and now > newest + LEAP else 0

    def believed(self, now: int) -> int:
        """The time to tell by what is too old: nothing expires by a clock that is ahead."""
        return self._marks.newest if self.ahead(now) else now

    def now(self) -> int:
        """``believed``, of what the clock says now."""
        return self.believed(self._clock.now())

    def unsaid(self, now: int) -> bool:
        """Whether no record has told for a day what the clock says, and what it says may be believed."""
        newest = self._marks.newest
        return newest >= FIRST and newest + NOTED <= now <= newest + LEAP
