"""The way in: connections that wait for their turn, and the slots of those that have not shown yet who they are.

A hub that is dialled by more peers than it can shake hands with would serve, from a queue that it knows nothing of,
only those who are about to give up. So it takes them in, knows how long each has waited, and wastes nothing on others.
"""

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import trio

from hub.edge.sockets import gone

PATIENCE_SECONDS: Final = 2.0  # with all slots taken, who has made no progress for longer makes room
#: What is left of the 15 s that a device's dial may take must do for the handshakes of a hub that is slow just then.
WAIT_SECONDS: Final = 8.0


@dataclass
class Counters:
    """Of connections, since the hub's start."""

    taken_in: int = 0  # accepted by the system; they wait for their turn
    accepted: int = 0  # whose turn has come
    lost: int = 0  # ended by the network, by garbage or by a deadline
    crashed: int = 0  # an exception nobody expected; each is in the log
    evicted: int = 0  # half-open ones that made room for others
    left: int = 0  # gone before their turn had come
    overdue: int = 0  # had waited so long that their handshake would have come too late
    no_room: int = 0  # times the system had no file descriptor or memory left


class Slot:
    """Held by one peer until it has shown who it is."""

    def __init__(self, held: "HalfOpen", scope: trio.CancelScope) -> None:
        self.evicted = False
        self.scope = scope
        self.since = trio.current_time()
        self._held = held

    def progress(self) -> None:
        """The peer has finished a step of its handshakes: others make room before it."""
        self._held.moved(self)

    def free(self) -> None:
        """The peer has shown who it is."""
        self._held.free(self)


class HalfOpen:
    """The slots. Those that made progress longest ago come first."""

    def __init__(self, limit: int, counters: Counters) -> None:
        self._limit = limit
        self._counters = counters
        self._held: dict[Slot, None] = {}
        self._freed = trio.Event()

    def __len__(self) -> int:
        return len(self._held)

    async def room(self) -> None:
        """Wait until there is a slot; with none left, those who stall make room."""
        while len(self._held) >= self._limit:
            slot = next(iter(self._held))
            patience = slot.since + PATIENCE_SECONDS - trio.current_time()
            if patience <= 0:
                slot.evicted = True
                slot.scope.cancel()
                self._counters.evicted += 1
                self.free(slot)
            else:
                with trio.move_on_after(patience):
                    await self._freed.wait()

    @contextmanager
    def slot(self) -> Iterator[Slot]:
        """Hold a slot until the block ends or it is freed; an evicted one ends the block."""
        with trio.CancelScope() as scope:
            slot = Slot(self, scope)
            self._held[slot] = None
            try:
                yield slot
            finally:
                self.free(slot)

    def moved(self, slot: Slot) -> None:
        """It has made progress, which happens twice at most: TLS, request."""
        if slot in self._held:
            slot.since = trio.current_time()
            del self._held[slot]
            self._held[slot] = None

    def free(self, slot: Slot) -> None:
        """Let go of it, if it is held."""
        if slot in self._held:
            del self._held[slot]
            self._freed.set()
            self._freed = trio.Event()


class Waiting:
    """Connections that have been accepted and wait for a slot, oldest first; at most ``limit``."""

    def __init__(self, limit: int, counters: Counters) -> None:
        self._limit = limit
        self._counters = counters
        self._waiting: deque[tuple[float, int, trio.abc.Stream]] = deque()
        self._changed = trio.Event()

    @property
    def room(self) -> int:
        """How many more may wait."""
        return self._limit - len(self._waiting)

    async def changed(self) -> None:
        """Wait until one has come or gone."""
        await self._changed.wait()

    def put(self, stream: trio.abc.Stream) -> None:
        """One more waits."""
        self._counters.taken_in += 1
        self._waiting.append((trio.current_time(), self._counters.taken_in, stream))
        self._tell()

    async def take(self) -> tuple[trio.abc.Stream, int]:
        """Whose turn it is, and its number in the order of coming, at whatever door. Who has left, or waited too long,
        is let go on the way: it would only cost the others."""
        while True:
            while self._waiting:
                since, number, stream = self._waiting.popleft()
                self._tell()
                if gone(stream):
                    self._counters.left += 1
                elif trio.current_time() - since > WAIT_SECONDS:
                    self._counters.overdue += 1
                else:
                    return stream, number
                await _drop(stream)
            await self.changed()

    async def aclose(self) -> None:
        """Let go of everybody."""
        while self._waiting:
            await _drop(self._waiting.popleft()[2])

    def _tell(self) -> None:
        self._changed.set()
        self._changed = trio.Event()


async def _drop(stream: trio.abc.Stream) -> None:
    """Close without a word, and where it can be without a turn of the scheduler: hundreds may have to go at once."""
    if isinstance(stream, trio.SocketStream):
        stream.socket.close()
    else:
        await trio.aclose_forcefully(stream)
