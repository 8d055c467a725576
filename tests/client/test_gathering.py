"""Frames that wait for each other: one write for many, nothing left behind, the order kept."""

import pytest
import trio
from trio.testing import memory_stream_pair
from trio_websocket import WebSocketConnection

from hub.client import Target, dial
from hub.client.gathering import GATHERED_BYTES, GatheringStream
from tests.client.servers import Trust, websocket_server

pytestmark = pytest.mark.trio


class Writes(trio.abc.Stream):
    """Below the gathering stream: notes each write, and holds it up while ``open`` is not set."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.open = trio.Event()
        self.open.set()

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self.open.wait()
        self.written.append(bytes(data))

    async def wait_send_all_might_not_block(self) -> None:
        raise NotImplementedError

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        raise NotImplementedError

    async def aclose(self) -> None:
        raise NotImplementedError


async def test_each_send_is_a_write_unless_more_comes() -> None:
    below = Writes()
    stream = GatheringStream(below)
    await stream.send_all(b"a")
    stream.more = True
    for data in (b"b", b"c", b"d"):
        await stream.send_all(data)
    assert below.written == [b"a"]
    stream.more = False
    await stream.send_all(b"e")
    assert below.written == [b"a", b"bcde"]
    await stream.flush()
    assert len(below.written) == 2


async def test_a_full_record_waits_no_longer() -> None:
    below = Writes()
    stream = GatheringStream(below)
    stream.more = True
    for _ in range(5):
        await stream.send_all(bytes(GATHERED_BYTES // 4))
    assert [len(data) for data in below.written] == [GATHERED_BYTES]
    await stream.flush()
    assert sum(map(len, below.written)) == 5 * GATHERED_BYTES // 4


async def test_many_senders_keep_their_order_behind_a_slow_write(autojump_clock: trio.testing.MockClock) -> None:
    below = Writes()
    stream = GatheringStream(below)
    below.open = trio.Event()
    async with trio.open_nursery() as nursery:
        for data in (b"1", b"2", b"3"):
            nursery.start_soon(stream.send_all, data)
            await trio.sleep(1)
        below.open.set()
    assert b"".join(below.written) == b"123"
    assert len(below.written) == 2


async def test_a_broken_stream_is_told_at_the_flush() -> None:
    ours, theirs = memory_stream_pair()
    stream = GatheringStream(ours)
    stream.more = True
    await stream.send_all(b"lost")
    await theirs.aclose()
    with pytest.raises(trio.BrokenResourceError):
        await stream.flush()


async def test_frames_that_waited_arrive_in_order_over_tls(trust: Trust) -> None:
    came: list[str | bytes] = []

    async def note(link: WebSocketConnection) -> None:
        while True:
            came.append(await link.get_message())
            if len(came) == 1000:
                await link.send_message(b"all")

    async with websocket_server(note, trust) as server:
        target = Target(f"wss://localhost:{server.port}", token="secret", ca=trust.ca, proxy="")
        async with dial(target, "/v1/device") as socket:
            for number in range(1000):
                await socket.send(number.to_bytes(2, "big"), more=True)
            await socket.flush()
            with trio.fail_after(10):
                assert await socket.receive() == b"all"
    assert came == [number.to_bytes(2, "big") for number in range(1000)]
