"""The one dialler: TCP, HTTP CONNECT, TLS, WebSocket. Devices and operators reach the hub through it.

It alone owns the exception groups of what lies below: only ``DialError`` and ``SocketClosed`` come out.
"""

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Final, cast
from urllib.parse import urlsplit

import trio
from trio_websocket import ConnectionRejected, HandshakeError, WebSocketConnection, wrap_client_stream

from hub.client.errors import DialError, Refused, SocketClosed, Unreachable
from hub.client.gathering import GatheringStream
from hub.client.proxy import proxy_address, proxy_for, tunnel
from hub.client.socket import Socket
from hub.client.why import refusal, why_no_tcp, why_no_tls
from hub.ports import Streams, TcpStreams
from hub.wire.messages import SUBPROTOCOL

__all__ = ["DialError", "Refused", "Socket", "SocketClosed", "Target", "Unreachable", "dial"]

DIAL_SECONDS: Final = 15.0  # for all of it: name, TCP, proxy, TLS, upgrade; three lost SYNs are 7 s
FAREWELL_SECONDS: Final = 1.0  # for the closing handshake; a hub that is gone must not hold us up
LARGEST_MESSAGE: Final = 16 * 1024 * 1024  # bytes; the hub splits long answers, this only bounds our memory
RECEIVE_BYTES: Final = 16 * 1024  # taken from the stream at once: hundreds of acks
QUEUE: Final = 64  # messages read ahead of whoever receives: a burst of acks costs one switch of tasks
LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})

TCP: Final = TcpStreams()


@dataclass(frozen=True)
class Target:
    """Where a hub is and how to be let in.

    ``url``: ``wss://HOST[:PORT][/PREFIX]``. ``ca``: a PEM file to trust instead of the system's. ``proxy``: an HTTP
    proxy; None takes it from ``HTTPS_PROXY`` (for wss, honouring ``NO_PROXY``), the empty text means none.
    ``insecure_ws`` allows plain ``ws://``, to loopback only.
    """

    url: str
    token: str | None = field(default=None, repr=False)
    ca: Path | None = None
    proxy: str | None = None
    insecure_ws: bool = False

    def address(self) -> tuple[bool, str, int, str]:
        """TLS or not, host, port and path prefix of the URL; Unreachable when it is no URL of a hub."""
        try:
            parts = urlsplit(self.url)
            host, port = parts.hostname or "", parts.port
        except ValueError:
            raise Unreachable(f"{self.url!r} is not a URL of a hub; write wss://HOST:PORT") from None
        if parts.scheme not in ("ws", "wss") or not host:
            raise Unreachable(f"{self.url!r} is not a URL of a hub; write wss://HOST:PORT")
        if parts.scheme == "ws" and not (self.insecure_ws and host in LOOPBACK):
            raise Unreachable(
                f"{self.url}: plain ws sends the token readable; write wss:// (on loopback, for tests, "
                "--insecure-ws or insecure_ws = true allows it)"
            )
        secure = parts.scheme == "wss"
        usual = 443 if secure else 80
        return secure, host, usual if port is None else port, parts.path.rstrip("/")

    def check(self) -> None:
        """Look at URL and CA without dialling; Unreachable when they cannot lead to a hub."""
        secure, *_ = self.address()
        if secure:
            _context(self.ca)


@lru_cache(maxsize=16)
def _trust(ca: Path | None, changed: int) -> ssl.SSLContext:
    """One context for hundreds of links; ``changed`` (ns) makes a new one when the CA's file is replaced."""
    context = ssl.create_default_context(cafile=ca)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _context(ca: Path | None) -> ssl.SSLContext:
    try:
        return _trust(ca, ca.stat().st_mtime_ns if ca else 0)
    except ssl.SSLError:
        raise Unreachable(f"{ca} is not a certificate in PEM; name the hub's ca.pem with --ca") from None
    except OSError as error:
        raise Unreachable(f"the CA's certificate {ca} cannot be read ({error.strerror}); check --ca") from None


class _Reader:
    """Stands in for a nursery: runs trio-websocket's reader so that nothing it raises cancels its surroundings.

    It outlives a cancelled block, because a farewell needs it; ``stop`` ends it.
    """

    def __init__(self, nursery: trio.Nursery) -> None:
        self._nursery = nursery
        self.ended = trio.Event()
        self.crash: BaseException | None = None
        self._scope = trio.CancelScope(shield=True)

    def stop(self) -> None:
        self._scope.cancel(reason="the link is closed")

    def start_soon(self, reader: Callable[[], Awaitable[object]]) -> None:
        self._nursery.start_soon(self._run, reader)

    async def _run(self, reader: Callable[[], Awaitable[object]]) -> None:
        try:
            with self._scope:
                await reader()
        except Exception as error:  # the boundary of this connection: dial and Socket tell it
            self.crash = error
        finally:
            self.ended.set()


