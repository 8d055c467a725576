"""The hostile corpus over TLS on loopback, while one good device streams: it loses nothing, and nothing is left behind.

W1 to W9 name what the libraries are known to do when they are used as they come.
"""

import gc
import os
import random
import ssl
import struct
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import pytest
import trio

from hub.edge.listener import Limits
from hub.wire.codec import encode
from hub.wire.messages import Row
from tests.edge.house import House, Tank, house, tank
from tests.edge.streams import frame, request
from tests.edge.test_device import hello

pytestmark = pytest.mark.trio

BASE_SECONDS = 15.0  # for everything to be gone
LIMITS = Limits(tls=0.5, request=0.5, hello=0.5, send=0.5, close=0.2)
PATIENT = Limits(tls=2.0, request=2.0, hello=2.0, send=2.0, close=0.5)  # where the machine is busy
Attack = Callable[["Attacker"], Awaitable[None]]


class Attacker:
    """One hostile connection at a time, raw or inside TLS."""

    def __init__(self, hub: House, token: str, evil: random.Random, patience: float = 5.0) -> None:
        self.patience = patience  # seconds it waits to be thrown out
        self.hub = hub
        self.token = token
        self.evil = evil
        self.context = ssl.create_default_context(cafile=hub.ca)

    async def tcp(self) -> trio.SocketStream:
        return await trio.open_tcp_stream("127.0.0.1", self.hub.port)

    async def tls(self) -> "trio.SSLStream[trio.SocketStream]":
        stream = trio.SSLStream(await self.tcp(), self.context, server_hostname="localhost", https_compatible=True)
        await stream.do_handshake()
        return stream

    async def opened(self, token: str | None = None) -> "trio.SSLStream[trio.SocketStream]":
        """Past the upgrade."""
        stream = await self.tls()
        headers = [b"Authorization: Bearer " + (token or self.token).encode()]
        await stream.send_all(request(*headers))
        answer = await stream.receive_some()
        assert b" 101 " in answer, answer
        return stream

    async def welcomed(self) -> "trio.SSLStream[trio.SocketStream]":
        stream = await self.opened()
        await stream.send_all(frame(encode(hello())))
        await stream.receive_some()
        return stream

    async def until_closed(self, stream: trio.abc.Stream) -> bytes:
        heard = bytearray()
        with suppress(trio.BrokenResourceError), trio.move_on_after(self.patience):
            while data := await stream.receive_some():
                heard += data
        await trio.aclose_forcefully(stream)
        return bytes(heard)


async def say(attacker: Attacker, stream: trio.abc.Stream, data: bytes) -> bytes:
    with suppress(trio.BrokenResourceError):
        await stream.send_all(data)
    return await attacker.until_closed(stream)


async def connect_and_leave(attacker: Attacker) -> None:
    await trio.aclose_forcefully(await attacker.tcp())


async def connect_and_reset(attacker: Attacker) -> None:
    stream = await attacker.tcp()
    stream.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_LINGER, struct.pack("ii", 1, 0))
    await trio.aclose_forcefully(stream)


async def connect_and_stay_silent(attacker: Attacker) -> None:
    await attacker.until_closed(await attacker.tcp())


async def tls_garbage(attacker: Attacker) -> None:
    await say(attacker, await attacker.tcp(), b"\x16\x03\x01" + attacker.evil.randbytes(500))


async def random_bytes(attacker: Attacker) -> None:
    await say(attacker, await attacker.tcp(), attacker.evil.randbytes(3_000))


async def tls_and_silence(attacker: Attacker) -> None:
    await attacker.until_closed(await attacker.tls())


async def tls_and_leave(attacker: Attacker) -> None:
    await trio.aclose_forcefully(await attacker.tls())


async def tls_and_random(attacker: Attacker) -> None:
    await say(attacker, await attacker.tls(), attacker.evil.randbytes(5_000))


async def slow_request(attacker: Attacker) -> None:
    stream = await attacker.tls()
    with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
        for byte in request()[:40]:
            await stream.send_all(bytes([byte]))
            await trio.sleep(0.05)
    await attacker.until_closed(stream)


async def w1_non_ascii_headers(attacker: Attacker) -> None:
    for header in (b"Sec-WebSocket-Protocol: \xff\xfe", b"Host: \xff\xfe\xfd", b"Sec-WebSocket-Extensions: \xe9"):
        assert b" 400 " in await say(attacker, await attacker.tls(), request(header))
    bad = request().replace(b"Connection: Upgrade", b"Connection: \xc3\x28")
    await say(attacker, await attacker.tls(), bad)
    await say(attacker, await attacker.tls(), request().replace(b"Host: hub", b"Host: " + b"\xff" * 70))


