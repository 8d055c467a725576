"""Small real servers for the client's tests: WebSocket over TLS, and an HTTP CONNECT proxy."""

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import trio
import trustme
from trio_websocket import ConnectionClosed, WebSocketConnection, WebSocketRequest, wrap_server_stream

from hub.wire.messages import SUBPROTOCOL

Conversation = Callable[[WebSocketConnection], Awaitable[None]]
Gate = Callable[[WebSocketRequest], int]


class Trust:
    """A CA and a certificate for localhost."""

    def __init__(self, directory: Path, *names: str) -> None:
        authority = trustme.CA()
        self.ca = directory / "ca.pem"
        authority.cert_pem.write_to_path(str(self.ca))
        self.context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert(*(names or ("localhost", "127.0.0.1"))).configure_cert(self.context)


@dataclass
class Server:
    port: int
    requests: list[WebSocketRequest] = field(default_factory=list)


def let_in(request: WebSocketRequest) -> int:
    """A gate that lets everybody in."""
    return 101


@asynccontextmanager
async def websocket_server(
    converse: Conversation,
    trust: Trust | None,
    gate: Gate = let_in,
    subprotocol: str | None = SUBPROTOCOL,
) -> AsyncIterator[Server]:
    """Serve ``converse`` on a free port of loopback; a status other than 101 from ``gate`` rejects."""
    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        server = Server(listeners[0].socket.getsockname()[1])

        async def serve(stream: trio.SocketStream) -> None:
            secured: trio.abc.Stream = trio.SSLStream(stream, trust.context, server_side=True) if trust else stream
            try:
                async with trio.open_nursery() as inner:
                    request = await wrap_server_stream(inner, secured)  # type: ignore[arg-type]
                    server.requests.append(request)
                    status = gate(request)
                    if status != 101:
                        await request.reject(status, body=b"no")
                    else:
                        await converse(await request.accept(subprotocol=subprotocol))
                    inner.cancel_scope.cancel()
            except* (ConnectionClosed, trio.BrokenResourceError):
                pass
            finally:
                await trio.aclose_forcefully(secured)

        nursery.start_soon(trio.serve_listeners, serve, listeners)
        yield server
        nursery.cancel_scope.cancel()


@dataclass
class Proxy:
    port: int
    asked: list[str] = field(default_factory=list)
    headers: list[str] = field(default_factory=list)


@asynccontextmanager
async def connect_proxy(answer: bytes = b"HTTP/1.1 200 Connection established\r\n\r\n") -> AsyncIterator[Proxy]:
    """A proxy that makes the tunnel when its answer says so, whatever name was asked for (it leads to loopback)."""
    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        proxy = Proxy(listeners[0].socket.getsockname()[1])

        async def serve(stream: trio.SocketStream) -> None:
            async with stream:
                head = b""
                while b"\r\n\r\n" not in head:
                    data = await stream.receive_some()
                    if not data:
                        return
                    head += data
                lines = head.decode().split("\r\n")
                proxy.asked.append(lines[0])
                proxy.headers += lines[1:]
                await stream.send_all(answer)
                if b" 200 " in answer:
                    port = int(lines[0].split()[1].rpartition(":")[2])
                    async with await trio.open_tcp_stream("127.0.0.1", port) as there:
                        await _both_ways(stream, there)

        nursery.start_soon(trio.serve_listeners, serve, listeners)
        yield proxy
        nursery.cancel_scope.cancel()


async def _both_ways(one: trio.SocketStream, other: trio.SocketStream) -> None:
    async def pump(source: trio.SocketStream, sink: trio.SocketStream, scope: trio.CancelScope) -> None:
        try:
            async for data in source:
                await sink.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        scope.cancel()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(pump, one, other, nursery.cancel_scope)
        nursery.start_soon(pump, other, one, nursery.cancel_scope)
