"""A device link cut down to what a load needs: TLS, the upgrade, masked frames in bulk, acks. Not a device."""

import os
import ssl
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Self

import trio

from hub.wire.codec import decode_hub, encode
from hub.wire.messages import DEVICE_PATH, SUBPROTOCOL, Ack, Declared, Hello, Welcome

UPGRADE = (
    "GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: {subprotocol}\r\n"
    "Authorization: Bearer {token}\r\n\r\n"
)


def masked(payloads: Sequence[bytes], mask: bytes) -> bytes:
    """Client frames of these payloads, back to back: what a client sends in one write."""
    parts = []
    for payload in payloads:
        size = len(payload)
        key = int.from_bytes((mask * (size // 4 + 1))[:size])
        body = (int.from_bytes(payload) ^ key).to_bytes(size)
        if size < 126:
            head = bytes((0x82, 0x80 | size))
        elif size < 65536:
            head = bytes((0x82, 0xFE)) + size.to_bytes(2)
        else:
            head = bytes((0x82, 0xFF)) + size.to_bytes(8)
        parts += (head, mask, body)
    return b"".join(parts)


@dataclass
class Link:
    """One connection, welcomed; ``through`` and ``window`` follow the acks."""

    stream: trio.abc.Stream
    mask: bytes = field(default_factory=lambda: os.urandom(4))
    buffer: bytearray = field(default_factory=bytearray)
    through: int = 0
    batches: int = 0
    bytes: int = 0
    changed: trio.Event = field(default_factory=trio.Event)
    closed: str = ""

    @classmethod
    async def open(
        cls, host: str, port: int, context: ssl.SSLContext | None, token: str, model: str, metrics: tuple[Declared, ...]
    ) -> Self:
        """Connect, upgrade, say hello as a device without numbering, wait for welcome."""
        stream: trio.abc.Stream = await trio.open_tcp_stream(host, port)
        if context is not None:
            stream = trio.SSLStream(stream, context, server_hostname="localhost", https_compatible=True)
        key = b64encode(os.urandom(16)).decode()
        request = UPGRADE.format(path=DEVICE_PATH, host=host, key=key, subprotocol=SUBPROTOCOL, token=token)
        await stream.send_all(request.encode())
        link = cls(stream)
        while (end := link.buffer.find(b"\r\n\r\n")) < 0:
            link.buffer += await link._more()
        status = bytes(link.buffer[: link.buffer.index(b"\r\n")])
        del link.buffer[: end + 4]
        if b" 101 " not in status:
            raise RuntimeError(f"no upgrade: {status!r}")
        hello = Hello(model, None, None, 0, 1, 1, metrics, None, None, "benchmark", None)
        await link.send([encode(hello)])
        while not link.batches:
            link.take(await link._more())
        return link

    async def _more(self) -> bytes:
        chunk = await self.stream.receive_some(65536)
        if not chunk:
            raise RuntimeError(f"closed by the hub {self.closed}")
        return bytes(chunk)

    async def send(self, payloads: Sequence[bytes]) -> None:
        await self.stream.send_all(masked(payloads, self.mask))

    async def follow(self) -> None:
        """Read acks until cancelled."""
        while True:
            self.take(await self._more())

    def take(self, chunk: bytes) -> None:
        self.buffer += chunk
        at, buffer = 0, self.buffer
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
                self.closed = f"{int.from_bytes(payload[:2])} {payload[2:]!r}"
            at += head + size
        del buffer[:at]

    def _message(self, payload: bytes) -> None:
        message = decode_hub(payload)
        if isinstance(message, Welcome | Ack):
            self.through = message.through if isinstance(message, Ack) else 0
            self.batches, self.bytes = message.window
            self.changed.set()
            self.changed = trio.Event()
