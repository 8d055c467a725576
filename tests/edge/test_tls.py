"""TLS on the hub's side: bursts of records, half-open peers, clients with Nagle on, and resuming."""

import socket
import ssl
import time
from pathlib import Path

import pytest
import trio
from trio.testing import memory_stream_pair

from hub.edge.certificates import CertificateError, server_context
from hub.edge.tls import TlsStream
from tests.edge.house import trust


def client_context(path: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=path / "ca.pem")


async def pair(path: Path) -> "tuple[TlsStream, trio.SSLStream[trio.abc.Stream]]":
    context = trust(path)
    near, far = memory_stream_pair()
    ours = TlsStream(near, context)
    theirs: trio.SSLStream[trio.abc.Stream] = trio.SSLStream(far, client_context(path), server_hostname="localhost")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ours.do_handshake)
        nursery.start_soon(theirs.do_handshake)
    return ours, theirs


@pytest.mark.trio
async def test_many_records_are_one_receive(tmp_path: Path) -> None:
    ours, theirs = await pair(tmp_path)
    for number in range(50):
        await theirs.send_all(b"%02d" % number)
    assert await ours.receive_some() == b"".join(b"%02d" % number for number in range(50))


@pytest.mark.trio
async def test_both_ways_and_to_the_end(tmp_path: Path) -> None:
    ours, theirs = await pair(tmp_path)
    big = bytes(range(256)) * 2_000
    got = bytearray()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(theirs.send_all, big)
        while len(got) < len(big):
            got += await ours.receive_some()
    assert got == big
    await ours.send_all(b"and back")
    assert await theirs.receive_some() == b"and back"
    await theirs.aclose()
    assert await ours.receive_some() == b""
    await ours.aclose()


@pytest.mark.trio
async def test_a_cut_connection_is_an_end(tmp_path: Path) -> None:
    ours, theirs = await pair(tmp_path)
    await theirs.send_all(b"last words")
    await theirs.transport_stream.aclose()
    assert await ours.receive_some() == b"last words"
    assert await ours.receive_some() == b""


@pytest.mark.trio
async def test_a_receive_that_is_cancelled_loses_nothing(tmp_path: Path) -> None:
    ours, theirs = await pair(tmp_path)
    for number in range(20):
        with trio.move_on_after(0):
            await ours.receive_some()
        await theirs.send_all(b"%02d" % number)
        with trio.CancelScope() as scope:
            scope.cancel()
            await ours.receive_some()
        assert await ours.receive_some() == b"%02d" % number


@pytest.mark.trio
async def test_close_says_close_notify(tmp_path: Path) -> None:
    ours, theirs = await pair(tmp_path)
    await ours.aclose()
    assert await theirs.receive_some() == b""


@pytest.mark.trio
async def test_close_does_not_wait_for_who_does_not_read(tmp_path: Path) -> None:
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listener.socket.getsockname()[1]
    near, far = await trio.open_tcp_stream("127.0.0.1", port), await listener.accept()
    ours = TlsStream(far, trust(tmp_path))
    theirs = trio.SSLStream(near, client_context(tmp_path), server_hostname="localhost")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ours.do_handshake)
        nursery.start_soon(theirs.do_handshake)
    with trio.move_on_after(0.2):
        while True:
            await ours.send_all(bytes(100_000))
    with trio.fail_after(2):
        await trio.aclose_forcefully(ours)
    assert far.socket.fileno() == -1
    await trio.aclose_forcefully(theirs)
    await listener.aclose()


@pytest.mark.parametrize("garbage", [b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\xff\xff" + bytes(400), b"\x00" * 300])
@pytest.mark.trio
async def test_garbage_instead_of_a_handshake(tmp_path: Path, garbage: bytes) -> None:
    near, far = memory_stream_pair()
    ours = TlsStream(near, trust(tmp_path))
    await far.send_all(garbage)
    await far.send_eof()
    with pytest.raises(trio.BrokenResourceError):
        await ours.do_handshake()


@pytest.mark.trio
async def test_garbage_inside(tmp_path: Path) -> None:
    ours, theirs = await pair(tmp_path)
    await theirs.transport_stream.send_all(b"\x17\x03\x03\x00\x20" + bytes(32))
    with pytest.raises(trio.BrokenResourceError):
        await ours.receive_some()


@pytest.mark.trio
async def test_old_versions_are_refused(tmp_path: Path) -> None:
    context = trust(tmp_path)
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    near, far = memory_stream_pair()
    old = client_context(tmp_path)
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    old.set_ciphers("ALL:@SECLEVEL=0")
    theirs: trio.SSLStream[trio.abc.Stream] = trio.SSLStream(far, old, server_hostname="localhost")
    async with trio.open_nursery() as nursery:

        async def greet() -> None:
            with pytest.raises(trio.BrokenResourceError):
                await theirs.do_handshake()
            await far.aclose()

        nursery.start_soon(greet)
        with pytest.raises(trio.BrokenResourceError):
            await TlsStream(near, context).do_handshake()


def echo_once(path: Path, context: ssl.SSLContext, sessions: int) -> tuple[list[float], list[bool]]:
    """A client with Nagle on, one round trip for each connection: seconds from TLS to answer, and what was resumed."""
    took: list[float] = []
    resumed: list[bool] = []

    async def serve(listener: trio.SocketListener) -> None:
        while True:
            stream = TlsStream(await listener.accept(), context)
            await stream.do_handshake()
            await stream.send_all(await stream.receive_some())
            await stream.aclose()

    def dial(port: int) -> None:
        client, session = client_context(path), None
        for _ in range(sessions):
            with socket.create_connection(("127.0.0.1", port)) as plain:
                began = time.perf_counter()
                with client.wrap_socket(plain, server_hostname="localhost", session=session) as secure:
                    secure.sendall(b"hello")
                    assert secure.recv(100) == b"hello"
                    took.append(time.perf_counter() - began)
                    session = secure.session
                    resumed.append(bool(secure.session_reused))

    async def main() -> None:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve, listener)
            await trio.to_thread.run_sync(dial, listener.socket.getsockname()[1])
            nursery.cancel_scope.cancel()

    trio.run(main)
    return took, resumed


def test_nagle_costs_no_40_ms_and_sessions_resume(tmp_path: Path) -> None:
    took, resumed = echo_once(tmp_path, trust(tmp_path), 12)
    assert sorted(took)[len(took) // 2] < 0.035
    assert resumed == [False] + [True] * 11


def test_files_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    trust(tmp_path)
    with pytest.raises(CertificateError, match=r"nothing\.pem"):
        server_context(tmp_path / "nothing.pem", tmp_path / "hub.key")
    with pytest.raises(CertificateError, match=r"hub\.key"):
        server_context(tmp_path / "ca.pem", tmp_path / "hub.key")
    (tmp_path / "hub.pem").write_text("no certificate")
    with pytest.raises(CertificateError, match=r"hub\.pem"):
        server_context(tmp_path / "hub.pem", tmp_path / "hub.key")
