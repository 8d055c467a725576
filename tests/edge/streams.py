"""Streams and frames for tests of the edge."""

import os
from collections.abc import Iterable
from itertools import pairwise

import trio

REQUEST = (
    b"GET /v1/device HTTP/1.1\r\nHost: hub\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Protocol: telemetrio.v1.cbor\r\n"
)


def request(*headers: bytes) -> bytes:
    """A request to upgrade, with more headers."""
    return REQUEST + b"".join(header + b"\r\n" for header in headers) + b"\r\n"


def frame(payload: bytes = b"", opcode: int = 2, *, fin: bool = True, rsv: int = 0, key: bytes | None = None) -> bytes:
    """A client's frame, masked."""
    key = os.urandom(4) if key is None else key
    size = len(payload)
    head = bytes([fin << 7 | rsv << 4 | opcode])
    if size < 126:
        head += bytes([0x80 | size])
    elif size < 65_536:
        head += b"\xfe" + size.to_bytes(2, "big")
    else:
        head += b"\xff" + size.to_bytes(8, "big")
    return head + key + bytes(byte ^ key[i & 3] for i, byte in enumerate(payload))


class Script(trio.abc.Stream):
    """A peer that says these chunks, one for each receive, and leaves; what it hears is kept in ``heard``.

    It waits for the answer to its first chunk, as clients do.
    """

    def __init__(self, chunks: Iterable[bytes], *, patient: bool = True) -> None:
        self._patient = patient
        self._chunks = iter(chunks)
        self.heard = bytearray()
        self.closed = False
        self._said = 0
        self._answered = trio.Event()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        await trio.lowlevel.checkpoint()
        self._said += 1
        if self._said == 2 and self._patient:
            await self._answered.wait()
        if self.closed:
            raise trio.ClosedResourceError
        return next(self._chunks, b"")

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await trio.lowlevel.checkpoint()
        if self.closed:
            raise trio.ClosedResourceError
        self.heard += data
        self._answered.set()

    async def wait_send_all_might_not_block(self) -> None:
        await trio.lowlevel.checkpoint()

    async def aclose(self) -> None:
        self.closed = True
        await trio.lowlevel.checkpoint()


def cut(data: bytes, points: Iterable[int]) -> list[bytes]:
    """The data in pieces, cut at these points."""
    marks = sorted({0, len(data), *(point % (len(data) + 1) for point in points)})
    return [data[low:high] for low, high in pairwise(marks)]
