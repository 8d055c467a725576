"""What waits to be written to one device's link. Whatever is in here may leave at any moment."""

from collections import deque
from collections.abc import Mapping
from typing import Final

import trio

from hub.wire.errors import CloseCode
from hub.wire.messages import Ack, Command, Desired, HubMessage, Plain, Reject, Window

MESSAGES: Final = 128  # that wait at most: many times what a healthy link ever has
BYTES: Final = 128 * 1024  # that wait at most, roughly as encoded: two largest frames
_OVERHEAD: Final = 32  # bytes of a message besides its texts and values, generously


class Closing(Exception):
    """The writer has sent all that waited and is to close the link with ``code``."""

    def __init__(self, code: CloseCode, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class DeviceOutbox:
    """Acks coalesce to the newest; the rest goes in order, bounded by count and bytes. One task takes."""

    __slots__ = ("_ack", "_bytes", "_closing", "_queue", "_time", "_waiting")

    def __init__(self) -> None:
        self._ack: tuple[int, Window] | None = None
        self._queue: deque[tuple[HubMessage, int]] = deque()
        self._bytes = 0
        self._closing: Closing | None = None
        self._waiting: trio.Event | None = None
        self._time = (0, 0.0)  # the hub's time as welcome told it, and when that was on trio's clock

    def welcomed(self, time: int) -> None:
        """The welcome of this link says that it is ``time`` now (us): whatever becomes of the hub's clock, the device
        judges deadlines by that and a monotonic clock of its own."""
        self._time = (time, trio.current_time())

    def as_told(self, at: float) -> int:
        """What time (us) the device takes it to be at ``at`` (trio's clock)."""
        time, then = self._time
        return time + round((at - then) * 1e6)

    def __len__(self) -> int:
        """Messages that wait, an ack apart."""
        return len(self._queue)

    @property
    def closed(self) -> bool:
        """Nothing more is taken in."""
        return self._closing is not None

    @property
    def room(self) -> bool:
        """Less than half full. Who finds room may offer a little later, after having written that it will: advice is
        never let into the other half."""
        return not self._closing and len(self._queue) < MESSAGES // 2 and self._bytes < BYTES // 2

    def ack(self, through: int, window: Window) -> None:
        """Everything up to ``through`` is settled; an ack that still waits is replaced."""
        self._ack = (through, window)
        if self._waiting is not None:
            self._waiting.set()

    def offer(self, message: HubMessage) -> bool:
        """Put it in line; False, and nothing has changed, when the outbox is closed or full (advice: half full)."""
        if self._closing or (type(message) is Reject and not self.room):
            return False
        size = _weight(message)
        if len(self._queue) >= MESSAGES or self._bytes + size > BYTES:
            return False
        self._queue.append((message, size))
        self._bytes += size
        self._wake()
        return True

    def close(self, code: CloseCode, reason: str) -> None:
        """Ask the writer to send what waits and then to say goodbye; only the first reason counts."""
        if self._closing is None:
            self._closing = Closing(code, reason)
        self._wake()

    async def take(self) -> list[HubMessage]:
        """All that waits, acks first; waits for something when there is nothing. Raises Closing once closed and
        drained."""
        while True:
            messages: list[HubMessage] = []
            if self._ack is not None:
                messages.append(Ack(*self._ack))
                self._ack = None
            if self._queue:
                messages.extend(message for message, _ in self._queue)
                self._queue.clear()
                self._bytes = 0
            if messages:
                return messages
            if self._closing is not None:
                raise self._closing
            self._waiting = trio.Event()
            try:
                await self._waiting.wait()
            finally:
                self._waiting = None

    def _wake(self) -> None:
        if self._waiting is not None:
            self._waiting.set()


def _weight(message: HubMessage) -> int:
    """About how many bytes it will be: a bound on memory does not need the exact number."""
    if type(message) is Command:
        return _OVERHEAD + len(message.name) + _plain_weight(message.args)
    if type(message) is Desired:
        return _OVERHEAD + _plain_weight(message.patch)
    if type(message) is Reject:
        return _OVERHEAD + sum(_OVERHEAD + len(entry.text) for entry in message.entries)
    return _OVERHEAD


def _plain_weight(value: "Plain | Mapping[str, Plain]") -> int:
    if isinstance(value, str | bytes):
        return 5 + len(value)
    if isinstance(value, Mapping):
        return 5 + sum(5 + len(name) + _plain_weight(each) for name, each in value.items())
    if isinstance(value, list):
        return 5 + sum(_plain_weight(each) for each in value)
    return 9
