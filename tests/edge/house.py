"""A hub of real rooms around the edge, and a device that speaks to it: over memory, or over TLS on loopback."""

import math
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import trio
import trustme
from trio.testing import memory_stream_pair

from hub.client.dial import Socket, Target, dial
from hub.client.shell import Operator, connect
from hub.control.live import Live
from hub.control.registry import Registry
from hub.control.router import Router
from hub.disk import DiskFiles
from hub.edge.certificates import server_context
from hub.edge.edge import Edge
from hub.edge.listener import Limits
from hub.edge.rooms import Desk, Rooms
from hub.followers.account import AccountFollower
from hub.ingest.credit import Credit
from hub.ingest.ingest import Ingest
from hub.ingest.marks import Marks
from hub.journal import Journal
from hub.model import parse_model
from hub.ports import Clock, Files, InlineWorker, Streams, SystemClock, SystemRandomness, TcpStreams
from hub.query.question import Columns, Question
from hub.state import State
from hub.store.memory import MemoryStore
from hub.wire.codec import decode_hub, encode
from hub.wire.kept import Gap, Kept
from hub.wire.messages import DEVICE_PATH, Ack, Declared, HubMessage, Row, Welcome
from hub.wire.records import pack_marks
from hub.wire.session import DeviceSession
from hub.wire.shapes import StoreRebuild

LOG = "the-log-of-a-test"
METRICS = (Declared("level", "m", "float64"), Declared("pressure", "Pa", "float64"))
MODEL = """
description = "A tank"

[metrics.level]
unit = "m"
type = "float64"
min = 0.0
max = 10.0

[metrics.pressure]
unit = "Pa"
type = "float64"

[commands.drain]
[commands.drain.arguments.percent]
type = "int"
min = 0
max = 100
"""


class MemoryListener(trio.abc.Listener[trio.abc.Stream]):
    """Hands out the far ends of what is dialled."""

    def __init__(self) -> None:
        self._in, self._out = trio.open_memory_channel[trio.abc.Stream](math.inf)

    def connect(self) -> trio.abc.Stream:
        ours, theirs = memory_stream_pair()
        self.admit(theirs)
        return ours

    def admit(self, stream: trio.abc.Stream) -> None:
        """The next that is accepted."""
        self._in.send_nowait(stream)

    async def accept(self) -> trio.abc.Stream:
        return await self._out.receive()

    async def aclose(self) -> None:
        self._out.close()
        await trio.lowlevel.checkpoint()


class MemoryStreams:
    """A network with one listener on it."""

    def __init__(self) -> None:
        self.listener = MemoryListener()

    async def listen(self, host: str, port: int) -> Sequence[trio.abc.Listener[trio.abc.Stream]]:
        return [self.listener]

    async def dial(self, host: str, port: int) -> trio.abc.Stream:
        await trio.lowlevel.checkpoint()
        try:
            return self.listener.connect()
        except trio.BrokenResourceError:
            raise ConnectionRefusedError from None


@dataclass
class House:
    """A running hub."""

    edge: Edge
    rooms: Rooms
    registry: Registry
    journal: Journal
    ingest: Ingest
    streams: Streams
    url: str
    port: int
    ca: Path | None
    kept: list[Kept] = field(default_factory=list)

    def target(self, token: str | None) -> Target:
        return Target(self.url, token, self.ca, proxy="", insecure_ws=self.ca is None)

    async def token(self, device: str = "tank-1") -> str:
        return await self.registry.enroll(device, {}, "test")

    @asynccontextmanager
    async def socket(self, token: str | None, path: str = DEVICE_PATH) -> AsyncIterator[Socket]:
        async with dial(self.target(token), path, self.streams) as socket:
            yield socket

    @asynccontextmanager
    async def operator(self, role: str = "admin") -> AsyncIterator[Operator]:
        token = await self.registry.create_token(role, f"{role}-of-test", "test")
        async with connect(self.target(token), self.streams) as operator:
            yield operator


