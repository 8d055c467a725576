"""One WebSocket of a peer: bursts of messages in, batches of messages out, and one clean end.

The conversations above it know nothing of the WebSocket library.
"""

from collections.abc import Sequence
from typing import Final

import trio
from trio_websocket import ConnectionClosed, WebSocketConnection, WebSocketRequest, wrap_server_stream

from hub.edge.frames import PING_FRAME, Splitter, binary_frame, close_frame
from hub.edge.tap import Tap
from hub.wire.errors import CloseCode, RemoteProtocolError

PASSED_FRAMES: Final = 500.0  # a second, on the library's own path (12 us each): pings, fragments; twice that at once
PASSED_BYTES: Final = 2_097_152.0  # a second, the same
CLOSE_SECONDS: Final = 2.0  # how long the peer's answer to our close is waited for
ABNORMAL: Final = 1006  # as the RFC calls an end without a close; never sent
LIBRARY_JUDGEMENTS: Final = frozenset({CloseCode.PROTOCOL, CloseCode.GARBLED, CloseCode.TOO_BIG})


class LinkClosed(Exception):
    """The link is at its end. ``code`` as the peer gave it, or 1006; ``judged`` when the library found the peer's
    bytes illegal and ``code`` is what it is to be told."""

    def __init__(self, code: int, reason: str, *, judged: bool = False) -> None:
        super().__init__(f"{code} {reason}".rstrip())
        self.code = code
        self.reason = reason
        self.judged = judged


class Budget:
    """A token bucket: so much a second, twice that at once."""

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._left = 2 * rate
        self._at = trio.current_time()

    def take(self, amount: float) -> bool:
        """Whether there was as much; ``amount`` is gone in any case."""
        now = trio.current_time()
        self._left = min(2 * self._rate, self._left + (now - self._at) * self._rate) - amount
        self._at = now
        return self._left >= 0


async def receive_request(nursery: trio.Nursery, tap: Tap, largest: int) -> WebSocketRequest | None:
    """The peer's HTTP request, or None when none will come (the library has answered 400, or the peer has left)."""
    with trio.CancelScope() as tap.waiting:
        return await wrap_server_stream(nursery, tap, max_message_size=largest, receive_buffer_size=None)
    return None


class Link:
    """See the module. One task receives, one task sends; pongs and closes of the library keep out of their way."""

    def __init__(self, socket: WebSocketConnection, tap: Tap, largest: int) -> None:
        self._socket = socket
        self._tap = tap
        self._splitter = Splitter(largest)
        self._splitter.feed(tap.rest)
        tap.rest = b""
        self._pending = b""  # for the library, before anything more is read
        self._pending_frames = 0
        self._ask = False
        self._budget_frames = Budget(PASSED_FRAMES)
        self._budget_bytes = Budget(PASSED_BYTES)
        self._fragment_since = 0.0
        self.heard = trio.current_time()  # when the last frame of any kind began

    def open(self) -> None:
        """From now on whole binary messages are taken past the library: the first one has been understood."""
        self._splitter.shut = False

    @property
    def sending_since(self) -> float | None:
        """When the send that is under way began (trio's clock), or None."""
        return self._tap.sending_since

    @property
    def fragmented_since(self) -> float | None:
        """When the fragmented message that is open began (trio's clock), or None."""
        return self._fragment_since if self._splitter.fragmented else None

    async def receive(self) -> list[bytes]:
        """All whole messages that one receive brought, in order; waits until there is at least one.

        Raises LinkClosed at the end, and RemoteProtocolError for a text message or a peer over its budget.
        """
        splitter = self._splitter
        while True:
            if self._pending:
                await self._hand_over()
            if self._ask:
                self._ask = False
                return [await self._library_message()]
            frames = splitter.frames
            messages = splitter.split()
            if splitter.frames != frames:
                self.heard = trio.current_time()
            if splitter.passed:
                self._pending, self._pending_frames = splitter.passed, splitter.passed_frames
                self._ask = splitter.ask
            if messages:
                return messages
            if not self._pending:
                data = await self._tap.receive()
                if data:
                    splitter.feed(data)
                else:
                    self._tap.end()
                    self._ask = True

    async def _hand_over(self) -> None:
        data, self._pending = self._pending, b""
        paid = self._budget_frames.take(self._pending_frames)
        if not (self._budget_bytes.take(len(data)) and paid):
            raise RemoteProtocolError(CloseCode.POLICY, "too many fragments or control frames; send whole messages")
        was = self._splitter.fragmented
        await self._tap.hand_over(data)
        if self._tap.ended or self._socket.closed:
            self._ask = True
        if was and not self._fragment_since:
            self._fragment_since = trio.current_time()
        elif not was:
            self._fragment_since = 0.0

    async def _library_message(self) -> bytes:
        try:
            message = await self._socket.get_message()
        except ConnectionClosed as closed:
            code = closed.reason.code if closed.reason else ABNORMAL
            reason = (closed.reason.reason if closed.reason else None) or ""
            code = self._tap.close_code or code  # the library reads on behind its own close, and may judge again
            judged = code in LIBRARY_JUDGEMENTS and not self._splitter.said_close
            raise LinkClosed(code, reason, judged=judged) from None
        if isinstance(message, str):
            raise RemoteProtocolError(CloseCode.TEXT, "text messages are not spoken here; send binary ones")
        return message

    async def send(self, messages: Sequence[bytes]) -> None:
        """Send these as one write. Raises LinkClosed when the peer is gone or does not read."""
        data = binary_frame(messages[0]) if len(messages) == 1 else b"".join(map(binary_frame, messages))
        await self._send(data)

    async def ping(self) -> None:
        """Ask for a sign of life; the answer shows in ``heard``."""
        await self._send(PING_FRAME)

    async def _send(self, data: bytes) -> None:
        try:
            await self._tap.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise LinkClosed(ABNORMAL, str(error) or "the connection is gone") from None

    async def close(self, code: int, reason: str, seconds: float = CLOSE_SECONDS) -> None:
        """Say close unless it is said, and wait a little for the peer to have read it. Nobody may be receiving.

        Takes at most so many seconds, even when cancelled; closing the stream is left to the supervisor.
        """
        with trio.move_on_after(seconds, shield=True):
            try:
                await self._tap.send_all(close_frame(code, reason))
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return
            splitter = self._splitter
            while not self._tap.ended:
                while splitter.split() or splitter.passed:
                    pass  # what comes after our close is of no interest; only the peer's close is
                if splitter.said_close:
                    return
                data = await self._tap.receive()
                if not data:
                    return
                splitter.feed(data)

    def let_go(self) -> None:
        """Nobody receives or sends any more. The library's parser is a generator of the object that holds it: a cycle
        for each link, which waits for a garbage collector that a hub rarely runs (see ``hub.app``)."""
        connection = self._socket._wsproto.handshake.connection
        parser = getattr(getattr(connection, "_proto", None), "_parse_more", None)
        if parser is not None:  # another version of the library may have none
            parser.close()
