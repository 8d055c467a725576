"""The life of a simulated process: it may end at any call of a disk or at any named step, and does nothing after."""

import random
from collections.abc import Callable
from typing import Any, Final, TypeVar, TypeVarTuple

import trio

from tests.simulation.clock import JumpClock
from tests.simulation.network import TICK

T = TypeVar("T")
Ts = TypeVarTuple("Ts")
SLOW: Final = 0.3  # share of calls of a worker that take time
SLOWEST: Final = 4  # ticks; stalls apart


class Killed(BaseException):
    """The process is no more. ``torn``: it died in this very call."""

    torn = False


class Life:
    """From start to death. ``kill`` is called once, at the death; ``silently`` when its power was cut."""

    def __init__(self, kill: Callable[[], None]) -> None:
        self.dead = False
        self.silently = False
        self.workers: list[Worker] = []
        self._kill = kill
        self._where = ""
        self._left = 0
        self._trap_silently = False

    def end(self, *, silently: bool) -> None:
        """Now."""
        if not self.dead:
            self.dead, self.silently = True, silently
            self._kill()

    def trap(self, where: str, nth: int, *, silently: bool) -> None:
        """At the ``nth`` time from now that it comes to ``where``: the name of a step, or DISK:CALL."""
        self._where, self._left, self._trap_silently = where, nth, silently

    def reach(self, where: str) -> None:
        """It has come there; raises Killed when that was the last that it does."""
        if where == self._where and not self.dead:
            self._left -= 1
            if self._left == 0:
                self.end(silently=self._trap_silently)
                death = Killed()
                death.torn = True
                raise death
        if self.dead:
            raise Killed

    def calls_of(self, disk: str) -> Callable[[str], None]:
        """What a disk is to tell its calls to."""
        return lambda what: self.reach(f"{disk}:{what}")


class Worker:
    """The worker port. Calls are made on the event loop, and some only after a while; ``stall``: all of them."""

    def __init__(self, life: Life, clock: JumpClock, chance: random.Random) -> None:
        self._life = life
        self._clock = clock
        self._chance = chance
        self._stalled = 0.0
        life.workers.append(self)

    def stall(self, seconds: float) -> None:
        """No call is made before so much time has passed."""
        self._stalled = self._clock.now + seconds

    async def run(self, call: Callable[[*Ts], T], *args: *Ts) -> T:
        if getattr(call, "__name__", "") == "close":  # the kernel does it for who is dead
            return call(*args)
        if self._life.dead:
            raise Killed
        if self._clock.now < self._stalled:
            await self._clock.wait_until(self._stalled)
        elif self._chance.random() < SLOW:
            await self._clock.wait_until(self._clock.now + TICK * self._chance.randint(1, SLOWEST))
        else:
            await trio.lowlevel.checkpoint_if_cancelled()
        if self._life.dead:
            raise Killed
        return call(*args)


def only_of(hub: Life) -> Callable[[str], Any]:
    """What the hub's named steps are to be told to; devices have theirs in the same process."""

    def step(name: str) -> None:
        if not name.startswith("spool"):
            hub.reach(name)

    return step
