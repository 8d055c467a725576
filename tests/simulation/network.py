"""A faulty network in memory, on virtual time: delays, stalls, chopping at any byte, resets, ends that vanish silently.

Delays are multiples of a tick, so that much happens at the same moment, in an order that the seed draws.
"""

import errno
import math
import random
from collections import deque
from collections.abc import Sequence
from typing import Final

import trio

from tests.simulation.clock import JumpClock

TICK: Final = 0.005  # seconds
LONGEST_DELAY: Final = 8  # ticks one way
CHOPPED: Final = 0.1  # share of receives that bring only the first bytes


class Pipe:
    """One direction of a link."""

    def __init__(self, clock: JumpClock, chance: random.Random) -> None:
        self.broken = False  # a reset: what was under way is gone
        self.silent = False  # what is put in never arrives, and nobody is told
        self._clock = clock
        self._chance = chance
        self._delay = TICK * chance.randint(1, LONGEST_DELAY)
        self._earliest = 0.0  # when the next bytes may arrive: behind those before, and not while stalled
        self._travelling: deque[bytes | None] = deque()  # None: the end
        self._arrived = bytearray()
        self._ended = False
        self._reader: trio.lowlevel.Task | None = None

    def put(self, data: bytes | None) -> None:
        """Bytes set out; None: the writer has closed its end."""
        if not self.silent:
            self._earliest = max(self._earliest, self._clock.now + self._delay)
            self._travelling.append(data)
            self._clock.call_at(self._earliest, self._arrive)

    def stall(self, seconds: float) -> None:
        """Nothing that sets out from now on arrives before so many seconds have passed."""
        self._earliest = max(self._earliest, self._clock.now + seconds)

    def reset(self) -> None:
        self.broken = True
        self._wake()

    async def take(self) -> bytes:
        """What has arrived; empty at the end. Raises trio.BrokenResourceError after a reset."""
        while True:
            if self.broken:
                raise trio.BrokenResourceError("reset")
            if self._arrived:
                return self._chopped()
            if self._ended:
                return b""
            self._reader = trio.lowlevel.current_task()
            await trio.lowlevel.wait_task_rescheduled(self._abort)

    def _abort(self, _: object) -> trio.lowlevel.Abort:
        self._reader = None
        return trio.lowlevel.Abort.SUCCEEDED

    def _arrive(self) -> None:
        data = self._travelling.popleft()
        if data is None:
            self._ended = True
        else:
            self._arrived += data
        self._wake()

    def _chopped(self) -> bytes:
        size = len(self._arrived)
        if size > 1 and self._chance.random() < CHOPPED:
            size = self._chance.randrange(1, size)
        data = bytes(self._arrived[:size])
        del self._arrived[:size]
        return data

    def _wake(self) -> None:
        if self._reader is not None:
            reader, self._reader = self._reader, None
            trio.lowlevel.reschedule(reader)


class Wire(trio.abc.Stream):
    """One end of a link. ``orphan``: the other end's machine has forgotten the link, and resets it when it hears."""

    def __init__(self, here: Pipe, there: Pipe) -> None:
        self.here, self.there = here, there
        self.orphan = False
        self._closed = False

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        await trio.lowlevel.checkpoint_if_cancelled()
        if self._closed:
            raise trio.ClosedResourceError
        return await self.here.take()

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await trio.lowlevel.checkpoint_if_cancelled()
        if self._closed:
            raise trio.ClosedResourceError
        if self.orphan:
            self.reset()
        if self.there.broken:
            raise trio.BrokenResourceError("reset")
        self.there.put(bytes(data))

    async def wait_send_all_might_not_block(self) -> None:
        await trio.lowlevel.checkpoint()

    async def aclose(self) -> None:
        if not self._closed:
            self._closed = True
            self.there.put(None)
            self.here.reset()
        await trio.lowlevel.checkpoint()

    def reset(self) -> None:
        """Both ends notice at once."""
        self.here.reset()
        self.there.reset()

    def vanish(self) -> None:
        """This end is gone without a word (its power is cut): the other hears nothing any more."""
        self.here.silent = self.there.silent = True
        self.here.reset()


class Listening(trio.abc.Listener[trio.abc.Stream]):
    """Hands out the hub's ends of what is dialled."""

    def __init__(self) -> None:
        self.arriving, self._arrived = trio.open_memory_channel[trio.abc.Stream](math.inf)

    async def accept(self) -> trio.abc.Stream:
        return await self._arrived.receive()

    async def aclose(self) -> None:
        self._arrived.close()
        await trio.lowlevel.checkpoint()


class Network:
    """The streams port of hub and devices. ``links``: (device's end, hub's end) of every link that may still live."""

    def __init__(self, clock: JumpClock, chance: random.Random) -> None:
        self.links: list[tuple[Wire, Wire]] = []
        self._clock = clock
        self._chance = chance
        self._listening: Listening | None = None
        self._orphans: list[Wire] = []  # ends of devices whose hub vanished

    async def listen(self, host: str, port: int) -> Sequence[trio.abc.Listener[trio.abc.Stream]]:
        """The hub is up: whoever goes on talking to the one before is reset."""
        for wire in self._orphans:
            wire.orphan = True
        self._orphans.clear()
        self._listening = Listening()
        return [self._listening]

    async def dial(self, host: str, port: int) -> Wire:
        await trio.sleep(TICK * self._chance.randint(1, LONGEST_DELAY))
        up, down = Pipe(self._clock, self._chance), Pipe(self._clock, self._chance)
        ours, theirs = Wire(down, up), Wire(up, down)
        try:
            if self._listening is None:
                raise trio.BrokenResourceError
            self._listening.arriving.send_nowait(theirs)
        except trio.BrokenResourceError:
            raise ConnectionRefusedError(errno.ECONNREFUSED, "nobody listens") from None
        self.links = [link for link in self.links if not link[0].here.broken]
        self.links.append((ours, theirs))
        return ours

    def hub_died(self, *, silently: bool) -> None:
        """Every link ends: at once, or (``silently``) unnoticed by the devices."""
        self._listening = None
        for ours, theirs in self.links:
            if silently:
                theirs.vanish()
                self._orphans.append(ours)
            else:
                theirs.reset()
        self.links.clear()

    def disturb(self) -> str:
        """Something happens to one link, at random; what."""
        if not self.links:
            return "nothing"
        ours, theirs = self._chance.choice(self.links)
        what = self._chance.choice(("reset", "deaf", "half-open", "stalled", "given up"))
        if what == "reset":
            ours.reset()
        elif what == "deaf":  # acks are lost, most of all
            ours.here.silent = True
        elif what == "half-open":
            ours.here.silent = ours.there.silent = True
        elif what == "stalled":
            self._chance.choice((ours, theirs)).here.stall(self._chance.uniform(0.1, 2.0))
        else:  # the device dials anew while what it has said is still on its way
            ours.there.stall(self._chance.uniform(0.5, 2.0))
            self._clock.call_at(self._clock.now + self._chance.uniform(0.1, 1.0), ours.here.reset)
        return what
