"""The whole of a hub on simulated ports (``run_hub``), and one device of it: for what only all rooms together do."""

import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import trio

from hub.app import run_hub
from hub.client.dial import Target, dial
from hub.client.errors import SocketClosed
from hub.ports import InlineWorker, Ports, SystemClock, SystemRandomness
from hub.serving import House
from hub.wire.codec import decode_hub, encode
from hub.wire.messages import DEVICE_PATH, Row
from hub.wire.session import DeviceSession
from tests.edge.house import MemoryStreams
from tests.simulation.files import SimulatedFiles
from tests.simulation.hub import METRICS, closed_doors, enrolled, make_folder, settings


@dataclass
class Disks:
    """What outlives a hub: its folder, in which one device is enrolled, and the disks of journal and store."""

    folder: Path = field(default_factory=lambda: make_folder(1))
    files: SimulatedFiles = field(default_factory=lambda: SimulatedFiles(1))
    stores: SimulatedFiles = field(default_factory=lambda: SimulatedFiles(2))


@dataclass
class Whole:
    """A running hub. ``stop`` it, and it has ``ended``."""

    house: House
    streams: MemoryStreams
    stop: trio.Event
    ended: trio.Event


@dataclass
class Counter:
    """The device, on a link; it has been welcomed. ``codes``: of the closes that it was told."""

    session: DeviceSession
    send: Callable[[bytes], Awaitable[None]]
    codes: list[int] = field(default_factory=list)

    async def rows(self, *times: int | None) -> None:
        """Send one row for each of these times; the value is its seq."""
        for time in times:
            seq = self.session.expected
            frame = encode(Row(seq, time, [seq]))
            self.session.next = seq + 1
            self.session.sent(seq, len(frame))
            await self.send(frame)


@asynccontextmanager
async def whole(disks: Disks) -> AsyncIterator[Whole]:
    """Run a hub; it is killed at the end of the block, unless it has ended before."""
    streams, stop, ended = MemoryStreams(), trio.Event(), trio.Event()
    ports = Ports(SystemClock(), SystemRandomness(), streams, disks.files, InlineWorker)

    async def live(task_status: trio.TaskStatus[House]) -> None:
        await run_hub(settings(disks.folder, retention=False), ports, stop, task_status=task_status)
        ended.set()

    with closed_doors(disks.stores):
        async with trio.open_nursery() as nursery:
            yield Whole(await nursery.start(live), streams, stop, ended)
            nursery.cancel_scope.cancel()


@asynccontextmanager
async def counter(hub: Whole, session: DeviceSession | None = None) -> AsyncIterator[Counter]:
    """Its device."""
    (token,) = enrolled(1)[1].values()
    target = Target("ws://127.0.0.1:1", token, None, proxy="", insecure_ws=True)
    async with dial(target, DEVICE_PATH, hub.streams) as socket, trio.open_nursery() as nursery:
        device = Counter(session or DeviceSession(), socket.send)
        hello = device.session.hello(
            model="counter", metrics=METRICS, time=None, uptime=None, software="test", token=None
        )  # fmt: skip
        await socket.send(encode(hello))
        device.session.receive(decode_hub(await socket.receive()))

        async def listen() -> None:
            try:
                while True:
                    device.session.receive(decode_hub(await socket.receive()))
            except SocketClosed as closed:
                device.codes.append(closed.code)

        nursery.start_soon(listen)
        yield device
        nursery.cancel_scope.cancel()


@pytest.fixture
def disks() -> Iterator[Disks]:
    """New ones."""
    made = Disks()
    yield made
    shutil.rmtree(made.folder)