async def mutated_request(attacker: Attacker) -> None:
    data = bytearray(request(b"Authorization: Bearer " + attacker.token.encode()))
    for _ in range(attacker.evil.randint(1, 6)):
        data[attacker.evil.randrange(len(data))] = attacker.evil.randrange(256)
    await say(attacker, await attacker.tls(), bytes(data))


async def many_headers(attacker: Attacker) -> None:
    await say(attacker, await attacker.tls(), request(*[b"X-%d: y" % n for n in range(3_000)]))


async def a_body(attacker: Attacker) -> None:
    heard = await say(attacker, await attacker.tls(), request(b"Content-Length: 5") + b"hello")
    assert b" 400 " in heard


async def http2_preface(attacker: Attacker) -> None:
    await say(attacker, await attacker.tls(), b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")


async def wrong_token(attacker: Attacker) -> None:
    heard = await say(attacker, await attacker.tls(), request(b"Authorization: Bearer nobody"))
    assert b" 401 " in heard


async def no_hello(attacker: Attacker) -> None:
    assert b"\x88" in await attacker.until_closed(await attacker.opened())


async def w2_close_and_ping(attacker: Attacker) -> None:
    """Be closed for a text, and send pings and a close meanwhile."""
    heard = await say(
        attacker, await attacker.welcomed(), frame(b"text", 1) + frame(b"ping", 9) * 50 + frame(b"\x03\xe8", 8)
    )
    assert b"\x03\xeb" in heard  # 1003


async def w2_too_big_and_ping(attacker: Attacker) -> None:
    await say(attacker, await attacker.welcomed(), frame(bytes(70_000)) + frame(b"ping", 9) * 50)


async def w3_bad_messages(attacker: Attacker) -> None:
    for message in (b"\xff", b"\x80", b"\x82\x02", b"\x9f" * 60_000, b"\xd8\x1c\x81\xd8\x1d\x00", os.urandom(500)):
        await say(attacker, await attacker.welcomed(), frame(message))


async def w3_malformed_numbers(attacker: Attacker) -> None:
    for seq in (0, -1, 1 << 62, 1 << 80):
        with suppress(Exception):
            data = encode(Row(seq, None, [1.0, 1.0]))
            await say(attacker, await attacker.welcomed(), frame(data))


async def w4_oversized(attacker: Attacker) -> None:
    await say(attacker, await attacker.welcomed(), frame(bytes(200_000)))
    await say(attacker, await attacker.opened(), frame(bytes(200_000)))
    await say(attacker, await attacker.welcomed(), b"\x82\xff" + (1 << 40).to_bytes(8, "big") + bytes(100_000))


async def w6_ping_flood(attacker: Attacker) -> None:
    await say(attacker, await attacker.welcomed(), frame(bytes(100), 9) * 20_000)


async def w7_never_reads(attacker: Attacker) -> None:
    stream = await attacker.welcomed()
    with suppress(trio.BrokenResourceError), trio.move_on_after(2):
        while True:
            await stream.send_all(frame(bytes(125), 9) * 50)
    await trio.aclose_forcefully(stream)


async def w9_fragments(attacker: Attacker) -> None:
    await say(attacker, await attacker.welcomed(), frame(b"", fin=False) + frame(b"", 0, fin=False) * 50_000)


async def w9_fragment_and_silence(attacker: Attacker) -> None:
    stream = await attacker.opened()
    await stream.send_all(frame(b"half", fin=False))
    await attacker.until_closed(stream)


async def malformed_frames(attacker: Attacker) -> None:
    for data in (
        b"\xf2\x80\0\0\0\0",
        b"\x82\x05hello",
        b"\x8f\x80\0\0\0\0",
        b"\x80\x80\0\0\0\0",
        b"\x82\xfe\0\1\0\0\0\0x",
    ):
        heard = await say(attacker, await attacker.welcomed(), data)
        assert b"\x03\xea" in heard  # 1002, told


async def random_frames(attacker: Attacker) -> None:
    await say(attacker, await attacker.welcomed(), attacker.evil.randbytes(4_000))


async def cut_in_a_frame(attacker: Attacker) -> None:
    stream = await attacker.welcomed()
    await stream.send_all(frame(bytes(1_000))[:500])
    await trio.aclose_forcefully(stream)


ATTACKS: list[Attack] = [
    connect_and_leave, connect_and_reset, connect_and_stay_silent, tls_garbage, random_bytes, tls_and_silence,
    tls_and_leave, tls_and_random, slow_request, w1_non_ascii_headers, mutated_request, many_headers, a_body,
    http2_preface, wrong_token, no_hello, w2_close_and_ping, w2_too_big_and_ping, w3_bad_messages,
    w3_malformed_numbers, w4_oversized, w6_ping_flood, w7_never_reads, w9_fragments, w9_fragment_and_silence,
    malformed_frames, random_frames, cut_in_a_frame,
]  # fmt: skip


async def stream_until(device: Tank, stop: trio.Event) -> int:
    count = 0
    while not stop.is_set():
        await device.rows(20)
        count += 20
        await trio.sleep(0.01)
    return count


def standing() -> tuple[int, int]:
    """Tasks and file descriptors; what tests have dropped without closing is collected first."""
    gc.collect()
    return trio.lowlevel.current_statistics().tasks_living, len(os.listdir("/proc/self/fd"))


async def back_to(base: tuple[int, int]) -> None:
    began = trio.current_time()
    while (now := standing()) != base and trio.current_time() - began < BASE_SECONDS:  # noqa: ASYNC110
        await trio.sleep(0.1)  # nobody tells when the kernel has closed something
    assert now == base


async def under_attack(path: Path, attacks: list[Attack], times: int, limits: Limits) -> None:
    """Run the attacks, some at a time, beside a good device; everything must be as before."""
    async with house(path, tls=True, limits=limits) as hub:
        good = await hub.token("good")
        # Devices that are let in and misbehave are paused by name: each attack has a name of its own.
        names = [f"evil-{attack.__name__}-{n}" for attack in attacks for n in range(times)]
        tokens = {name: await hub.token(name) for name in names}
        async with tank(hub, good) as device:
            await device.rows(1)
            base = standing()
            stop, count = trio.Event(), 0
            limit = trio.CapacityLimiter(20)

            async def attack_with(attack: Attack, name: str) -> None:
                async with limit:
                    with suppress(trio.BrokenResourceError):  # thrown out earlier than it had planned
                        await attack(Attacker(hub, tokens[name], random.Random(name)))

            async with trio.open_nursery() as nursery:

                async def stream() -> None:
                    nonlocal count
                    count = await stream_until(device, stop)

                nursery.start_soon(stream)
                async with trio.open_nursery() as attackers:
                    for n in range(times):
                        for attack in attacks:
                            attackers.start_soon(attack_with, attack, f"evil-{attack.__name__}-{n}")
                stop.set()
            await back_to(base)
            assert [kept.seq for kept in hub.kept if kept.birth.device == "good"] == list(range(1, count + 2))
            assert count > 0
            assert hub.edge.statistics()["half_open"] == 0
            assert hub.edge.statistics()["crashed"] == 0
            async with tank(hub, await hub.token("another")) as another:
                await another.rows(5)


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__)
async def test_each_attack_leaves_nothing_behind(tmp_path: Path, attack: Attack) -> None:
    await under_attack(tmp_path, [attack], 2, LIMITS)


