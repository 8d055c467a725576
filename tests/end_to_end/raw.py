"""A device cut down to its link: it says what a test tells it to, right or wrong, over real TLS."""

import sqlite3
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, closing
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import cbor2
import trio

from hub.client.dial import Socket, SocketClosed, Target, Unreachable, dial
from hub.wire.codec import decode_hub, encode
from hub.wire.messages import DEVICE_PATH, Ack, Declared, DeviceMessage, Welcome
from hub.wire.session import DeviceSession

ANSWER_SECONDS = 20.0  # a loaded machine
TRIES = 5  # to dial: the hub gives TLS and request 5 s each

MODEL = """\
description = "What the tests of wrong input pretend to be."

[metrics.level]
unit = "%"
type = "int"
min = 0
max = 100

[metrics.temperature]
unit = "Cel"
min = -50
max = 60

[metrics.note]
type = "text"

[commands.set_level]
description = "A command with an argument that has limits."

[commands.set_level.arguments.level]
type = "int"
min = 0
max = 10
"""
METRICS = (
    Declared("level", "%", "int"), Declared("temperature", "Cel", "float64"), Declared("note", "", "text"),
    Declared("extra", "", "float64"),
)  # fmt: skip

T = TypeVar("T", bound=object)


def write_model(folder: Path) -> Path:
    """A models directory with the model "bench"."""
    models = folder / "models"
    models.mkdir()
    (models / "bench.toml").write_text(MODEL)
    return models


class Raw:
    """An open link, and what was heard on it."""

    def __init__(self, socket: Socket, session: DeviceSession) -> None:
        self.socket = socket
        self.session = session

    async def say(self, *messages: DeviceMessage | bytes) -> None:
        """Send as it is; nothing checks it on this side."""
        for message in messages:
            await self.socket.send(message if isinstance(message, bytes) else encode(message))

    async def hear(self, kind: type[T]) -> T:
        """The next word of this kind; whatever comes before it is passed over."""
        with trio.fail_after(ANSWER_SECONDS):
            while True:
                message = decode_hub(await self.socket.receive())
                if isinstance(message, kind):
                    return message

    async def acked(self, through: int) -> None:
        """Until everything up to ``through`` is settled."""
        while (await self.hear(Ack)).through < through:
            pass

    async def closed(self) -> tuple[int, str]:
        """Wait for the hub to close: code and reason."""
        with trio.fail_after(ANSWER_SECONDS):
            while True:
                try:
                    await self.socket.receive()
                except SocketClosed as closed:
                    return closed.code, closed.reason


@asynccontextmanager
async def opened(target: Target, token: str | None, session: DeviceSession | None = None) -> AsyncIterator[Raw]:
    """A link on which nothing was said yet."""
    async with dial(replace(target, token=token), DEVICE_PATH) as socket:
        yield Raw(socket, session or DeviceSession())


@asynccontextmanager
async def patiently(open_link: Callable[[], AbstractAsyncContextManager[T]]) -> AsyncIterator[T]:
    """What the block of ``open_link`` is given; dials again where the hub is too busy for its own deadlines."""
    async with AsyncExitStack() as stack:
        for left in reversed(range(TRIES)):
            try:
                link = await stack.enter_async_context(open_link())
                break
            except Unreachable:
                if not left:
                    raise
        yield link


@asynccontextmanager
async def welcomed(
    target: Target, token: str, session: DeviceSession | None = None, **birth: Any
) -> AsyncIterator[tuple[Raw, Welcome]]:
    """A link that the hub has let in."""
    async with opened(target, token, session) as raw:
        await raw.say(hello(raw.session, **birth))
        welcome = await raw.hear(Welcome)
        raw.session.receive(welcome)
        yield raw, welcome


def hello(session: DeviceSession, **birth: Any) -> DeviceMessage:
    said = {"model": "bench", "metrics": METRICS, "time": None, "uptime": None, "software": "test", "token": None}
    return session.hello(**said | birth)


def state_rows(folder: Path, question: str, values: Iterable[Any] = ()) -> list[tuple[Any, ...]]:
    """Read the state file beside the running hub, without touching it."""
    uri = f"file:{folder / 'data' / 'state.sqlite'}?mode=ro"
    with closing(sqlite3.connect(uri, uri=True)) as connection:
        return connection.execute(question, tuple(values)).fetchall()


def quarantined(folder: Path, device: str) -> list[tuple[int, int, str, str, Any]]:
    """``(seq, row, metric, code, value)`` of a device's rejected readings, in order."""
    found = state_rows(folder, "SELECT seq, row, metric, code, value FROM quarantine WHERE device = ?", [device])
    return sorted((*row[:4], cbor2.loads(row[4])) for row in found)
