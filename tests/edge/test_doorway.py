"""More peers at the door than the hub can shake hands with: nobody is served in vain, nobody honest is thrown out."""

import random
import socket
from dataclasses import dataclass
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock, memory_stream_pair

from devices.link import Backoff
from hub.client.dial import DIAL_SECONDS, SocketClosed, dial
from hub.edge.doorway import Counters, HalfOpen, Slot, Waiting
from hub.edge.listener import Limits
from hub.edge.sockets import accept_more, gone
from hub.wire.errors import CloseCode
from hub.wire.messages import DEVICE_PATH
from tests.edge.house import House, house, tank
from tests.edge.streams import request

pytestmark = pytest.mark.trio

DEVICES = 60
HANDSHAKE_SECONDS = 1.0  # a slow hub: it cannot serve half of the devices before they give up


class Seeded(random.Random):
    def token(self, size: int) -> bytes:
        return self.randbytes(size)


@dataclass
class Door:
    """A hub that shakes hands with one at a time, and peers that dial it as devices do."""

    waiting: Waiting
    half_open: HalfOpen
    served: int = 0
    in_vain: int = 0

    async def dialled(self, number: int) -> None:
        backoff = Backoff(Seeded(number))
        while True:
            ours, theirs = memory_stream_pair()
            self.waiting.put(theirs)
            with trio.move_on_after(DIAL_SECONDS):
                try:
                    if await ours.receive_some():
                        self.served += 1
                        return
                except trio.BrokenResourceError:
                    pass
            await ours.aclose()
            await trio.sleep(backoff.next())

    async def open(self) -> None:
        while True:
            await self.half_open.room()
            stream, _ = await self.waiting.take()
            await trio.sleep(HANDSHAKE_SECONDS)
            try:
                await stream.send_all(b"welcome")
            except trio.BrokenResourceError:
                self.in_vain += 1


async def test_a_slow_hub_serves_nobody_who_has_given_up(autojump_clock: MockClock) -> None:
    """All dial at once, and again with back-off. First come, first served would serve those whose time is over."""
    counters = Counters()
    door = Door(Waiting(1_000, counters), HalfOpen(1, counters))
    began = trio.current_time()
    with trio.fail_after(20 * DEVICES * HANDSHAKE_SECONDS):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(door.open)
            async with trio.open_nursery() as peers:
                for number in range(DEVICES):
                    peers.start_soon(door.dialled, number)
            nursery.cancel_scope.cancel()
    assert (door.served, door.in_vain) == (DEVICES, 0)
    assert counters.overdue > 0, "some were sent away to come back later"
    assert trio.current_time() - began < 4 * DEVICES * HANDSHAKE_SECONDS, "the hub had little idle time"


async def test_who_makes_progress_keeps_the_slot(autojump_clock: MockClock) -> None:
    """With all slots taken, a slow peer whose handshakes go on stays; one that does nothing makes room."""
    half_open = HalfOpen(2, Counters())
    ended: list[str] = []
    slots: dict[str, Slot] = {}

    async def hold(name: str) -> None:
        with half_open.slot() as slot:
            slots[name] = slot
            await trio.sleep(5)
        ended.append(f"{name} {'evicted' if slot.evicted else 'done'}")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(hold, "slow")
        await trio.sleep(0.1)
        nursery.start_soon(hold, "silent")
        await trio.sleep(1.4)
        slots["slow"].progress()
        await half_open.room()
        await trio.sleep(0.1)
        assert ended == ["silent evicted"]
    assert ended == ["silent evicted", "slow done"]


async def test_those_who_have_left_cost_nothing() -> None:
    """A peer that gave up while it waited is skipped, also when it had said something before."""
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    address = listener.socket.getsockname()
    counters = Counters()
    waiting = Waiting(10, counters)
    async with listener:
        for _ in range(3):
            with socket.create_connection(address) as impatient:
                impatient.sendall(b"hello?")
        with socket.create_connection(address):
            came = [await listener.accept()]
            while len(came) < 4:
                came += accept_more(listener, 10)
            with trio.fail_after(10):
                while not all(map(gone, came[:3])):  # noqa: ASYNC110  (the system sets no event)
                    await trio.sleep(0.01)
            for stream in came:
                waiting.put(stream)
            assert await waiting.take() == (came[3], 4)
    assert counters.left == 3
    assert [stream.socket.fileno() for stream in came[:3]] == [-1, -1, -1]
    await came[3].aclose()


async def test_those_who_wait_are_taken_in_at_once_up_to_a_limit() -> None:
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    address = listener.socket.getsockname()
    async with listener:
        dialled = [socket.create_connection(address) for _ in range(5)]
        first = await listener.accept()
        taken = list(accept_more(listener, 2))
        rest = list(accept_more(listener, 10))
        assert (len(taken), len(rest)) == (2, 2)
        for stream in (first, *taken, *rest):
            await stream.send_all(b"x")  # it is a stream like any other
            await stream.aclose()
        assert [each.recv(1) for each in dialled] == [b"x"] * 5
        for each in dialled:
            each.close()


async def crowded(hub: House) -> None:
    """Somebody else wants in, until it is in."""
    async with tank(hub, await hub.token("another")) as device:
        await device.rows(1)


async def test_who_makes_room_is_told_to_come_back(tmp_path: Path, autojump_clock: MockClock) -> None:
    """Past the upgrade with 1013, which no device counts as its own fault; before it with 503."""
    async with house(tmp_path, limits=Limits(half_open=1)) as hub:
        async with dial(hub.target(None), DEVICE_PATH, hub.streams) as undecided, trio.open_nursery() as nursery:
            nursery.start_soon(crowded, hub)
            with pytest.raises(SocketClosed) as closed:
                await undecided.receive()
            assert closed.value.code == CloseCode.OVERLOAD
        stream = await hub.streams.dial("hub", 1)
        await stream.send_all(request()[:20])
        async with trio.open_nursery() as nursery:
            nursery.start_soon(crowded, hub)
            assert b" 503 " in bytes(await stream.receive_some())
        assert hub.edge.statistics()["evicted"] == 2
