"""A TCP proxy between devices and a hub that spoils what goes through it. It sees bytes of TLS, and no more.

``up`` is from the device to the hub, ``down`` from the hub to the device.
"""

import math
import struct
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field

import trio

CHUNK = 65_536
NARROW_BUFFER, NARROW_SEGMENT = 4_096, 536  # bytes
NARROW_CHUNK = 2_048  # of a direction with a rate: a quarter of a second at 64 kbit/s


@dataclass(frozen=True)
class Manner:
    """How one direction of a connection is treated. Seconds and bytes; as it comes, all goes on at once."""

    delay: float = 0.0
    rate: float = math.inf  # bytes a second
    piece: int = CHUNK  # at most so many in one segment
    cut: int | None = None  # the connection ends when so many have gone on
    lose: int | None = None  # what comes behind so many is thrown away


@dataclass(frozen=True)
class Treatment:
    """How a connection is treated; ``reset``: a cut is a RST, else an orderly end. ``narrow``: small segments and
    windows towards the hub, so that it soon feels who does not read; loopback holds megabytes otherwise."""

    up: Manner = Manner()
    down: Manner = Manner()
    reset: bool = False
    narrow: bool = False


@dataclass
class Way:
    """One direction. ``passed``: bytes that have gone on."""

    source: trio.SocketStream
    sink: trio.SocketStream
    manner: Manner
    passed: int = 0
    blackhole: bool = False  # all is taken and nothing goes on, not even the end
    reading: trio.Event = field(default_factory=trio.Event)  # not set: nothing is taken
    flowing: trio.Event = field(default_factory=trio.Event)  # not set: what is taken waits here

    def __post_init__(self) -> None:
        self.reading.set()
        self.flowing.set()


class Connection:
    """A device's connection through the proxy, with handles for whoever disturbs it."""

    def __init__(self, device: trio.SocketStream, hub: trio.SocketStream, treatment: Treatment) -> None:
        self.up = Way(device, hub, treatment.up)
        self.down = Way(hub, device, treatment.down)
        self.was_cut = False
        self._reset = treatment.reset
        self._scope = trio.CancelScope()

    async def run(self) -> None:
        """Until both sides have ended, or one was cut off."""
        try:
            with self._scope:
                async with trio.open_nursery() as nursery:
                    for way in (self.up, self.down):
                        width = math.inf if way.manner.rate == math.inf else 1
                        into, out = trio.open_memory_channel[tuple[float, bytes]](width)
                        nursery.start_soon(self._read, way, into)
                        nursery.start_soon(self._write, way, out)
        finally:
            for side in (self.up.source, self.down.source):
                if self._reset:
                    _linger_not(side)
                side.socket.close()  # without waiting: this may be the end of everything

    def end(self, *, reset: bool) -> None:
        """Cut both sides off."""
        self._reset = reset
        self._scope.cancel()

    def blackhole(self) -> None:
        """From now on nothing arrives, and nobody is told."""
        self.up.blackhole = self.down.blackhole = True

    def hold(self) -> None:
        """What the device sends waits in here, whatever becomes of the device, until ``release``."""
        self.up.flowing = trio.Event()

    def release(self) -> None:
        self.up.flowing.set()

    def stall(self) -> None:
        """The device does not read any more: the hub's bytes stay with the hub."""
        self.down.reading = trio.Event()

    async def lose_device(self) -> None:
        """The device's side is reset; the hub is not told."""
        self.down.blackhole = True
        _linger_not(self.up.source)
        await trio.aclose_forcefully(self.up.source)

    async def _read(self, way: Way, into: trio.MemorySendChannel[tuple[float, bytes]]) -> None:
        width = CHUNK if way.manner.rate == math.inf else NARROW_CHUNK
        async with into:
            while True:
                await way.reading.wait()
                try:
                    data = await way.source.receive_some(width)
                except (trio.BrokenResourceError, trio.ClosedResourceError):
                    self._broken(way)
                    return
                if not data:
                    return
                if not way.blackhole:
                    await into.send((trio.current_time() + way.manner.delay, bytes(data)))

    async def _write(self, way: Way, out: trio.MemoryReceiveChannel[tuple[float, bytes]]) -> None:
        try:
            async for due, data in out:
                await way.flowing.wait()
                await trio.sleep_until(due)
                for piece in _pieces(data, way.manner.piece):
                    await self._pass(way, piece)
            if not way.blackhole:
                await way.sink.send_eof()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self._broken(way)

    async def _pass(self, way: Way, piece: bytes) -> None:
        manner = way.manner
        if way.blackhole or (manner.lose is not None and way.passed >= manner.lose):
            return
        last = manner.cut is not None and way.passed + len(piece) >= manner.cut
        for limit in (manner.cut, manner.lose):
            if limit is not None:
                piece = piece[: limit - way.passed]
        if piece:
            await way.sink.send_all(piece)
            way.passed += len(piece)
        if last:
            self.was_cut = True
            self.end(reset=self._reset)
            await trio.sleep_forever()  # until it is cancelled
        if manner.rate != math.inf:
            await trio.sleep(len(piece) / manner.rate)

    def _broken(self, way: Way) -> None:
        if not way.blackhole and way.flowing.is_set():
            self.end(reset=True)


class Proxy:
    """Stands before one hub. ``plan``: how the next connections are treated, one after the other; all others as
    ``usual``. ``opened`` is called with each connection once it stands."""

    def __init__(self, port: int) -> None:
        self.plan: deque[Treatment] = deque()
        self.usual = Treatment()
        self.connections: list[Connection] = []  # that are open
        self.opened: Callable[[Connection], None] = lambda _: None
        self.url = ""
        self._hub = port

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until cancelled; started when it listens."""
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        self.url = f"wss://127.0.0.1:{listeners[0].socket.getsockname()[1]}"
        task_status.started()
        await trio.serve_listeners(self._serve, listeners)

    async def _serve(self, device: trio.SocketStream) -> None:
        treatment = self.plan.popleft() if self.plan else self.usual
        try:
            hub = await _dial(self._hub, narrow=treatment.narrow)
        except OSError:
            _linger_not(device)
            return  # serve_listeners closes it
        connection = Connection(device, hub, treatment)
        self.connections.append(connection)
        self.opened(connection)
        try:
            await connection.run()
        finally:
            self.connections.remove(connection)


async def _dial(port: int, *, narrow: bool) -> trio.SocketStream:
    socket = trio.socket.socket()
    try:
        if narrow:  # before it connects, as both are told to the hub then
            socket.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_RCVBUF, NARROW_BUFFER)
            socket.setsockopt(trio.socket.IPPROTO_TCP, trio.socket.TCP_MAXSEG, NARROW_SEGMENT)
        await socket.connect(("127.0.0.1", port))
    except BaseException:
        socket.close()
        raise
    return trio.SocketStream(socket)


def _linger_not(stream: trio.SocketStream) -> None:
    """Closing it sends a RST."""
    with suppress(OSError, trio.ClosedResourceError):
        stream.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_LINGER, struct.pack("ii", 1, 0))


def _pieces(data: bytes, size: int) -> Iterator[bytes]:
    return (data[at : at + size] for at in range(0, len(data), size))
