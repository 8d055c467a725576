from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
import trio
from trio_websocket import CloseReason, ConnectionClosed, WebSocketConnection, WebSocketRequest

from hub.client import DialError, Refused, SocketClosed, Target, Unreachable, dial
from tests.client.servers import Trust, connect_proxy, websocket_server

pytestmark = pytest.mark.trio


async def echo(link: WebSocketConnection) -> None:
    while True:
        await link.send_message(await link.get_message())


def target(port: int, trust: Trust, **changes: object) -> Target:
    return replace(Target(f"wss://localhost:{port}", token="secret", ca=trust.ca), **changes)


async def text_of(target: Target) -> str:
    with pytest.raises(Unreachable) as caught:
        async with dial(target, "/v1/device"):
            raise AssertionError("there is no link")
    return caught.value.text


async def test_frames_go_there_and_back_over_tls(trust: Trust) -> None:
    async with websocket_server(echo, trust) as server, dial(target(server.port, trust), "/v1/device") as socket:
        await socket.send(b"\x81\x01")
        assert await socket.receive() == b"\x81\x01"
        await socket.ping()
    request = server.requests[0]
    assert request.path == "/v1/device"
    assert (b"authorization", b"Bearer secret") in [(name.lower(), value) for name, value in request.headers]


async def test_the_token_is_not_in_the_repr() -> None:
    assert "secret" not in repr(Target("wss://localhost", token="secret"))


async def test_a_prefix_of_the_url_is_kept(trust: Trust) -> None:
    async with websocket_server(echo, trust) as server:
        url = f"wss://localhost:{server.port}/hub/"
        async with dial(Target(url, ca=trust.ca), "/v1/operator"):
            pass
    assert server.requests[0].path == "/hub/v1/operator"


async def test_what_the_block_raises_comes_out_as_it_is(trust: Trust) -> None:
    async with websocket_server(echo, trust) as server:
        with pytest.raises(KeyError, match="mine"):
            async with dial(target(server.port, trust), "/v1/device"):
                raise KeyError("mine")


async def test_a_cancelled_block_is_cancelled(trust: Trust) -> None:
    ends: list[CloseReason | None] = []

    async def listen(link: WebSocketConnection) -> None:
        with suppress(ConnectionClosed):
            await link.get_message()
        ends.append(link.closed)

    async with websocket_server(listen, trust) as server:
        with trio.CancelScope() as scope:
            async with dial(target(server.port, trust), "/v1/device") as socket:
                scope.cancel()
                await socket.receive()
        assert scope.cancelled_caught
    assert [end.code for end in ends if end] == [1000], "and says goodbye all the same"


async def test_the_close_code_and_reason_come_out_after_all_frames(trust: Trust) -> None:
    async def part(link: WebSocketConnection) -> None:
        for number in range(3):
            await link.send_message(bytes([number]))
        await link.aclose(4001, "taken over")

    async with websocket_server(part, trust) as server, dial(target(server.port, trust), "/v1/device") as socket:
        assert [await socket.receive() for _ in range(3)] == [b"\x00", b"\x01", b"\x02"]
        with pytest.raises(SocketClosed) as caught:
            await socket.receive()
        assert (caught.value.code, caught.value.reason) == (4001, "taken over")
        with pytest.raises(SocketClosed):
            await socket.send(b"late")


async def test_a_link_that_is_lost_says_1006(trust: Trust) -> None:
    async def vanish(link: WebSocketConnection) -> None:
        await link.get_message()

    async with websocket_server(vanish, trust) as server, dial(target(server.port, trust), "/v1/device") as socket:
        await socket.send(b"go")
        with pytest.raises(SocketClosed) as caught:
            await socket.receive()
        assert caught.value.code == 1006


async def test_a_text_message_is_refused(trust: Trust) -> None:
    async def talk(link: WebSocketConnection) -> None:
        await link.send_message("hello")
        await link.get_message()

    async with websocket_server(talk, trust) as server, dial(target(server.port, trust), "/v1/device") as socket:
        with pytest.raises(SocketClosed) as caught:
            await socket.receive()
        assert caught.value.code == 1003


async def test_after_a_send_that_was_broken_off_nothing_more_is_sent(trust: Trust) -> None:
    async def deaf(link: WebSocketConnection) -> None:
        await trio.sleep_forever()

    async with websocket_server(deaf, trust) as server, dial(target(server.port, trust), "/v1/device") as socket:
        with trio.move_on_after(0.2) as scope:
            while True:
                await socket.send(bytes(1_000_000))
        assert scope.cancelled_caught
        with pytest.raises(SocketClosed, match="broken off"):
            await socket.send(b"\x80")


@pytest.mark.parametrize(("status", "words"), [(401, "token"), (403, "role"), (404, "path"), (503, "hub"), (418, "no")])
async def test_a_refusal_tells_status_and_what_to_check(trust: Trust, status: int, words: str) -> None:
    def refuse(request: WebSocketRequest) -> int:
        return status

    async with websocket_server(echo, trust, refuse) as server:
        with pytest.raises(Refused) as caught:
            async with dial(target(server.port, trust), "/v1/device"):
                pass
    assert caught.value.status == status
    assert words in caught.value.text
    assert f"localhost:{server.port}" in caught.value.text


