"""The tap beside the library alone: same messages, same order, same end."""

import os
from functools import partial
from itertools import pairwise

import pytest
import trio
from hypothesis import example, given, settings
from hypothesis import strategies as st
from trio.testing import memory_stream_pair
from trio_websocket import ConnectionClosed, wrap_server_stream
from wsproto.utilities import LocalProtocolError

from hub.edge.frames import binary_frame, close_frame, unmask
from hub.edge.link import Link, LinkClosed, receive_request
from hub.edge.tap import Tap
from hub.wire.errors import CloseCode, RemoteProtocolError
from tests.edge.streams import Script, cut, frame, request

LARGEST = 300
FIRST = frame(b"hello")
TOO_BIG = b"Exceeded maximum message size"


async def by_library(chunks: list[bytes]) -> tuple[list[bytes | str], int, bytes]:
    """What the library alone makes of it: messages, close code, what it sent.

    After it has said 1009 the library goes on reading: another code may replace it, and a ping crashes it (W2).
    """
    stream = Script(chunks)
    messages: list[bytes | str] = []
    code = 0
    try:
        async with trio.open_nursery() as nursery:
            opening = await wrap_server_stream(nursery, stream, max_message_size=LARGEST, receive_buffer_size=None)
            socket = await opening.accept(subprotocol="telemetrio.v1.cbor")
            try:
                while True:
                    messages.append(await socket.get_message())
            except ConnectionClosed as closed:
                code = closed.reason.code if closed.reason else 0
            nursery.cancel_scope.cancel()
    except* LocalProtocolError:
        assert TOO_BIG in stream.heard
    return messages, 1009 if TOO_BIG in stream.heard else code, bytes(stream.heard)


async def by_link(
    chunks: list[bytes], bursts: list[int] | None = None, *, patient: bool = True
) -> tuple[list[bytes | str], int, bytes]:
    """What the link makes of it; a text message is told as one."""
    stream = Script(chunks, patient=patient)
    messages: list[bytes | str] = []
    async with trio.open_nursery() as nursery:
        tap = Tap(stream)
        opening = await receive_request(nursery, tap, LARGEST)
        assert opening is not None
        link = Link(await opening.accept(subprotocol="telemetrio.v1.cbor"), tap, LARGEST)
        try:
            while True:
                burst = await link.receive()
                messages += burst
                link.open()
                if bursts is not None:
                    bursts.append(len(burst))
        except LinkClosed as closed:
            code = closed.code
        except RemoteProtocolError as error:
            code = error.code
        nursery.cancel_scope.cancel()
    return messages, code, bytes(stream.heard)


payloads = st.one_of(
    st.binary(max_size=20),
    st.integers(0, LARGEST + 60).map(os.urandom),
    st.just(frame(b"a frame in a frame", key=b"\0\0\0\0")),
)
keys = st.binary(min_size=4, max_size=4)
binaries = st.builds(lambda payload, key: frame(payload, key=key), payloads, keys)
runs = st.builds(
    lambda size, count: b"".join(frame(os.urandom(size)) for _ in range(count)), st.integers(0, 40), st.integers(1, 40)
)
controls = st.builds(lambda payload, opcode: frame(payload[:125], opcode), payloads, st.sampled_from([9, 10]))


@st.composite
def fragmented(draw: st.DrawFn) -> bytes:
    """A message in pieces, with control frames between them, perhaps never ended."""
    pieces = draw(st.lists(st.binary(max_size=40), min_size=2, max_size=5))
    last = draw(st.booleans()) or draw(st.booleans())
    data = b""
    for place, piece in enumerate(pieces):
        data += frame(piece, 0 if place else draw(st.sampled_from([1, 2])), fin=last and place == len(pieces) - 1)
        if draw(st.booleans()):
            data += draw(controls)
    return data


odd = st.one_of(
    st.binary(min_size=1, max_size=20),
    st.builds(lambda text: frame(text.encode(), 1), st.text(max_size=20)),
    st.just(frame(b"\xff\xfe", 1)),
    st.builds(lambda rsv: frame(b"reserved", rsv=rsv), st.integers(1, 7)),
    st.builds(lambda opcode: frame(b"unknown", opcode), st.sampled_from([3, 7, 11, 15])),
    st.just(frame(b"continued", 0)),
    st.just(frame(b"ping in pieces", 9, fin=False)),
    st.just(b"\x89\xfe\x00\x80" + bytes(4 + 128)),
    st.just(b"\x82\xfe\x00\x05" + bytes(9)),
    st.just(b"\x82\xff" + (200).to_bytes(8, "big") + bytes(204)),
    st.just(b"\x82\xff" + b"\xff" * 8 + bytes(40)),
    st.just(binary_frame(b"unmasked")),
    st.builds(lambda code: frame(code.to_bytes(2, "big") + b"why", 8), st.integers(0, 5000)),
    st.just(frame(b"", 8)),
    st.just(frame(b"x", 8)),
)
talk = st.lists(st.one_of(binaries, binaries, runs, controls, fragmented(), odd), max_size=12)


@settings(max_examples=300, deadline=None)
@given(talk, st.lists(st.integers(0, 5_000), max_size=12))
@example([frame(b"", 8), frame(b"after the close")], [])
@example([frame(b"a", 2, fin=False), frame(b"b", 2), frame(b"c", 0)], [])
@example([frame(b"x", 1, fin=False), frame(bytes(LARGEST), 0, fin=False), frame(b"d")], [])
@example([frame(os.urandom(16)) for _ in range(40)], [])
def test_link_and_library_agree_on_any_bytes(said: list[bytes], points: list[int]) -> None:
    chunks = [request(), *cut(FIRST + b"".join(said), points)]
    messages, code, sent = trio.run(by_library, chunks)
    ours, our_code, our_sent = trio.run(by_link, chunks)
    texts = [at for at, message in enumerate(messages) if isinstance(message, str)]
    if texts:  # the link ends there; the library goes on
        assert ours == messages[: texts[0]]
        assert our_code == CloseCode.TEXT
    else:
        assert ours == messages
        assert our_code == code
        assert our_sent == sent


