"""One open link, as the client sees it: whole binary frames in and out."""

from typing import NoReturn

import trio
from trio_websocket import ConnectionClosed, WebSocketConnection
from wsproto.utilities import LocalProtocolError

from hub.client.errors import SocketClosed
from hub.client.gathering import GatheringStream

LOST = 1006  # never on the wire: the link ended without a closing handshake


class Socket:
    """A link to the hub; made by ``dial``. One task may send while another receives."""

    def __init__(self, link: WebSocketConnection, stream: GatheringStream) -> None:
        self._link = link
        self._stream = stream
        self._torn = False

    async def send(self, frame: bytes, *, more: bool = False) -> None:
        """Send one frame; with ``more`` it may wait for the next one, or for ``flush``.

        A send that was cancelled may have left half a frame: the socket is closed for good then.
        """
        if self._torn:
            raise SocketClosed(LOST, "a send was broken off")
        self._stream.more = more
        try:
            await self._link.send_message(frame)
        except (ConnectionClosed, LocalProtocolError):
            self._raise_closed()
        except trio.Cancelled:
            self._torn = True
            raise
        finally:
            self._stream.more = False

    async def flush(self) -> None:
        """Send what waits for more."""
        try:
            await self._stream.flush()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self._raise_closed()
        except trio.Cancelled:
            self._torn = True
            raise

    async def receive(self) -> bytes:
        """The next frame, oldest first; SocketClosed when the link has ended and all that came before is taken."""
        try:
            message = await self._link.get_message()
        except ConnectionClosed:
            self._raise_closed()
        if isinstance(message, bytes):
            return message
        await self.close(1003, "binary messages only")
        raise SocketClosed(1003, "the hub sent a text message")

    async def ping(self) -> None:
        """Ask for a sign of life and wait for it (draw a deadline around it); SocketClosed when the link has ended."""
        try:
            await self._link.ping()
        except (ConnectionClosed, LocalProtocolError):
            self._raise_closed()

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Say goodbye and wait for the hub's; does nothing when the link has ended."""
        if not self._torn:
            try:
                await self._link.aclose(code, reason or None)
            except (LocalProtocolError, trio.BrokenResourceError, trio.ClosedResourceError):
                self._torn = True

    async def abandon(self) -> None:
        """Let go of the connection without a word."""
        self._torn = True
        await trio.aclose_forcefully(self._stream)

    def _raise_closed(self) -> NoReturn:
        reason = self._link.closed
        raise SocketClosed(reason.code if reason else LOST, (reason.reason if reason else None) or "") from None
