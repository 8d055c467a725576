"""A hub's end of device links in memory: the real session machine and codec, marks in a dictionary, no disk.

It stands in for the network too (the streams port), so that tests run on the autojump clock.
"""

import errno
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import trio
from trio.testing import memory_stream_pair
from trio_websocket import ConnectionClosed, WebSocketConnection, wrap_server_stream

from hub.client import Target
from hub.ports import InlineWorker, Ports
from hub.wire.codec import decode_device, encode
from hub.wire.errors import RemoteProtocolError
from hub.wire.messages import (
    SUBPROTOCOL,
    Ack,
    Batch,
    Bye,
    DeviceMessage,
    Dropped,
    Goaway,
    Hello,
    HubMessage,
    Result,
    Welcome,
    Window,
)
from hub.wire.ranges import Ranges
from hub.wire.session import HubSession, Step

NOON = 1_750_000_000_000_000  # us
TARGET = Target("ws://localhost:1", token="dev-01", proxy="", insecure_ws=True)


class TrioClock:
    """The wall clock runs along with trio's, which tests may jump."""

    def now(self) -> int:
        return NOON + int(trio.current_time() * 1e6)

    def monotonic(self) -> float:
        return trio.current_time()


class Middle:
    """No jitter: always the middle."""

    def token(self, size: int) -> bytes:
        return bytes(size)

    def uniform(self, low: float, high: float) -> float:
        return (low + high) / 2.0


class Close(Exception):
    """Raised by a test's hook: the hub closes the link."""

    def __init__(self, code: int, reason: str = "", retry_after: float | None = None) -> None:
        super().__init__(code, reason)
        self.retry_after = retry_after
        self.code = code
        self.reason = reason


@dataclass
class Account:
    """What the hub has of one device."""

    epoch: int = 0
    here: Ranges = field(default_factory=Ranges)  # of the current epoch
    kept: dict[tuple[int, int], Batch] = field(default_factory=dict)
    gaps: list[tuple[int, Dropped]] = field(default_factory=list)  # epoch and what was declared
    missing: list[tuple[int, int, int]] = field(default_factory=list)  # epoch, first, last: found at hello
    hellos: list[Hello] = field(default_factory=list)
    words: list[Result] = field(default_factory=list)  # progress
    byes: int = 0
    closed: list[int] = field(default_factory=list)  # codes the device closed with
    heard: list[DeviceMessage] = field(default_factory=list)
    most: int = 0  # batches outstanding at once

    @property
    def through(self) -> int:
        return next((last for first, last in self.here if first == 1), 0)

    def values(self) -> list[float]:
        """The first value of every row kept, in order."""
        rows = [batch for _, batch in sorted(self.kept.items(), key=lambda item: item[0])]
        return [row.values[0] for row in rows if hasattr(row, "values")]  # type: ignore[misc]


