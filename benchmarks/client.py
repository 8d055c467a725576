"""A device link cut down to what a load needs: TLS, the upgrade, masked frames in bulk, acks. Not a device.

On plain non-blocking sockets, so that one core of load can keep a hub on another core busy: with links on trio the load
took longer over a row than the hub did, and the hub was never seen under pressure.
"""

import os
import socket
import ssl
from base64 import b64encode
from collections.abc import Sequence
from contextlib import suppress

from hub.wire.codec import decode_hub, encode
from hub.wire.messages import DEVICE_PATH, SUBPROTOCOL, Ack, Declared, Hello, Welcome

UPGRADE = (
    "GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: {subprotocol}\r\n"
    "Authorization: Bearer {token}\r\n\r\n"
)
READ_BYTES = 65_536
DIAL_SECONDS = 30.0


def masked(payload: bytes, mask: bytes) -> bytes:
    """A client's frame of this payload."""
    size = len(payload)
    key = int.from_bytes((mask * (size // 4 + 1))[:size])
    body = (int.from_bytes(payload) ^ key).to_bytes(size)
    if size < 126:
        head = bytes((0x82, 0x80 | size))
    elif size < 65536:
        head = bytes((0x82, 0xFE)) + size.to_bytes(2)
    else:
        head = bytes((0x82, 0xFF)) + size.to_bytes(8)
    return head + mask + body


class Link:
    """One connection, welcomed; ``through`` and the window (``batches``, ``bytes``) follow the acks. After the welcome
    nothing blocks: what the kernel does not take waits in ``unsent``.

    TLS is done in memory, as the devices' own client does it: all records of a burst go to the kernel in one call.
    """

    def __init__(
        self, host: str, port: int, context: ssl.SSLContext | None, token: str, model: str, metrics: Sequence[Declared]
    ) -> None:
        """Connect, upgrade, say hello as a device without numbering, wait for welcome. RuntimeError when refused."""
        self.through = self.batches = self.bytes = 0
        self.unsent = b""
        self._mask = os.urandom(4)
        self._buffer = bytearray()
        self._closed = ""
        self.socket = socket.create_connection((host, port), DIAL_SECONDS)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls: ssl.SSLObject | None = None
        if context is not None:
            self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname="localhost")
            self._shake_hands(self._tls)
        key = b64encode(os.urandom(16)).decode()
        request = UPGRADE.format(path=DEVICE_PATH, host=host, key=key, subprotocol=SUBPROTOCOL, token=token)
        self._write(request.encode())
        while (end := self._buffer.find(b"\r\n\r\n")) < 0:
            self._buffer += self._more()
        status = bytes(self._buffer[: self._buffer.index(b"\r\n")])
        del self._buffer[: end + 4]
        if b" 101 " not in status:
            raise RuntimeError(f"no upgrade: {status!r}")
        hello = Hello(model, None, None, 0, 1, 1, tuple(metrics), None, None, "benchmark", None)
        self._write(masked(encode(hello), self._mask))
        while not self.batches:
            self._take(self._more())
        self.socket.setblocking(False)

    def _shake_hands(self, tls: ssl.SSLObject) -> None:
        while True:
            try:
                tls.do_handshake()
            except ssl.SSLWantReadError:
                self.socket.sendall(self._outgoing.read())
                self._incoming.write(self._received())
            else:
                self.socket.sendall(self._outgoing.read())
                return

    def _received(self) -> bytes:
        chunk = self.socket.recv(READ_BYTES)
        if not chunk:
            raise RuntimeError(f"closed by the hub {self._closed}")
        return chunk

    def _more(self) -> bytes:
        """What one receive brings; may be empty when that was a part of a record."""
        chunk = self._received()
        if self._tls is None:
            return chunk
        self._incoming.write(chunk)
        plain = b""
        with suppress(ssl.SSLWantReadError):
            while self._incoming.pending or self._tls.pending():
                plain += self._tls.read(READ_BYTES)
        return plain

    def _write(self, data: bytes) -> None:
        if self._tls is not None:
            self._tls.write(data)
            data = self._outgoing.read()
        self.unsent += data
        self.flush()

    def send(self, payloads: Sequence[bytes]) -> None:
        """Frames of these payloads, back to back, in one write."""
        self._write(b"".join([masked(payload, self._mask) for payload in payloads]))

    def flush(self) -> None:
        """Write what the kernel takes."""
        with suppress(BlockingIOError):
            while self.unsent:
                self.unsent = self.unsent[self.socket.send(self.unsent) :]

    def receive(self) -> None:
        """Take in what has come."""
        with suppress(BlockingIOError):
            self._take(self._more())

    def _take(self, chunk: bytes) -> None:
        self._buffer += chunk
        at, buffer = 0, self._buffer
        while len(buffer) - at >= 2:
            size, head = buffer[at + 1] & 0x7F, 2
            if size == 126:
                size, head = int.from_bytes(buffer[at + 2 : at + 4]), 4
            if len(buffer) - at < head + size:
                break
            payload = bytes(buffer[at + head : at + head + size])
            if buffer[at] & 0x0F == 2:
                self._message(payload)
            elif buffer[at] & 0x0F == 8:
                self._closed = f"{int.from_bytes(payload[:2])} {payload[2:]!r}"
            at += head + size
        del buffer[:at]

    def _message(self, payload: bytes) -> None:
        message = decode_hub(payload)
        if isinstance(message, Ack):
            self.through = message.through
            self.batches, self.bytes = message.window
        elif isinstance(message, Welcome):
            self.batches, self.bytes = message.window