@asynccontextmanager
async def dial(target: Target, path: str, streams: Streams = TCP) -> AsyncIterator[Socket]:
    """Open a link to ``path`` of the hub, and close it at the end of the block.

    Raises Unreachable or Refused, and nothing else of its own; what the block raises comes out as it is.
    """
    failure: BaseException | None = None
    async with trio.open_nursery() as nursery:
        socket: Socket | None = None
        reader = _Reader(nursery)
        try:
            socket = await _open(target, path, streams, reader)
            yield socket
        except BaseException as error:  # carried around the nursery, which would wrap it in a group
            failure = error
        finally:
            if socket is not None:
                with trio.move_on_after(FAREWELL_SECONDS, shield=True):
                    await socket.close()
                await socket.abandon()
            reader.stop()
    if failure is not None:
        raise failure


async def _open(target: Target, path: str, streams: Streams, reader: _Reader) -> Socket:
    secure, host, port, prefix = target.address()
    there = f"{host}:{port}"
    stream: trio.abc.Stream | None = None
    try:
        with trio.fail_after(DIAL_SECONDS):
            stream = await _connect(target, streams, secure, host, port)
            if secure:
                stream = await _secure(stream, _context(target.ca), host, there)
            return await _upgrade(stream, reader, target, there, prefix + path)
    except BaseException as error:
        if stream is not None:
            await trio.aclose_forcefully(stream)
        if isinstance(error, trio.TooSlowError):
            waited = f"no answer from {there} within {DIAL_SECONDS:g} s"
            raise Unreachable(f"{waited}; check that the hub runs and that no firewall stands between") from None
        raise


async def _connect(target: Target, streams: Streams, secure: bool, host: str, port: int) -> trio.abc.Stream:
    proxy = (proxy_for(host, port) if secure else None) if target.proxy is None else target.proxy
    at = proxy_address(proxy) if proxy else (host, port)
    try:
        stream = await streams.dial(*at)
    except OSError as error:
        raise Unreachable(why_no_tcp(error, *at, proxy=bool(proxy))) from None
    if not proxy:
        return stream
    try:
        await tunnel(stream, proxy, host, port)
    except trio.BrokenResourceError:
        await trio.aclose_forcefully(stream)
        raise Unreachable(f"the proxy {at[0]}:{at[1]} hung up; check HTTPS_PROXY") from None
    except BaseException:
        await trio.aclose_forcefully(stream)
        raise
    return stream


async def _secure(stream: trio.abc.Stream, context: ssl.SSLContext, host: str, there: str) -> trio.abc.Stream:
    secured: trio.SSLStream[trio.abc.Stream] = trio.SSLStream(
        stream, context, server_hostname=host, https_compatible=True
    )
    try:
        await secured.do_handshake()
    except trio.BrokenResourceError as error:
        await trio.aclose_forcefully(stream)
        raise Unreachable(why_no_tls(error, there)) from None
    except BaseException:
        await trio.aclose_forcefully(stream)
        raise
    return secured


async def _upgrade(stream: trio.abc.Stream, reader: _Reader, target: Target, there: str, resource: str) -> Socket:
    gathering = GatheringStream(stream)
    headers = [(b"Authorization", b"Bearer " + target.token.encode())] if target.token else []
    link: WebSocketConnection | None = None
    async with trio.open_nursery() as race:  # a reader that ends before the upgrade would leave us waiting for ever

        async def give_up() -> None:
            await reader.ended.wait()
            race.cancel_scope.cancel(reason="no upgrade")

        race.start_soon(give_up)
        link = await wrap_client_stream(
            cast("trio.Nursery", reader), cast("trio.SocketStream", gathering), there, resource,
            subprotocols=[SUBPROTOCOL], extra_headers=headers, message_queue_size=QUEUE,
            max_message_size=LARGEST_MESSAGE, receive_buffer_size=RECEIVE_BYTES,
        )  # fmt: skip
        race.cancel_scope.cancel(reason="upgraded")
    if isinstance(reader.crash, ConnectionRejected):
        raise Refused(reader.crash.status_code, refusal(reader.crash.status_code, reader.crash.body, there))
    if link is None or (reader.crash is not None and isinstance(reader.crash, HandshakeError)):
        raise Unreachable(f"{there} does not speak WebSocket; check the port (the hub's HTTP port is another one)")
    if link.subprotocol != SUBPROTOCOL:
        raise Refused(101, f"{there} does not speak {SUBPROTOCOL}; check the URL and the versions of hub and client")
    return Socket(link, gathering)