async def test_another_subprotocol_is_refused(trust: Trust) -> None:
    async with websocket_server(echo, trust, subprotocol=None) as server:
        with pytest.raises(Refused, match=r"does not speak telemetrio\.v1\.cbor"):
            async with dial(target(server.port, trust), "/v1/device"):
                pass


async def test_nobody_listens(trust: Trust) -> None:
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listeners[0].socket.getsockname()[1]
    await listeners[0].aclose()
    text = await text_of(target(port, trust))
    assert f"nobody listens at localhost:{port}" in text
    assert "hub serve" in text


async def test_an_unknown_ca_names_the_remedy(trust: Trust) -> None:
    async with websocket_server(echo, trust) as server:
        assert "--ca" in await text_of(target(server.port, trust, ca=None))


async def test_a_certificate_for_another_name(tmp_path: Path) -> None:
    other = Trust(tmp_path, "elsewhere.example")
    async with websocket_server(echo, other) as server:
        assert "for another name" in await text_of(target(server.port, other))


async def test_tls_to_a_port_without_tls(trust: Trust) -> None:
    async with websocket_server(echo, None) as server:
        assert "TLS" in await text_of(target(server.port, trust))


async def test_what_is_no_websocket_is_not_waited_for(trust: Trust) -> None:
    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")

        async def babble(stream: trio.SocketStream) -> None:
            await stream.receive_some()
            await stream.send_all(b"220 smtp ready\r\n")
            await stream.aclose()

        nursery.start_soon(trio.serve_listeners, babble, listeners)
        port = listeners[0].socket.getsockname()[1]
        assert "WebSocket" in await text_of(Target(f"ws://127.0.0.1:{port}", insecure_ws=True))
        nursery.cancel_scope.cancel()


async def test_silence_ends_at_the_deadline(trust: Trust, autojump_clock: trio.testing.MockClock) -> None:
    class Silent:
        async def listen(self, host: str, port: int) -> list[trio.abc.Listener[trio.abc.Stream]]:
            raise NotImplementedError

        async def dial(self, host: str, port: int) -> trio.abc.Stream:
            return trio.testing.memory_stream_pair()[0]

    with pytest.raises(Unreachable, match="no answer from localhost:1"):
        async with dial(target(1, trust), "/v1/device", Silent()):
            pass


@pytest.mark.parametrize("url", ["http://localhost", "localhost:8443", "wss://", "wss://localhost:port"])
async def test_what_is_no_url_of_a_hub(url: str) -> None:
    assert "wss://HOST:PORT" in await text_of(Target(url))


@pytest.mark.parametrize("insecure", [False, True])
async def test_plain_ws_is_for_loopback_and_only_when_allowed(insecure: bool) -> None:
    host = "hub.example" if insecure else "localhost"
    assert "plain ws" in await text_of(Target(f"ws://{host}:1", insecure_ws=insecure))


async def test_plain_ws_on_loopback() -> None:
    async with websocket_server(echo, None) as server:
        loopback = Target(f"ws://127.0.0.1:{server.port}", insecure_ws=True)
        async with dial(loopback, "/v1/device") as socket:
            await socket.send(b"\x80")
            assert await socket.receive() == b"\x80"


async def test_a_ca_that_cannot_be_read(tmp_path: Path) -> None:
    async with websocket_server(echo, None) as server:
        url = f"wss://localhost:{server.port}"
        assert "cannot be read" in await text_of(Target(url, ca=tmp_path / "none.pem"))
        (tmp_path / "bad.pem").write_text("not PEM")
        assert "not a certificate" in await text_of(Target(url, ca=tmp_path / "bad.pem"))


async def test_a_link_through_the_proxy_of_the_environment(trust: Trust, monkeypatch: pytest.MonkeyPatch) -> None:
    async with websocket_server(echo, trust) as server, connect_proxy() as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://me:pass%20word@127.0.0.1:{proxy.port}")
        async with dial(target(server.port, trust), "/v1/device") as socket:
            await socket.send(b"\x80")
            assert await socket.receive() == b"\x80"
        assert proxy.asked == [f"CONNECT localhost:{server.port} HTTP/1.1"]
        assert "Proxy-Authorization: Basic bWU6cGFzcyB3b3Jk" in proxy.headers
        async with dial(target(server.port, trust, proxy=""), "/v1/device"):
            pass
        assert len(proxy.asked) == 1


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", "user and password"),
        (b"HTTP/1.1 403 Forbidden\r\n\r\n", "HTTP 403"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", "does not answer in HTTP"),
        (b"", "hung up"),
    ],
)
async def test_a_proxy_that_makes_no_tunnel(trust: Trust, answer: bytes, words: str) -> None:
    async with connect_proxy(answer) as proxy:
        assert words in await text_of(target(1, trust, proxy=f"http://127.0.0.1:{proxy.port}"))


async def test_a_proxy_that_is_not_there(trust: Trust) -> None:
    assert "the proxy 127.0.0.1:1" in await text_of(target(1, trust, proxy="http://127.0.0.1:1"))
    assert "HTTPS_PROXY" in await text_of(target(1, trust, proxy="socks5://127.0.0.1:1"))


async def test_every_way_not_to_get_a_link_is_a_dial_error() -> None:
    assert issubclass(Unreachable, DialError)
    assert issubclass(Refused, DialError)
