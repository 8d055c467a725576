"""The device's end of a WebSocket, as little as devices need: the hub's end is the real one, on trio-websocket."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

import trio

from hub.client import Refused, SocketClosed, Target, Unreachable
from hub.client.gathering import GatheringStream
from hub.ports import Streams
from hub.wire.messages import SUBPROTOCOL

LOST: Final = 1006
DIAL_SECONDS: Final = 4.0
BINARY, CLOSE, PING, PONG = 0x82, 0x88, 0x89, 0x8A
KEY: Final = bytes(4)  # of the mask: with zeros the payload stays as it is
GONE: Final = (trio.BrokenResourceError, trio.ClosedResourceError)
REQUEST: Final = (
    "GET {} HTTP/1.1\r\nHost: localhost:1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
    f"Sec-WebSocket-Protocol: {SUBPROTOCOL}\r\nAuthorization: Bearer {{}}\r\n\r\n"
)


class LightSocket:
    """Speaks as ``hub.client.Socket`` does."""

    def __init__(self, stream: trio.abc.Stream, rest: bytes) -> None:
        self._stream = GatheringStream(stream)
        self._data = bytearray(rest)
        self._ended: SocketClosed | None = None
        self._pong = trio.Event()

    async def send(self, frame: bytes, *, more: bool = False) -> None:
        self._stream.more = more
        try:
            await self._say(BINARY, frame)
        finally:
            self._stream.more = False

    async def flush(self) -> None:
        try:
            await self._stream.flush()
        except GONE:
            raise SocketClosed(LOST, "") from None

    async def receive(self) -> bytes:
        while True:
            if self._ended is not None:
                raise self._ended
            first, payload = await self._next()
            if first == BINARY:
                return payload
            if first == PING:
                await self._say(PONG, payload)
            elif first == PONG:
                self._pong.set()
            elif first == CLOSE:
                self._ended = SocketClosed(int.from_bytes(payload[:2], "big") or LOST, payload[2:].decode())

    async def ping(self) -> None:
        self._pong = trio.Event()
        await self._say(PING, b"")
        await self._pong.wait()

    async def close(self, code: int = 1000, reason: str = "") -> None:
        with suppress(SocketClosed):
            await self._say(CLOSE, code.to_bytes(2, "big") + reason.encode())
        self._ended = self._ended or SocketClosed(LOST, "closed here")

    async def _say(self, first: int, payload: bytes) -> None:
        if self._ended is not None:
            raise self._ended
        size = len(payload)
        head = bytes((first, 0x80 | size)) if size < 126 else bytes((first, 0xFE)) + size.to_bytes(2, "big")
        try:
            await self._stream.send_all(head + KEY + payload)
        except GONE:
            raise SocketClosed(LOST, "") from None

    async def _next(self) -> tuple[int, bytes]:
        """First byte and payload of the hub's next frame, which is never masked."""
        await self._have(2)
        size, start = self._data[1], 2
        if size >= 126:
            start = 4 if size == 126 else 10
            await self._have(start)
            size = int.from_bytes(self._data[2:start], "big")
        await self._have(start + size)
        first, payload = self._data[0], bytes(self._data[start : start + size])
        del self._data[: start + size]
        return first, payload

    async def _have(self, size: int) -> None:
        while len(self._data) < size:
            try:
                data = await self._stream.receive_some()
            except GONE:
                data = b""
            if not data:
                raise SocketClosed(LOST, "")
            self._data += data


@asynccontextmanager
async def light_dial(target: Target, path: str, streams: Streams) -> AsyncIterator[LightSocket]:
    """As ``hub.client.dial``, to ``ws`` only."""
    try:
        with trio.fail_after(DIAL_SECONDS):
            stream = await streams.dial("localhost", 1)
            rest = await _upgrade(stream, path, target.token or "")
    except (*GONE, OSError, trio.TooSlowError) as error:
        raise Unreachable(str(error)) from None
    socket = LightSocket(stream, rest)
    try:
        yield socket
    finally:
        with trio.CancelScope(shield=True):  # nothing in memory waits
            await socket.close()
            await stream.aclose()


async def _upgrade(stream: trio.abc.Stream, path: str, token: str) -> bytes:
    """Ask for it; what came behind the answer."""
    await stream.send_all(REQUEST.format(path, token).encode())
    answer = b""
    while b"\r\n\r\n" not in answer:
        data = await stream.receive_some()
        if not data:
            raise trio.BrokenResourceError("hung up")
        answer += bytes(data)
    head, _, rest = answer.partition(b"\r\n\r\n")
    status = int(head.split(b" ", 2)[1])
    if status != 101:
        raise Refused(status, head.decode())
    return rest
