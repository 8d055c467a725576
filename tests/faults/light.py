"""A light dialler for crowds: real TCP, TLS and WebSocket, with nothing between a device's conversation and the socket.

The product's own dialler costs some 8 ms of CPU for each link (trio's TLS and the WebSocket library, a task each), so
that thousands at once would measure the crowd and not the hub. All above the socket is the device's own code: it stands
in for ``hub.client.dial`` and raises the same. No proxies, and no messages in fragments: the hub sends none.
"""

import os
import socket
import ssl
import struct
from base64 import b64encode
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import lru_cache
from pathlib import Path

import trio

from benchmarks.client import UPGRADE, masked
from hub.client.dial import DIAL_SECONDS, Refused, SocketClosed, Target, Unreachable
from hub.client.gathering import GATHERED_BYTES
from hub.client.socket import LOST
from hub.ports import Streams
from hub.wire.messages import SUBPROTOCOL

ADDRESS = "127.0.0.1"  # of the hub: looking up its name would take a thread for each link
RECEIVE_BYTES = 65_536
RESET = struct.pack("ii", 1, 0)  # SO_LINGER on, 0 s: closing drops what is under way and sends RST
CLOSE, PING, PONG, BINARY = 8, 9, 10, 2


class LightSocket:
    """What a conversation needs of ``hub.client.Socket``, over a socket of its own."""

    def __init__(self, target: Target) -> None:
        _, host, self._port, _ = target.address()
        self._socket = socket.socket()
        self._socket.setblocking(False)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        assert target.ca is not None
        self._tls = _context(target.ca).wrap_bio(self._incoming, self._outgoing, server_hostname=host)
        self._host, self._token = host, target.token
        self._buffer = bytearray()
        self._gathered = bytearray()  # frames that wait for more
        self._waiting = b""  # to be sent, while somebody else sends
        self._sending = False
        self._frames: deque[bytes] = deque()
        self._ended: tuple[int, str] | None = None
        self._pong = trio.Event()

    async def open(self, path: str) -> None:
        """Connect, shake hands, upgrade. Raises OSError, ssl.SSLError, SocketClosed and Refused."""
        with suppress(BlockingIOError):
            self._socket.connect((ADDRESS, self._port))
        await trio.lowlevel.wait_writable(self._socket)
        if error := self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            raise OSError(error, os.strerror(error))
        while True:
            try:
                self._tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                await self._flush()
                await self._fill()
        key = b64encode(os.urandom(16)).decode()
        request = UPGRADE.format(path=path, host=self._host, key=key, subprotocol=SUBPROTOCOL, token=self._token)
        await self._write(request.encode())
        while (end := self._buffer.find(b"\r\n\r\n")) < 0:
            await self._read()
        status = int(self._buffer.split(b" ", 2)[1])
        if status != 101:
            raise Refused(status, f"HTTP {status}")
        del self._buffer[: end + 4]

    async def send(self, frame: bytes, *, more: bool = False) -> None:
        """Send one frame; with ``more`` it may wait for the next one, or for ``flush``."""
        self._gathered += masked(frame, os.urandom(4))
        if not more or len(self._gathered) >= GATHERED_BYTES:
            await self.flush()

    async def flush(self) -> None:
        """Send what waits for more."""
        data, self._gathered = self._gathered, bytearray()
        if data:
            await self._write(bytes(data))

    async def receive(self) -> bytes:
        """The next frame; SocketClosed when the link has ended."""
        while not self._frames:
            await self._take()
            if not self._frames:
                await self._read()
        return self._frames.popleft()

    async def ping(self) -> None:
        """Ask for a sign of life and wait for it."""
        self._pong = trio.Event()
        await self._control(PING, b"")
        await self._pong.wait()

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Say goodbye; nobody waits for the hub's."""
        if self._ended is None:
            with suppress(SocketClosed):
                await self._control(CLOSE, code.to_bytes(2) + reason.encode())

    def cut(self) -> None:
        """Break the link in this step: the hub gets a reset."""
        if self._socket.fileno() >= 0:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            self.abandon()

    def abandon(self) -> None:
        """Let go of the connection without a word."""
        self._ended = self._ended or (LOST, "")
        if self._socket.fileno() >= 0:
            trio.lowlevel.notify_closing(self._socket)
            self._socket.close()

    # --- frames ----------------------------------------------------------------------------------------------------

    async def _take(self) -> None:
        """All whole frames that have come."""
        buffer, at = self._buffer, 0
        while len(buffer) - at >= 2:
            size, head = buffer[at + 1] & 0x7F, 2
            if size == 126:
                size, head = int.from_bytes(buffer[at + 2 : at + 4]), 4
            elif size == 127:
                size, head = int.from_bytes(buffer[at + 2 : at + 10]), 10
            if len(buffer) - at < head + size:
                break
            kind, payload = buffer[at] & 0x0F, bytes(buffer[at + head : at + head + size])
            at += head + size
            if kind == BINARY:
                self._frames.append(payload)
            elif kind == PING:
                await self._control(PONG, payload)
            elif kind == PONG:
                self._pong.set()
            elif kind == CLOSE:
                await self.close()
                self._ended = (int.from_bytes(payload[:2]), payload[2:].decode())
        del buffer[:at]

    async def _control(self, kind: int, payload: bytes) -> None:
        frame = bytearray(masked(payload[:125], os.urandom(4)))
        frame[0] = 0x80 | kind
        await self._write(bytes(frame))

    # --- bytes -----------------------------------------------------------------------------------------------------

    async def _read(self) -> None:
        """Wait for more plain text."""
        while True:
            try:
                if data := self._tls.read(RECEIVE_BYTES):
                    self._buffer += data
                    return
                self._end()
            except ssl.SSLWantReadError:
                await self._fill()
            except ssl.SSLError:
                self._end()

    async def _fill(self) -> None:
        if self._ended is not None:
            self._end()
        try:
            await trio.lowlevel.wait_readable(self._socket)
            data = self._socket.recv(RECEIVE_BYTES)
        except BlockingIOError:
            return
        except (OSError, trio.ClosedResourceError):
            data = b""
        if not data:
            self._end()
        self._incoming.write(data)

    async def _write(self, data: bytes) -> None:
        if self._ended is not None:
            self._end()
        self._tls.write(data)
        await self._flush()

    async def _flush(self) -> None:
        self._waiting += self._outgoing.read()
        if self._sending:
            return
        self._sending = True
        try:
            while self._waiting:
                try:
                    self._waiting = self._waiting[self._socket.send(self._waiting) :]
                except BlockingIOError:
                    await trio.lowlevel.wait_writable(self._socket)
        except (OSError, trio.ClosedResourceError):
            self._end()
        finally:
            self._sending = False

    def _end(self) -> None:
        self._ended = self._ended or (LOST, "")
        raise SocketClosed(*self._ended)


class LightDialler:
    """Dials, and knows every socket that is open, so that they can be cut."""

    def __init__(self) -> None:
        self._open: set[LightSocket] = set()

    @asynccontextmanager
    async def dial(self, target: Target, path: str, _streams: Streams) -> AsyncIterator[LightSocket]:
        """As ``hub.client.dial``."""
        link = LightSocket(target)
        self._open.add(link)
        try:
            with trio.move_on_after(DIAL_SECONDS) as scope:
                try:
                    await link.open(path)
                except (OSError, SocketClosed) as error:  # ssl.SSLError is an OSError
                    raise Unreachable(f"no link: {error}") from None
            if scope.cancelled_caught:
                raise Unreachable(f"no answer within {DIAL_SECONDS:g} s")
            yield link
            await link.close()
        finally:
            link.abandon()
            self._open.discard(link)

    def cut(self) -> None:
        """All links in one step."""
        for link in list(self._open):
            link.cut()


@lru_cache(maxsize=1)
def _context(ca: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=ca)
