"""The stream between TLS and the WebSocket library.

The library's reader task reads from the tap: first the HTTP request, and nothing beyond its end, straight from the
peer; after that only what the link hands over. So the conversation's own task reads the socket, no message costs a
task switch, and the library never waits on the socket when the link takes over.
"""

import re
from typing import Final

import trio

from hub.edge.frames import CLOSE
from hub.edge.sockets import RECEIVE_BYTES

BLANK_LINE: Final = re.compile(rb"\n\r?\n")  # where h11 sees the end of a request


class Tap(trio.abc.Stream):
    """See the module. Sends have no deadline here: whoever watches the link looks at ``sending_since`` (W7)."""

    def __init__(self, inner: trio.abc.Stream) -> None:
        self._inner = inner
        self._tail = b""  # of the request so far: the blank line may be cut anywhere
        self._requested = False
        self._handed: list[bytes] = []
        self._wake = trio.Event()
        self._done = trio.Event()  # the library waits for more, or is at its end
        self._lock = trio.StrictFIFOLock()
        self.rest = b""  # what came behind the request
        self.ended = False
        self.broken = False  # a send was cut short: nothing may ever be sent behind it
        self.sending_since: float | None = None  # when the send that is under way began
        self.answered = False  # something has been sent
        self.said_close = False
        self.close_code: int | None = None  # what was said then, if anything
        self.waiting: trio.CancelScope | None = None  # who waits for the request, and should not when it cannot come

    # --- the library's side ----------------------------------------------------------------------------------------

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """For the library's reader task only."""
        if not self._requested:
            return await self._receive_request()
        while not self._handed:
            if self.ended:
                return b""
            self._done.set()
            await self._wake.wait()
            self._wake = trio.Event()
        data = b"".join(self._handed)
        self._handed.clear()
        return data

    async def _receive_request(self) -> bytes:
        data = bytes(await self._inner.receive_some(RECEIVE_BYTES))
        if not data:
            self.end()
            return b""
        seen = self._tail + data
        match = BLANK_LINE.search(seen)
        if match is None:
            self._tail = seen[-2:]
            return data
        self._requested = True
        cut = match.end() - len(self._tail)
        self.rest = data[cut:]
        return data[:cut]

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Whole frames only; the library's and the link's never interleave.

        Raises trio.BrokenResourceError when an earlier send was cut short (W8).
        """
        lock = self._lock
        try:
            lock.acquire_nowait()  # nearly always; ``async with`` would cost a round of the scheduler
        except trio.WouldBlock:
            await lock.acquire()
        try:
            if self.broken:
                raise trio.BrokenResourceError("an earlier send was cut short")
            if self.said_close:
                return  # nothing may follow a close
            self.answered = True
            if data and data[0] == CLOSE:
                self.said_close = True
                self.close_code = int.from_bytes(data[2:4], "big") if len(data) >= 4 else None
            self.sending_since = trio.current_time()
            self.broken = True  # unless it gets through
            await self._inner.send_all(data)
            self.broken = False
        finally:
            self.sending_since = None
            lock.release()

    async def wait_send_all_might_not_block(self) -> None:
        await self._inner.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        """The library wants the stream closed; the supervisor does it, after saying why (which the library omits)."""
        self.end()
        await trio.lowlevel.checkpoint()

    # --- the link's side -------------------------------------------------------------------------------------------

    def end(self) -> None:
        """There is nothing more to come."""
        self.ended = True
        self._wake.set()
        self._done.set()
        if self.waiting is not None:
            self.waiting.cancel()

    async def hand_over(self, data: bytes) -> None:
        """Give the library bytes; returns when it has dealt with them."""
        self._handed.append(data)
        self._done = trio.Event()
        self._wake.set()
        if self.ended:
            return
        await self._done.wait()

    async def receive(self) -> bytes:
        """From the peer, for the link; empty at the end, however it came."""
        try:
            data = await self._inner.receive_some(RECEIVE_BYTES)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return b""
        return bytes(data)
