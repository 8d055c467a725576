"""TLS over a trio stream, server side, for many small records.

trio's own SSLStream gives one record per call and holds back session tickets until the first write, so that a client
with Nagle on waits 40 ms for the ACK of its last handshake segment. This one decrypts all that one receive brought, and
sends the tickets with the end of the handshake.
"""

import ssl
from contextlib import suppress
from typing import Final

import trio

from hub.edge.sockets import RECEIVE_BYTES

RECORD_BYTES: Final = 16_384  # the largest TLS record
FAREWELL_SECONDS: Final = 0.5  # for close_notify: it fits the socket's buffer, or the peer does not read


class TlsStream(trio.abc.Stream):
    """One receiver, any number of senders (their data never interleaves)."""

    def __init__(self, transport: trio.abc.Stream, context: ssl.SSLContext) -> None:
        self._transport = transport
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._lock = trio.StrictFIFOLock()
        self._end = False

    @property
    def transport(self) -> trio.abc.Stream:
        """What is below."""
        return self._transport

    async def do_handshake(self) -> None:
        """Raises trio.BrokenResourceError when the peer speaks no TLS that we do, or leaves."""
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                await self._flush()
                data = await self._transport.receive_some(RECEIVE_BYTES)
                if not data:
                    raise trio.BrokenResourceError("left during the TLS handshake") from None
                self._incoming.write(data)
            except ssl.SSLError as error:
                with trio.move_on_after(FAREWELL_SECONDS):
                    await self._flush()  # the alert that says why
                raise trio.BrokenResourceError(f"TLS handshake: {error.reason or error}") from error
            else:
                await self._flush()  # tickets: their segment carries the ACK that a client with Nagle on waits for
                return

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """All that one receive of the transport brought; ``max_bytes`` is not kept to. Empty at the end.

        Raises trio.BrokenResourceError when what comes is not TLS.
        """
        while True:
            data = self._decrypt()
            if self._outgoing.pending:
                await self._flush()  # a key update, or an alert
            if data:
                return data
            if self._end:
                return b""
            received = await self._transport.receive_some(RECEIVE_BYTES)
            if received:
                self._incoming.write(received)
            else:
                self._end = True  # WebSocket has a close of its own: a missing close_notify means nothing here

    def _decrypt(self) -> bytes:
        tls, incoming = self._tls, self._incoming
        if not incoming.pending:
            return b""
        chunks: list[bytes] = []
        try:
            while incoming.pending or tls.pending():
                chunk = tls.read(RECORD_BYTES)
                if not chunk:
                    self._end = True
                    break
                chunks.append(chunk)
        except ssl.SSLWantReadError:
            pass  # the rest of a record is on its way
        except ssl.SSLZeroReturnError:
            self._end = True
        except ssl.SSLError as error:
            if not chunks:
                raise trio.BrokenResourceError(f"TLS: {error.reason or error}") from error
            self._end = True
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """A cancelled one leaves the stream unusable, as with every trio stream."""
        if data:
            try:
                self._tls.write(data)
            except ssl.SSLError as error:
                raise trio.BrokenResourceError(f"TLS: {error.reason or error}") from error
        await self._flush()

    async def _flush(self) -> None:
        data = self._outgoing.read()
        try:
            self._lock.acquire_nowait()  # nearly always; ``async with`` would cost a round of the scheduler
        except trio.WouldBlock:
            await self._lock.acquire()  # first come, first sent: what was encrypted first must leave first
        try:
            if data:
                await self._transport.send_all(data)
        finally:
            self._lock.release()

    async def wait_send_all_might_not_block(self) -> None:
        await self._transport.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        """Says close_notify if the peer still takes it, and closes in any case."""
        try:
            with suppress(ssl.SSLError, ValueError):  # it wants the peer's answer, for which nobody waits
                self._tls.unwrap()
            with trio.move_on_after(FAREWELL_SECONDS), suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                await self._flush()
        finally:
            await trio.aclose_forcefully(self._transport)
