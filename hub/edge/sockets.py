"""A TCP connection with as few turns of the scheduler as can be: one for each receive, none for a send that fits.

trio's SocketStream takes two for either, which is a third of what a small message costs.
"""

import select
import socket
from collections.abc import Iterator
from typing import Final

import trio

RECEIVE_BYTES: Final = 65_536  # one system call; about a thousand small frames

HUNG_UP: Final = select.POLLHUP | select.POLLERR | getattr(select, "POLLRDHUP", 0)  # the last where the system has it
AT_ONCE: Final = 64  # connections that are accepted in one turn of the scheduler: some 3 ms


def accept_more(listener: trio.abc.Listener[trio.abc.Stream], most: int) -> Iterator[trio.SocketStream]:
    """The connections that wait already, without waiting; at most so many. What stays wrong, the next ``accept``
    tells."""
    if not isinstance(listener, trio.SocketListener):
        return
    listening = socket.socket(fileno=listener.socket.fileno())
    try:
        for _ in range(min(most, AT_ONCE)):
            try:
                accepted, _ = listening.accept()
            except OSError:
                return
            accepted.setblocking(False)
            yield trio.SocketStream(trio.socket.from_stdlib_socket(accepted))
    finally:
        listening.detach()


def gone(stream: trio.abc.Stream) -> bool:
    """Has the peer closed its end, or reset the connection? Whatever it had sent before."""
    if not isinstance(stream, trio.SocketStream):
        return False
    poll = select.poll()
    poll.register(stream.socket.fileno(), HUNG_UP)
    return bool(poll.poll(0))


class QuickStream(trio.abc.Stream):
    """Takes over a SocketStream. One receiver and one sender at a time."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        theirs = stream.socket
        self._socket = socket.socket(theirs.family, theirs.type, theirs.proto, fileno=theirs.fileno())
        self._socket.setblocking(False)
        self._closed = False

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Raises trio.BrokenResourceError when the connection is reset."""
        while True:
            if self._closed:
                raise trio.ClosedResourceError
            await trio.lowlevel.wait_readable(self._socket)
            try:
                return self._socket.recv(max_bytes or RECEIVE_BYTES)
            except BlockingIOError:
                continue
            except OSError as error:
                raise trio.BrokenResourceError(str(error)) from error

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """No checkpoint when the kernel takes all of it at once. Raises trio.BrokenResourceError."""
        rest = memoryview(data)
        while True:
            if self._closed:
                raise trio.ClosedResourceError
            try:
                rest = rest[self._socket.send(rest) :]
            except BlockingIOError:
                pass
            except OSError as error:
                raise trio.BrokenResourceError(str(error)) from error
            if not rest:
                return
            await trio.lowlevel.wait_writable(self._socket)

    async def wait_send_all_might_not_block(self) -> None:
        if self._closed:
            raise trio.ClosedResourceError
        await trio.lowlevel.wait_writable(self._socket)

    async def aclose(self) -> None:
        """Closes the SocketStream, and wakes whoever waits for it."""
        if not self._closed:
            self._closed = True
            self._socket.detach()
        await self._stream.aclose()
