"""A faulty network in memory, on trio's clock: delay, chopping at any byte, resets, and ends that vanish silently."""

import errno
import math
import random
from collections import deque
from collections.abc import Sequence
from typing import Final

import trio

LONGEST_DELAY: Final = 0.05  # seconds one way
CHOPPED: Final = 0.1  # share of receives that bring only the first bytes


class Pipe:
    """One direction of a link."""

    def __init__(self, chance: random.Random) -> None:
        self.broken = False  # a reset: what was under way is gone
        self.silent = False  # what is put in never arrives, and nobody is told
        self._chance = chance
        self._delay = chance.uniform(0.001, LONGEST_DELAY)
        self._chunks: deque[tuple[float, bytes]] = deque()
        self._ended = False
        self._changed = trio.Event()

    def put(self, data: bytes) -> None:
        if not self.silent:
            self._chunks.append((trio.current_time() + self._delay, data))
            self._tell()

    def end(self) -> None:
        """The writer has closed its end."""
        if not self.silent:
            self._ended = True
            self._tell()

    def reset(self) -> None:
        self.broken = True
        self._tell()

    async def take(self) -> bytes:
        """What has arrived; empty at the end. Raises trio.BrokenResourceError after a reset."""
        while True:
            if self.broken:
                raise trio.BrokenResourceError("reset")
            at = self._chunks[0][0] if self._chunks else math.inf
            if at <= trio.current_time():
                return self._arrived()
            if self._ended and not self._chunks:
                return b""
            with trio.move_on_at(at):
                await self._changed.wait()

    def _arrived(self) -> bytes:
        at, data = self._chunks.popleft()
        if len(data) > 1 and self._chance.random() < CHOPPED:
            cut = self._chance.randrange(1, len(data))
            self._chunks.appendleft((at, data[cut:]))
            data = data[:cut]
        return data

    def _tell(self) -> None:
        self._changed.set()
        self._changed = trio.Event()


class Wire(trio.abc.Stream):
    """One end of a link."""

    def __init__(self, here: Pipe, there: Pipe) -> None:
        self.here, self.there = here, there
        self._closed = False

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        await trio.lowlevel.checkpoint()
        if self._closed:
            raise trio.ClosedResourceError
        return await self.here.take()

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await trio.lowlevel.checkpoint()
        if self._closed:
            raise trio.ClosedResourceError
        if self.there.broken:
            raise trio.BrokenResourceError("reset")
        self.there.put(bytes(data))

    async def wait_send_all_might_not_block(self) -> None:
        await trio.lowlevel.checkpoint()

    async def aclose(self) -> None:
        if not self._closed:
            self._closed = True
            self.there.end()
            self.here.reset()
        await trio.lowlevel.checkpoint()

    def reset(self) -> None:
        """Both ends notice at once."""
        self.here.reset()
        self.there.reset()

    def deafen(self) -> None:
        """What the other end says from now on is lost: its acks, most of all."""
        self.here.silent = True

    def half_open(self) -> None:
        """Nothing gets through any more in either direction, and nobody is told."""
        self.here.silent = self.there.silent = True

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
    """The streams port of hub and devices. ``links``: (device's end, hub's end) of every link so far."""

    def __init__(self, chance: random.Random) -> None:
        self.links: list[tuple[Wire, Wire]] = []
        self._chance = chance
        self._listening: Listening | None = None

    async def listen(self, host: str, port: int) -> Sequence[trio.abc.Listener[trio.abc.Stream]]:
        self._listening = Listening()
        return [self._listening]

    async def dial(self, host: str, port: int) -> trio.abc.Stream:
        await trio.sleep(self._chance.uniform(0.001, LONGEST_DELAY))
        up, down = Pipe(self._chance), Pipe(self._chance)
        ours, theirs = Wire(down, up), Wire(up, down)
        try:
            if self._listening is None:
                raise trio.BrokenResourceError
            self._listening.arriving.send_nowait(theirs)
        except trio.BrokenResourceError:
            raise ConnectionRefusedError(errno.ECONNREFUSED, "nobody listens") from None
        self.links.append((ours, theirs))
        return ours

    def hub_died(self, *, silently: bool) -> None:
        """Every link ends: at once, or (``silently``) unnoticed by the devices."""
        self._listening = None
        for _, theirs in self.links:
            theirs.vanish() if silently else theirs.reset()
        self.links.clear()

    def disturb(self) -> None:
        """One link, at random, is reset, loses what the hub says, or goes half-open."""
        if self.links:
            ours, _ = self.links.pop(self._chance.randrange(len(self.links)))
            self._chance.choice((ours.reset, ours.deafen, ours.half_open))()
