"""What the devices themselves saw: every value that left, and which were acked. Knows nothing of hub or spool."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from hub.client import Socket, Target
from hub.ports import Streams
from hub.wire.codec import decode_device, decode_hub
from hub.wire.messages import Ack, Dropped, Hello, Row, Welcome

Dial = Callable[[Target, str, Streams], AbstractAsyncContextManager[Socket]]


@dataclass
class Record:
    """Of one device, over all its lives. ``pending``: value by seq of what is not acked in the present numbering."""

    sent: set[int] = field(default_factory=set)
    acked: set[int] = field(default_factory=set)
    pending: dict[int, int] = field(default_factory=dict)
    numbering: tuple[int | None, str | None] = (None, None)
    used: dict[tuple[int | None, int], int] = field(default_factory=dict)  # value by epoch and seq
    problems: list[str] = field(default_factory=list)
    executed: list[int] = field(default_factory=list)  # commands carried out

    def said(self, frame: bytes) -> None:
        message = decode_device(frame)
        if isinstance(message, Hello):
            if message.epoch is None or (message.epoch, message.log) != self.numbering:
                self.pending.clear()
            self.numbering = (message.epoch, message.log)
            self._gave_up(1, message.first - 1)
        elif isinstance(message, Dropped):
            self._gave_up(message.first, message.last)
        elif isinstance(message, Row):
            value = message.values[0]
            assert isinstance(value, int)
            self.sent.add(value)
            self.pending[message.seq] = value
            if self.used.setdefault((self.numbering[0], message.seq), value) != value:
                self.problems.append(f"seq {message.seq} of epoch {self.numbering[0]} was used twice")

    def heard(self, frame: bytes) -> None:
        message = decode_hub(frame)
        if isinstance(message, Ack):
            self._settled(1, message.through)
        elif isinstance(message, Welcome):
            self._settled(1, message.through)
            for first, last in message.held:
                self._settled(first, last)
            if (message.epoch, message.log) != self.numbering:
                self.numbering = (message.epoch, message.log)
                self.pending.clear()

    def _settled(self, first: int, last: int) -> None:
        for seq in [seq for seq in self.pending if first <= seq <= last]:
            self.acked.add(self.pending.pop(seq))

    def _gave_up(self, first: int, last: int) -> None:
        for seq in [seq for seq in self.pending if first <= seq <= last]:
            del self.pending[seq]


class RecordedSocket:
    """A socket whose frames are written down before they leave and when they have come."""

    def __init__(self, socket: Socket, record: Record, note: Callable[..., None]) -> None:
        self._socket, self._record, self._note = socket, record, note

    def __getattr__(self, name: str) -> Any:
        return getattr(self._socket, name)

    async def send(self, frame: bytes) -> None:
        self._record.said(frame)
        self._note("said", len(frame))
        await self._socket.send(frame)

    async def receive(self) -> bytes:
        frame = await self._socket.receive()
        self._record.heard(frame)
        self._note("heard", len(frame))
        return frame


def recorded(dial: Dial, records: dict[str, Record], note: Callable[..., None]) -> Callable[..., Any]:
    """``dial``, for devices whose token is known in ``records``."""

    @asynccontextmanager
    async def dialled(target: Target, path: str, streams: Streams) -> AsyncIterator[Any]:
        async with dial(target, path, streams) as socket:
            yield RecordedSocket(socket, records[target.token or ""], note)

    return dialled
