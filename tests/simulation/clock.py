"""Virtual time: it stands still while any task can run, and goes on at once when none can."""

import heapq
import math
import random
from collections.abc import Callable
from itertools import count
from typing import Final

import trio

NOON: Final = 2_000_000_000_000_000  # us: what the wall clocks show when a run begins, long after the release
IDLE_SECONDS: Final = 0.1  # of real time
IDLE_LIMIT: Final = 50
IMPATIENT_SECONDS: Final = 1.0  # bound of every jitter: back-offs stay short


class JumpClock(trio.abc.Clock):
    """Trio's clock for one run. ``call_at`` is for what happens without a task, as the arrival of bytes."""

    def __init__(self) -> None:
        self.now = 0.0
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()
        self._idle = 0

    def call_at(self, at: float, call: Callable[[], None]) -> None:
        """Call it when that time has come; of equal times in the order of asking."""
        heapq.heappush(self._due, (at, next(self._order), call))

    async def wait_until(self, at: float) -> None:
        """As ``trio.sleep_until``, at a third of its cost."""
        task: trio.lowlevel.Task | None = trio.lowlevel.current_task()

        def wake() -> None:
            if task is not None:
                trio.lowlevel.reschedule(task)

        def abort(_: object) -> trio.lowlevel.Abort:
            nonlocal task
            task = None
            return trio.lowlevel.Abort.SUCCEEDED

        self.call_at(at, wake)
        await trio.lowlevel.wait_task_rescheduled(abort)

    def start_clock(self) -> None:
        """Nothing to be started."""

    def current_time(self) -> float:
        return self.now

    def deadline_to_sleep_time(self, deadline: float) -> float:
        """Trio asks this when no task can run: so the time of what comes next is now."""
        at = min(deadline, self._due[0][0] if self._due else math.inf)
        if at == math.inf:  # at the very end: trio wakes its own tasks through a real socket
            self._idle += 1
            if self._idle > IDLE_LIMIT:
                raise RuntimeError("every task waits, and nothing will ever happen")
            return IDLE_SECONDS
        self.now = max(self.now, at)
        while self._due and self._due[0][0] <= self.now:
            heapq.heappop(self._due)[2]()
        return 0.0


class WallClock:
    """The clock port: runs along with virtual time, and may be moved (``offset``, us)."""

    def __init__(self, clock: JumpClock) -> None:
        self.offset = 0
        self._clock = clock

    def now(self) -> int:
        return NOON + self.offset + int(self._clock.now * 1e6)

    def monotonic(self) -> float:
        return self._clock.now


class Chance:
    """The randomness port, out of the seed."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance

    def token(self, size: int) -> bytes:
        return self._chance.randbytes(size)

    def uniform(self, low: float, high: float) -> float:
        return self._chance.uniform(low, min(high, IMPATIENT_SECONDS))