@dataclass
class HubEnd:
    """Takes every link; ``hook`` sees every message before it is kept and may raise Close."""

    window: Window = field(default_factory=lambda: Window(64, 1 << 20))
    log: str = "log-a"
    frame: int = 65_536
    acking: bool = True
    down: bool = False
    status: int = 101
    hook: Callable[["HubEnd", str, DeviceMessage], None] = lambda hub, name, message: None
    on_welcome: Callable[["HubEnd", str], None] = lambda hub, name: None
    accounts: dict[str, Account] = field(default_factory=dict)
    dials: list[float] = field(default_factory=list)
    links: dict[str, WebSocketConnection] = field(default_factory=dict)
    sessions: dict[str, HubSession] = field(default_factory=dict)
    streams: list[trio.abc.Stream] = field(default_factory=list)

    @asynccontextmanager
    async def running(self) -> AsyncIterator["HubEnd"]:
        async with trio.open_nursery() as self._nursery:
            yield self
            self._nursery.cancel_scope.cancel()

    def ports(self) -> Ports:
        return Ports(clock=TrioClock(), randomness=Middle(), streams=self, worker=InlineWorker)

    def account(self, name: str = "dev-01") -> Account:
        return self.accounts.setdefault(name, Account())

    async def listen(self, host: str, port: int) -> list[trio.abc.Listener[trio.abc.Stream]]:
        raise NotImplementedError

    async def dial(self, host: str, port: int) -> trio.abc.Stream:
        await trio.lowlevel.checkpoint()
        self.dials.append(trio.current_time())
        if self.down:
            raise OSError(errno.ECONNREFUSED, "Connection refused")
        ours, theirs = memory_stream_pair()
        self.streams.append(ours)
        self._nursery.start_soon(self._serve, ours)
        return theirs

    def cut(self) -> None:
        """Break every link without a word."""
        for stream in self.streams:
            self._nursery.start_soon(trio.aclose_forcefully, stream)
        self.streams.clear()

    def mute(self) -> None:
        """Hear everything and say nothing: a hub that hangs."""

        async def swallow(data: bytes) -> None:
            await trio.lowlevel.checkpoint()

        for stream in self.streams:
            stream.send_all = swallow  # type: ignore[attr-defined]

    async def say(self, message: HubMessage, name: str = "dev-01") -> None:
        await self.links[name].send_message(encode(message))

    async def acknowledge(self, name: str = "dev-01") -> None:
        """Ack what is here, also while ``acking`` is off."""
        through = self.account(name).through
        self.sessions[name].acked(through, self.window)
        await self.say(Ack(through, self.window), name)

    async def _serve(self, stream: trio.abc.Stream) -> None:
        try:
            async with trio.open_nursery() as nursery:
                request = await wrap_server_stream(nursery, stream)  # type: ignore[arg-type]
                if self.status != 101:
                    await request.reject(self.status)
                else:
                    link = await request.accept(subprotocol=SUBPROTOCOL)
                    await self._judged(dict(request.headers)[b"authorization"].decode().split()[1], link)
                nursery.cancel_scope.cancel()
        except* (ConnectionClosed, trio.BrokenResourceError, trio.ClosedResourceError):
            pass

    async def _judged(self, name: str, link: WebSocketConnection) -> None:
        try:
            await self._converse(name, link)
        except Close as close:
            if close.retry_after is not None:
                await link.send_message(encode(Goaway(close.retry_after, close.reason)))
            await link.aclose(close.code, close.reason)
        except RemoteProtocolError as error:
            await link.aclose(error.code, error.text)
        except ConnectionClosed:
            if link.closed is not None:
                self.account(name).closed.append(link.closed.code)

    async def _converse(self, name: str, link: WebSocketConnection) -> None:
        account, session = self.account(name), HubSession()
        hello = decode_device(await link.get_message())
        session.receive(hello)
        assert isinstance(hello, Hello)
        account.hellos.append(hello)
        self.hook(self, name, hello)
        welcome = self._welcome(account, hello)
        session.welcome(welcome)
        self.links[name], self.sessions[name] = link, session
        await link.send_message(encode(welcome))
        self.on_welcome(self, name)
        while True:
            frame = await link.get_message()
            message = decode_device(frame)
            step = session.receive(message, len(frame))
            account.heard.append(message)
            account.most = max(account.most, session.outstanding.batches)
            self.hook(self, name, message)
            self._keep(account, message, step)
            if self.acking and not isinstance(message, Bye):
                await self.acknowledge(name)

    def _welcome(self, account: Account, hello: Hello) -> Welcome:
        named = (hello.epoch, hello.log) == (account.epoch, self.log)
        if named and hello.next > (account.here.highest or 0):
            gap = account.here.missing(account.through + 1, hello.first - 1)
            account.missing += [(account.epoch, first, last) for first, last in gap]
            for first, last in gap:
                account.here.add(first, last)
            return self._say_welcome(account.epoch, account)
        before = account.here if named else Ranges()
        through = next((last for first, last in before if first == 1), 0)
        held = tuple(pair for pair in before if pair[0] > through)
        account.epoch, account.here = max(account.epoch, hello.epoch or 0) + 1, Ranges()
        return Welcome(account.epoch, through, held, self.window, self.frame, 50.0, TrioClock().now(), self.log)

    def _say_welcome(self, epoch: int, account: Account) -> Welcome:
        through = account.through
        held = tuple(pair for pair in account.here if pair[0] > through)
        return Welcome(epoch, through, held, self.window, self.frame, 50.0, TrioClock().now(), self.log)

    def _keep(self, account: Account, message: DeviceMessage, step: Step) -> None:
        if isinstance(message, Bye):
            account.byes += 1
        elif isinstance(message, Dropped):
            account.gaps.append((account.epoch, message))
            account.here.add(message.first, message.last)
        elif isinstance(message, Result) and message.seq is None:
            account.words.append(message)
        elif step is Step.FRESH:
            assert not isinstance(message, Hello)
            assert (account.epoch, message.seq) not in account.kept  # type: ignore[union-attr]
            account.kept[account.epoch, message.seq] = message  # type: ignore[union-attr,index,assignment]
            account.here.add(message.seq, message.seq)  # type: ignore[union-attr,arg-type]