@asynccontextmanager
async def house(
    path: Path,
    *,
    tls: bool = False,
    limits: Limits | None = None,
    drain: bool = False,
    clock: Clock | None = None,
    files: Files | None = None,
    credit: Credit | None = None,
    **journal_options: Any,
) -> AsyncIterator[House]:
    """Run a hub in this directory. Without ``tls`` over memory, with no thread: time may be a mock's."""
    worker, clock, randomness = InlineWorker(), clock or SystemClock(), SystemRandomness()
    marks = Marks()
    journal = Journal(
        path / "journal", files or DiskFiles(), worker, snapshot=lambda: pack_marks(marks.snapshot()),
        **journal_options,
    )  # fmt: skip
    marks.recover(await journal.open())
    state = State(path / "state.sqlite")
    state.open()
    model = parse_model(MODEL, "tank.toml")
    models = {model.name: model}
    ingest = Ingest(journal, marks, clock, credit or Credit(64 << 20, 500), LOG, models.get)
    registry = Registry(state, worker, clock, randomness)
    router = Router(state, worker, clock, randomness, registry, models.get)
    await registry.load()
    live, store = Live(models.get), MemoryStore()
    registry.on_presence.append(live.presence)
    store.open()

    async def ask(question: Question) -> Columns:
        return store.ask(question, rows=100_000, seconds=5.0)

    async def stored(lsn: int) -> Columns:
        return store.stored(lsn)

    async def nothing(device: str | None) -> list[object]:
        return []

    async def twin(device: str) -> tuple[dict[str, object], dict[str, object]]:
        return {}, {}

    account = AccountFollower(state, worker)
    await account.start()

    async def booked(lsn: int) -> None:
        await journal.wait_durable(lsn)
        while store.open() < lsn:  # noqa: ASYNC110  (the store tells nobody)
            await trio.sleep(0.001)

    async def reload() -> list[str]:
        ingest.models_changed()
        return []

    async def rebuild(accept_loss: bool) -> StoreRebuild:
        return {"through": 0, "only_copy": None}

    rooms = Rooms(
        ingest=ingest, journal=journal, registry=registry, router=router, live=live, clock=clock, models=models,
        log=LOG, version="0", directory=path / "journal", ask=ask, stored=stored, ledger=nothing, twin=twin,
        followers=list, quarantine=Desk(state, worker, booked), reload=reload,
        store=lambda: {"rebuilding": False, "cursor": 0, "readings": 0, "set_aside": None}, rebuild=rebuild,
    )  # type: ignore[arg-type]  # fmt: skip
    edge = Edge(rooms, limits)
    streams: Streams = TcpStreams() if tls else MemoryStreams()
    context = trust(path) if tls else None
    async with trio.open_nursery() as core:
        core.start_soon(journal.run)
        core.start_soon(router.run)
        port = 0
        async with trio.open_nursery() as links:
            port = await links.start(edge.serve, streams, "127.0.0.1", port, context)
            url = f"wss://127.0.0.1:{port}" if tls else "ws://127.0.0.1:1"
            made = House(edge, rooms, registry, journal, ingest, streams, url, port, path / "ca.pem" if tls else None)
            core.start_soon(follow, made, store, account)
            yield made
            if drain:
                edge.drain()
            else:
                links.cancel_scope.cancel()
        core.cancel_scope.cancel()
    await journal.close()
    state.close()


async def follow(house: House, store: MemoryStore, account: AccountFollower) -> None:
    """Acks, live and store in one, from the end of the journal on."""
    after = house.journal.durable
    while True:
        await house.journal.wait_beyond(after)
        tail = house.journal.tail(after, 10_000)
        assert tail is not None
        entries: list[Any] = list(tail)
        end = after + len(entries)
        house.rooms.live.publish(entries)
        await account.take(entries, end)
        store.take(entries, end)
        last: dict[str, tuple[int, int]] = {}
        for entry in entries:
            if isinstance(entry, Kept):
                house.kept.append(entry)
                last[entry.birth.device] = entry.epoch, entry.through
            elif isinstance(entry, Gap):
                last[entry.device] = entry.epoch, entry.through
        for device, (epoch, through) in last.items():
            house.edge.acked(device, epoch, through)
        after = end


def trust(path: Path) -> ssl.SSLContext:
    """A CA of the test in ``ca.pem``, and the hub's context with a certificate of it."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(path / "ca.pem"))
    issued = authority.issue_cert("127.0.0.1", "localhost")
    issued.private_key_pem.write_to_path(str(path / "hub.key"))
    for part in issued.cert_chain_pems:
        part.write_to_path(str(path / "hub.pem"))
    return server_context(path / "hub.pem", path / "hub.key")


class Tank:
    """A device of the test: says what it is told to, and keeps the session's rules."""

    def __init__(self, socket: Socket, session: DeviceSession | None = None) -> None:
        self.socket = socket
        self.session = session or DeviceSession()
        self.welcome: Welcome | None = None

    async def say(self, message: object) -> None:
        await self.socket.send(encode(message))  # type: ignore[arg-type]

    async def hello(self, token: str | None = None, model: str = "tank") -> Welcome:
        hello = self.session.hello(
            model=model, metrics=METRICS, time=None, uptime=None, software="test 1", token=token
        )  # fmt: skip
        await self.say(hello)
        welcome = await self.hear()
        assert isinstance(welcome, Welcome)
        self.welcome = welcome
        return welcome

    async def hear(self) -> HubMessage:
        message = decode_hub(await self.socket.receive())
        self.session.receive(message)
        return message

    def row(self, level: float = 1.0) -> bytes:
        """The next row's frame; its number is spent."""
        seq = self.session.expected
        frame = encode(Row(seq, SystemClock().now(), [level, 101_325.0]))
        self.session.next = max(self.session.next, seq + 1)
        self.session.sent(seq, len(frame))
        return frame

    async def rows(self, count: int) -> None:
        """Send so many, and wait until all are acked."""
        for _ in range(count):
            await self.socket.send(self.row())
        await self.acked()

    async def acked(self) -> None:
        while self.session.through < self.session.next - 1:
            assert isinstance(await self.hear(), Ack)


@asynccontextmanager
async def tank(house: House, token: str, session: DeviceSession | None = None) -> AsyncIterator[Tank]:
    """A tank that has been welcomed."""
    async with house.socket(token) as socket:
        device = Tank(socket, session)
        await device.hello()
        yield device
