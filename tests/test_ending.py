"""How a hub ends that is told to while something is in its way: the whole of ``run_hub``, on simulated ports."""

import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from hub.app import run_hub
from hub.client.dial import Target, dial
from hub.client.errors import SocketClosed
from hub.ports import InlineWorker, Ports, SystemClock, SystemRandomness
from hub.serving import House
from hub.state import StateError
from hub.wire.codec import decode_hub, encode
from hub.wire.errors import CloseCode
from hub.wire.messages import DEVICE_PATH, Declared, Row
from hub.wire.session import DeviceSession
from tests.edge.house import MemoryStreams
from tests.simulation.files import SimulatedFiles
from tests.simulation.hub import BATCHES, closed_doors, enrolled, make_folder, settings

pytestmark = pytest.mark.trio

METRICS = (Declared("n", "/", "int"),)


@dataclass
class Running:
    """A hub with one device on a link, which has been welcomed."""

    house: House
    files: SimulatedFiles
    session: DeviceSession
    send: Callable[[bytes], Awaitable[None]]
    stop: trio.Event
    ended: trio.Event
    codes: list[int]  # of closes the device was told

    async def rows(self, count: int) -> None:
        """Send the next so many."""
        for _ in range(count):
            seq = self.session.expected
            frame = encode(Row(seq, None, [seq]))
            self.session.next = seq + 1
            self.session.sent(seq, len(frame))
            await self.send(frame)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A hub's folder in which one device is enrolled."""
    made = make_folder(1)
    yield made
    shutil.rmtree(made)


@asynccontextmanager
async def running(folder: Path) -> AsyncIterator[Running]:
    files, stores, streams, stop, ended = (
        SimulatedFiles(1),
        SimulatedFiles(2),
        MemoryStreams(),
        trio.Event(),
        trio.Event(),
    )
    token = next(iter(enrolled(1)[1].values()))
    ports = Ports(SystemClock(), SystemRandomness(), streams, files, InlineWorker)

    async def live(task_status: trio.TaskStatus[House]) -> None:
        await run_hub(settings(folder, retention=False), ports, stop, task_status=task_status)
        ended.set()

    with closed_doors(stores):
        async with trio.open_nursery() as nursery:
            house = await nursery.start(live)
            target = Target("ws://127.0.0.1:1", token, None, proxy="", insecure_ws=True)
            async with dial(target, DEVICE_PATH, streams) as socket:
                session, codes = DeviceSession(), []

                async def listen() -> None:
                    try:
                        while True:
                            session.receive(decode_hub(await socket.receive()))
                    except SocketClosed as closed:
                        codes.append(closed.code)

                hello = session.hello(
                    model="counter", metrics=METRICS, time=None, uptime=None, software="test", token=None
                )  # fmt: skip
                await socket.send(encode(hello))
                session.receive(decode_hub(await socket.receive()))
                nursery.start_soon(listen)
                yield Running(house, files, session, socket.send, stop, ended, codes)
            nursery.cancel_scope.cancel()


async def test_full_disk_a_hub_that_is_told_to_stop_does_not_wait_for_space(
    folder: Path, autojump_clock: MockClock
) -> None:
    async with running(folder) as hub:
        await hub.rows(1)
        await trio.sleep(1)
        assert hub.session.through == 1
        hub.files.capacity = hub.files.used()
        await trio.sleep(2)
        journal = hub.house.journal
        assert journal.stalled
        await hub.rows(BATCHES)
        await trio.sleep(1)
        assert journal.durable < journal.appended
        hub.stop.set()
        with trio.fail_after(30):
            await hub.ended.wait()
        assert hub.codes == [CloseCode.DRAIN]
        assert hub.session.through <= journal.durable < journal.appended, "the device still holds the rest"


async def test_a_state_file_that_cannot_be_written_does_not_make_the_end_a_crash(
    folder: Path, autojump_clock: MockClock
) -> None:
    async with running(folder) as hub:

        async def refuse() -> None:
            raise StateError("no space")

        hub.house.registry.flush = refuse  # type: ignore[method-assign]
        hub.stop.set()
        with trio.fail_after(30):
            await hub.ended.wait()