async def test_all_attacks_together(tmp_path: Path) -> None:
    await under_attack(tmp_path, ATTACKS, 2, PATIENT)


async def test_w5_silent_peers_make_room_for_others(tmp_path: Path) -> None:
    """With every half-open slot taken by somebody who says nothing, a device still gets in within seconds."""
    limits = Limits(tls=30.0, half_open=20)
    async with house(tmp_path, tls=True, limits=limits) as hub:
        token = await hub.token()
        silent = [await trio.open_tcp_stream("127.0.0.1", hub.port) for _ in range(60)]
        with trio.fail_after(10):
            async with tank(hub, token) as device:
                await device.rows(1)
        for stream in silent:
            await trio.aclose_forcefully(stream)


async def test_w12_compression_is_declined(tmp_path: Path) -> None:
    async with house(tmp_path, tls=True) as hub:
        attacker = Attacker(hub, await hub.token(), random.Random(1))
        stream = await attacker.tls()
        offer = b"Sec-WebSocket-Extensions: permessage-deflate"
        await stream.send_all(request(b"Authorization: Bearer " + attacker.token.encode(), offer))
        answer = await stream.receive_some()
        assert b" 101 " in answer
        assert b"permessage-deflate" not in answer.lower()
        assert b"\x03\xea" in await say(attacker, stream, frame(b"deflated", rsv=4))
