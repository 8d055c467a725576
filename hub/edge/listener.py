"""Accepts connections and keeps the hub standing whatever they do: deadlines, caps, one boundary for each of them."""

import errno
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

import structlog
import trio
from trio_websocket import ConnectionClosed, WebSocketRequest
from wsproto.utilities import LocalProtocolError

from hub.edge.doorway import Counters, HalfOpen, Slot, Waiting
from hub.edge.link import Link, LinkClosed, receive_request
from hub.edge.sockets import QuickStream, accept_more
from hub.edge.tap import Tap
from hub.edge.tls import TlsStream
from hub.wire.errors import CloseCode
from hub.wire.messages import MAX_FRAME

NO_ROOM: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS})
BAD_REQUEST: Final = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
BUSY: Final = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 2\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
#: How connections end that nobody needs to look at. LocalProtocolError: the library answers a peer that closes (W2).
#: ConnectionClosed: it answers a request whose peer has left.
EXPECTED: Final = (
    trio.BrokenResourceError, trio.ClosedResourceError, trio.TooSlowError, OSError, LinkClosed, LocalProtocolError,
    ConnectionClosed,
)  # fmt: skip
NO_ROOM_SECONDS: Final = 0.1  # until accept is tried again when the system has nothing left
WAITING: Final = 4  # times as many as may be half open wait for their turn

log = structlog.get_logger()


@dataclass(frozen=True)
class Limits:
    """What a connection may cost. Seconds and bytes."""

    tls: float = 5.0
    request: float = 5.0
    hello: float = 10.0
    silence: float = 20.0  # then a ping; twice that, another; half of it more, and the peer is gone
    send: float = 15.0  # for one send: who takes nothing for so long does not read any more
    close: float = 2.0  # for the peer to answer our close
    half_open: int = 256
    links: int = 12_000
    dials_per_second: float = 200.0  # what a restarted hub is to meet: a third of the handshakes that a core can do
    flaps: int = 15  # connects of one device within a minute; one more, and it is paused
    flap_pause: float = 300.0
    origins: frozenset[str] = frozenset()  # browsers' pages that may open a link


@dataclass(frozen=True)
class Ending:
    """How a link ends, and whether the peer is to be told."""

    code: int
    reason: str
    say: bool = True

    @property
    def told(self) -> str:
        """The reason that presence shows."""
        try:
            name = CloseCode(self.code).name.lower()
        except ValueError:
            name = "lost" if self.code == 1006 else str(self.code)
        return f"{name}: {self.reason}" if self.reason else name


@dataclass(eq=False)
class Visit:
    """One connection, from accept to its end."""

    address: str
    slot: Slot  # to be freed when the peer has shown who it is
    number: int = 0  # in the order in which connections were accepted
    asked: bool = False  # its request has come
    tap: Tap | None = None
    link: Link | None = None
    ending: Ending = field(default_factory=lambda: Ending(CloseCode.GOING_AWAY, "the hub stops"))


Converse = Callable[[Visit, WebSocketRequest], Awaitable[Ending | None]]


