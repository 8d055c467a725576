"""Accepts connections and keeps the hub standing whatever they do: deadlines, caps, one boundary for each of them."""

import errno
import ssl
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Final

import structlog
import trio
from trio_websocket import ConnectionClosed, WebSocketRequest
from wsproto.utilities import LocalProtocolError

from hub.edge.link import Link, LinkClosed, receive_request
from hub.edge.sockets import QuickStream
from hub.edge.tap import Tap
from hub.edge.tls import TlsStream
from hub.wire.errors import CloseCode

NO_ROOM: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS})
BAD_REQUEST: Final = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
#: How connections end that nobody needs to look at. LocalProtocolError: the library answers a peer that closes (W2).
#: ConnectionClosed: it answers a request whose peer has left.
EXPECTED: Final = (
    trio.BrokenResourceError, trio.ClosedResourceError, trio.TooSlowError, OSError, LinkClosed, LocalProtocolError,
    ConnectionClosed,
)  # fmt: skip
NO_ROOM_SECONDS: Final = 0.1  # until accept is tried again when the system has nothing left
PATIENCE_SECONDS: Final = 2.0  # with all half-open slots taken, who has held one for longer makes room

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
    frame: int = 65_536
    half_open: int = 256
    links: int = 12_000
    dials_per_second: float = 200.0  # what a restarted hub is to meet: a third of the handshakes that a core can do
    origins: frozenset[str] = frozenset()  # browsers' pages that may open a link


@dataclass(frozen=True)
class Ending:
    """How a link ends, and whether the peer is to be told."""

    code: int
    reason: str
    say: bool = True


@dataclass(eq=False)
class Visit:
    """One connection, from accept to its end."""

    address: str
    admitted: Callable[[], None]  # to be called when the peer has shown who it is
    number: int = 0  # in the order in which connections were accepted
    asked: bool = False  # its request has come
    tap: Tap | None = None
    link: Link | None = None
    ending: Ending = field(default_factory=lambda: Ending(CloseCode.GOING_AWAY, "the hub stops"))


Converse = Callable[[Visit, WebSocketRequest], Awaitable[Ending | None]]


@dataclass
class Counters:
    """Since the hub's start."""

    accepted: int = 0
    lost: int = 0  # ended by the network, by garbage or by a deadline
    crashed: int = 0  # an exception nobody expected; each is in the log
    evicted: int = 0  # half-open ones that made room for others
    no_room: int = 0  # times the system had no file descriptor or memory left


class HalfOpen:
    """The slots of peers that have not shown yet who they are."""

    def __init__(self, limit: int, counters: Counters) -> None:
        self._limit = limit
        self._counters = counters
        self._held: dict[object, tuple[float, trio.CancelScope]] = {}
        self._freed = trio.Event()

    def __len__(self) -> int:
        return len(self._held)

    async def room(self) -> None:
        """Wait until there is a slot; with none left, those who stall make room."""
        while len(self._held) >= self._limit:
            slot, (since, scope) = next(iter(self._held.items()))
            patience = since + PATIENCE_SECONDS - trio.current_time()
            if patience <= 0:
                scope.cancel()
                self._counters.evicted += 1
                self._free(slot)
            else:
                with trio.move_on_after(patience):
                    await self._freed.wait()

    @contextmanager
    def slot(self) -> Iterator[Callable[[], None]]:
        """Hold a slot until the block ends or what it yields is called; an evicted one ends the block."""
        slot = object()
        with trio.CancelScope() as scope:
            self._held[slot] = (trio.current_time(), scope)
            try:
                yield lambda: self._free(slot)
            finally:
                self._free(slot)

    def _free(self, slot: object) -> None:
        if self._held.pop(slot, None) is not None:
            self._freed.set()
            self._freed = trio.Event()


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
        while True:
            await self.half_open.room()
            try:
                stream = await listener.accept()
            except OSError as error:
                if error.errno not in NO_ROOM:
                    raise
                self.counters.no_room += 1
                log.error("cannot accept a connection", why=str(error))
                await trio.sleep(NO_ROOM_SECONDS)
            else:
                nursery.start_soon(self.serve, stream)

    async def serve(self, transport: trio.abc.Stream) -> None:
        """One connection; the boundary."""
        self.counters.accepted += 1
        number = self.counters.accepted
        self.connections += 1
        address = address_of(transport)
        stream = QuickStream(transport) if isinstance(transport, trio.SocketStream) else transport
        if self._tls is not None:
            stream = TlsStream(stream, self._tls)
        visit: Visit | None = None
        try:
            with self.half_open.slot() as admitted:
                visit = Visit(address, admitted, number)
                await self._visit(stream, visit)
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
            tap = visit.tap = Tap(stream)
            with trio.fail_after(self._limits.request):
                request = await receive_request(nursery, tap, self._limits.frame)
            if request is not None:
                visit.asked = True
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
                    await visit.tap.send_all(BAD_REQUEST)
                await stream.aclose()
            await trio.aclose_forcefully(stream)


def address_of(stream: trio.abc.Stream) -> str:
    """The peer's address, for people."""
    if not isinstance(stream, trio.SocketStream):
        return "local"
    try:
        name = stream.socket.getpeername()
    except OSError:
        return "gone"
    return f"{name[0]}:{name[1]}" if isinstance(name, tuple) else "local"