@given(st.lists(st.integers(0, 2_000), max_size=6))
@settings(max_examples=30, deadline=None)
def test_frames_behind_the_request_are_not_lost(points: list[int]) -> None:
    talk = [os.urandom(10) for _ in range(5)]
    chunks = cut(request() + FIRST + b"".join(map(frame, talk)), points)
    messages, _, _ = trio.run(partial(by_link, chunks, patient=False))
    assert messages == [b"hello", *talk]


def test_a_ping_that_looks_like_a_frame_is_never_delivered() -> None:
    inner = frame(b"forged", key=b"\0\0\0\0")
    data = frame(inner, 9, key=b"\0\0\0\0")
    for point in range(len(data) + 1):
        messages, _, heard = trio.run(by_link, [request(), FIRST, *cut(data, [point]), frame(b"true")])
        assert messages == [b"hello", b"true"]
        assert inner in heard  # in the pong


def test_a_receive_is_a_burst() -> None:
    bursts: list[int] = []
    talk = [b"%04d" % n for n in range(500)]
    chunks = [request(), FIRST, b"".join(map(frame, talk))]
    messages, code, _ = trio.run(by_link, chunks, bursts)
    assert messages == [b"hello", *talk]
    assert bursts == [1, 500]
    assert code == 1006


@pytest.mark.parametrize("size", [0, 1, 3, 4, 5, 125, 126, 699, 700, 701, 5_000, 65_536])
def test_unmask(size: int) -> None:
    plain = os.urandom(size)
    masked = frame(plain)
    assert unmask(masked, len(masked) - size, size) == plain


def test_close_frames_hold_what_a_control_frame_may() -> None:
    data = close_frame(4004, "ä" * 200)
    assert len(data) <= 127
    assert data[4:].decode() == "ä" * 61


@pytest.mark.trio
async def test_w9_fragments_over_the_budget_close_1008() -> None:
    flood = frame(b"", 2, fin=False) + frame(b"", 0, fin=False, key=b"\0\0\0\0") * 200_000
    messages, code, _ = await by_link(
        [request(), FIRST, *[flood[at : at + 65_536] for at in range(0, len(flood), 65_536)]]
    )
    assert messages == [b"hello"]
    assert code == CloseCode.POLICY


@pytest.mark.trio
async def test_w8_nothing_is_sent_behind_half_a_frame() -> None:
    """A peer that does not read: the send ends by its deadline, and the link says nothing any more."""
    ours, theirs = trio.testing.lockstep_stream_pair()
    tap = Tap(ours)
    with trio.move_on_after(0.05):
        await tap.send_all(b"a frame that nobody reads")
    with pytest.raises(trio.BrokenResourceError):
        await tap.send_all(b"another")
    await theirs.aclose()


@pytest.mark.trio
async def test_senders_never_interleave() -> None:
    stream = Script([])
    tap = Tap(stream)
    async with trio.open_nursery() as nursery:
        for number in range(50):
            nursery.start_soon(tap.send_all, binary_frame(b"%02d" % number * 40))
    frames = bytes(stream.heard)
    starts = list(range(0, len(frames), 82))
    assert sorted(frames[low:high] for low, high in pairwise([*starts, len(frames)])) == [
        binary_frame(b"%02d" % number * 40) for number in range(50)
    ]


@pytest.mark.trio
async def test_nothing_follows_a_close() -> None:
    stream = Script([])
    tap = Tap(stream)
    await tap.send_all(close_frame(1000, ""))
    await tap.send_all(binary_frame(b"late"))
    assert bytes(stream.heard) == close_frame(1000, "")


@pytest.mark.trio
async def test_closing_waits_for_the_peers_close_and_answers_no_ping() -> None:
    """W2: a ping while we close must not crash anything, and is not answered."""
    ours, theirs = memory_stream_pair()
    async with trio.open_nursery() as nursery:
        await theirs.send_all(request() + FIRST)
        tap = Tap(ours)
        opening = await receive_request(nursery, tap, LARGEST)
        assert opening is not None
        link = Link(await opening.accept(subprotocol="telemetrio.v1.cbor"), tap, LARGEST)
        assert await link.receive() == [b"hello"]
        await theirs.receive_some()
        await theirs.send_all(frame(b"late") + frame(b"ping", 9) + frame(b"\x0f\xa2", 8))
        began = trio.current_time()
        await link.close(4002, "revoked", 5.0)
        assert trio.current_time() - began < 1
        assert await theirs.receive_some() == close_frame(4002, "revoked")
        nursery.cancel_scope.cancel()


@pytest.mark.trio
@pytest.mark.parametrize("said", [b"", b"\x16\x03\x01 no HTTP\r\n\r\n", b"GET / HTTP/1.1\r\nHost: h\r\n\r\n", b"GET"])
async def test_w5_no_request_is_noticed_at_once(said: bytes) -> None:
    async with trio.open_nursery() as nursery:
        with trio.fail_after(1):
            assert await receive_request(nursery, Tap(Script([said] if said else [], patient=False)), LARGEST) is None
        nursery.cancel_scope.cancel()
