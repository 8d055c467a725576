"""What the devices themselves saw: every value that left, and which were acked. Knows nothing of hub or spool."""

from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from zlib import crc32

from hub.client import Socket, Target
from hub.ports import Streams
from hub.wire.codec import decode_device, decode_hub
from hub.wire.messages import Ack, Columns, Dropped, Event, Hello, Reported, Result, Row, Welcome, Window

Dial = Callable[[Target, str, Streams], AbstractAsyncContextManager[Any]]
Note = Callable[..., None]


class Grants:
    """What the hub has granted on one link, and what was sent: counted apart from both ends."""

    def __init__(self, window: Window) -> None:
        self._limit = [window.batches, window.bytes]
        self._sent = [0, 0]
        self._settled = [0, 0]
        self._waiting: deque[tuple[int, int]] = deque()

    def sent(self, seq: int, size: int) -> bool:
        """A batch leaves; whether it may."""
        self._sent = [self._sent[0] + 1, self._sent[1] + size]
        self._waiting.append((seq, size))
        return self._sent[0] <= self._limit[0] and self._sent[1] <= self._limit[1]

    def acked(self, ack: Ack) -> None:
        while self._waiting and self._waiting[0][0] <= ack.through:
            self._settled = [self._settled[0] + 1, self._settled[1] + self._waiting.popleft()[1]]
        for at, window in enumerate((ack.window.batches, ack.window.bytes)):
            self._limit[at] = max(self._limit[at], self._settled[at] + window)


@dataclass
class Record:
    """Of one device, over all its lives. ``pending``: value by seq of what is not acked in the present numbering."""

    sent: set[int] = field(default_factory=set)
    acked: set[int] = field(default_factory=set)
    executed: list[int] = field(default_factory=list)  # commands carried out
    problems: list[str] = field(default_factory=list)
    pending: dict[int, int] = field(default_factory=dict)
    numbering: tuple[int | None, str | None] = (None, None)
    used: dict[tuple[int | None, int], int] = field(default_factory=dict)  # checksum by epoch and seq
    grants: Grants | None = None  # of the link

    def said(self, frame: bytes) -> str:
        """A frame is about to leave; its kind."""
        message = decode_device(frame)
        if isinstance(message, Hello):
            if message.epoch is None or (message.epoch, message.log) != self.numbering:
                self.pending.clear()
            self.numbering, self.grants = (message.epoch, message.log), None
            self._gave_up(1, message.first - 1)
        elif isinstance(message, Dropped):
            self._gave_up(message.first, message.last)
        elif isinstance(message, Row | Columns | Event | Reported | Result) and message.seq is not None:
            self._batch(message.seq, frame)
            if isinstance(message, Row):
                value = message.values[0]
                assert isinstance(value, int)
                self.sent.add(value)
                self.pending[message.seq] = value
        return _told(message)

    def _batch(self, seq: int, frame: bytes) -> None:
        checksum = crc32(frame)
        if self.used.setdefault((self.numbering[0], seq), checksum) != checksum:
            self.problems.append(f"seq {seq} of epoch {self.numbering[0]} was used twice")
        if self.grants is None or not self.grants.sent(seq, len(frame)):
            self.problems.append(f"seq {seq} was sent beyond what was granted")

    def heard(self, frame: bytes) -> str:
        """A frame has come; its kind."""
        message = decode_hub(frame)
        if isinstance(message, Ack):
            self._settled(1, message.through)
            if self.grants is not None:
                self.grants.acked(message)
        elif isinstance(message, Welcome):
            self._settled(1, message.through)
            for first, last in message.held:
                self._settled(first, last)
            self.grants = Grants(message.window)
            if (message.epoch, message.log) != self.numbering:
                self.numbering = (message.epoch, message.log)
                self.pending.clear()
        return _told(message)

    def _settled(self, first: int, last: int) -> None:
        for seq in [seq for seq in self.pending if first <= seq <= last]:
            self.acked.add(self.pending.pop(seq))

    def _gave_up(self, first: int, last: int) -> None:
        for seq in [seq for seq in self.pending if first <= seq <= last]:
            del self.pending[seq]


NUMBERS = ("epoch", "acked", "first", "next", "through", "held", "last", "seq", "values", "state")


def _told(message: object) -> str:
    """A message in the trace."""
    numbers = [f"{name}={value}" for name in NUMBERS if (value := getattr(message, name, None)) is not None]
    return " ".join([type(message).__name__, *numbers])


class RecordedSocket:
    """A socket whose frames are written down before they leave and when they have come."""

    def __init__(self, socket: Socket, record: Record, note: Note) -> None:
        self._socket, self._record, self._note = socket, record, note
        self.close, self.ping, self.flush = socket.close, socket.ping, socket.flush

    async def send(self, frame: bytes, *, more: bool = False) -> None:
        self._note("says", self._record.said(frame), len(frame))
        await self._socket.send(frame, more=more)

    async def receive(self) -> bytes:
        frame = await self._socket.receive()
        self._note("hears", self._record.heard(frame), len(frame))
        return frame


def recorded(dial: Dial, known: Callable[[str], tuple[Record, Note]]) -> Callable[..., Any]:
    """``dial``, for devices; ``known``: where to write down what the one with this token says and hears."""

    @asynccontextmanager
    async def dialled(target: Target, path: str, streams: Streams) -> AsyncIterator[Any]:
        async with dial(target, path, streams) as socket:
            yield RecordedSocket(socket, *known(target.token or ""))

    return dialled