class Supervisor:
    """Serves listeners: each connection in a task of its own, which never lets an exception out."""

    def __init__(self, converse: Converse, tls: ssl.SSLContext | None, limits: Limits) -> None:
        self._converse = converse
        self._tls = tls
        self._limits = limits
        self.counters = Counters()
        self.half_open = HalfOpen(limits.half_open, self.counters)
        self.connections = 0

    async def accept(self, listener: trio.abc.Listener[trio.abc.Stream], nursery: trio.Nursery) -> None:
        """Accept until cancelled; connections live in ``nursery``, so that they outlast the listening."""
        waiting = Waiting(WAITING * self._limits.half_open, self.counters)
        try:
            async with trio.open_nursery() as doorway:
                doorway.start_soon(self._admit, waiting, nursery)
                while True:
                    while waiting.room <= 0:
                        await waiting.changed()
                    await self._take_in(listener, waiting)
        finally:
            await waiting.aclose()

    async def _take_in(self, listener: trio.abc.Listener[trio.abc.Stream], waiting: Waiting) -> None:
        try:
            waiting.put(await listener.accept())
            for stream in accept_more(listener, waiting.room):
                waiting.put(stream)
        except OSError as error:
            if error.errno not in NO_ROOM:
                raise
            self.counters.no_room += 1
            log.error("cannot accept a connection", why=str(error))
            await trio.sleep(NO_ROOM_SECONDS)

    async def _admit(self, waiting: Waiting, nursery: trio.Nursery) -> None:
        """One for each turn of the scheduler: a hub that is busy with handshakes takes on no more than it finishes."""
        while True:
            await self.half_open.room()
            nursery.start_soon(self.serve, *await waiting.take())
            await trio.lowlevel.checkpoint()

    async def serve(self, transport: trio.abc.Stream, number: int) -> None:
        """One connection; the boundary. ``number``: in the order in which they were accepted."""
        self.counters.accepted += 1
        self.connections += 1
        address = address_of(transport)
        stream = QuickStream(transport) if isinstance(transport, trio.SocketStream) else transport
        if self._tls is not None:
            stream = TlsStream(stream, self._tls)
        visit: Visit | None = None
        try:
            with self.half_open.slot() as slot:
                visit = Visit(address, slot, number)
                await self._visit(stream, visit)
            if slot.evicted:
                visit.ending = Ending(CloseCode.OVERLOAD, "too many come in at once; come back later")
        except* EXPECTED:
            self.counters.lost += 1
        except* Exception as crash:
            self._crashed(visit, address, crash)
        finally:
            self.connections -= 1
            await self._part(stream, visit)

    def _crashed(self, visit: Visit | None, address: str, crash: ExceptionGroup[Exception]) -> None:
        if visit is None or not visit.asked:  # the library choked on a stranger's request (W1)
            self.counters.lost += 1
            log.info("a request that nobody can read", address=address, why=type(crash.exceptions[0]).__name__)
            return
        self.counters.crashed += 1
        log.error("a connection crashed", address=address, exc_info=crash)
        visit.ending = Ending(CloseCode.INTERNAL, "internal error; it is in the hub's log")

    async def _visit(self, stream: trio.abc.Stream, visit: Visit) -> None:
        async with trio.open_nursery() as nursery:
            if isinstance(stream, TlsStream):
                with trio.fail_after(self._limits.tls):
                    await stream.do_handshake()
                visit.slot.progress()
            tap = visit.tap = Tap(stream)
            with trio.fail_after(self._limits.request):
                request = await receive_request(nursery, tap, MAX_FRAME)
            if request is not None:
                visit.asked = True
                visit.slot.progress()
                ending = await self._converse(visit, request)
                if ending is not None:
                    visit.ending = ending
            nursery.cancel_scope.cancel()  # the library's reader must not outlive the conversation

    async def _part(self, stream: trio.abc.Stream, visit: Visit | None) -> None:
        with trio.CancelScope(shield=True):  # each step has a deadline of its own
            if visit is not None and visit.link is not None and visit.ending.say:
                await visit.link.close(visit.ending.code, visit.ending.reason, self._limits.close)
            with trio.move_on_after(self._limits.close), suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                if visit is not None and visit.tap is not None and not visit.asked and not visit.tap.answered:
                    await visit.tap.send_all(BUSY if visit.slot.evicted else BAD_REQUEST)
                await stream.aclose()
            await trio.aclose_forcefully(stream)
        if visit is not None and visit.link is not None:
            visit.link.let_go()


def address_of(stream: trio.abc.Stream) -> str:
    """The peer's address, for people."""
    if not isinstance(stream, trio.SocketStream):
        return "local"
    try:
        name = stream.socket.getpeername()
    except OSError:
        return "gone"
    return f"{name[0]}:{name[1]}" if isinstance(name, tuple) else "local"
