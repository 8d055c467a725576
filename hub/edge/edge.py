"""The edge: everything that comes in through the hub's port."""

import ssl
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any, Final

import structlog
import trio
from trio_websocket import WebSocketRequest

from hub.control.tokens import Principal
from hub.edge.auth import Refusal, admit
from hub.edge.calls import Calls
from hub.edge.device import DeviceConversation
from hub.edge.device_desk import COME_BACK_SECONDS, DeviceDesk
from hub.edge.flapping import Flapping
from hub.edge.idle import Watch
from hub.edge.link import Link
from hub.edge.listener import Ending, Limits, Supervisor, Visit
from hub.edge.operator import OperatorConversation
from hub.edge.rooms import Rooms
from hub.edge.status import Gauge
from hub.ports import Streams
from hub.wire.errors import CloseCode
from hub.wire.messages import DEVICE_PATH, MAX_FRAME, SUBPROTOCOL, Reject
from hub.wire.shapes import Presence, Status

DRAIN_SECONDS: Final = 5.0  # for links to end by themselves when the hub stops
SETTLE_SECONDS: Final = 2.0  # of these, for what devices have under way to be acked
LINGER_SECONDS: Final = 0.25  # a frame that crossed the goaway on its way here: a round trip
LOOK_SECONDS: Final = 0.02
STATUS_SECONDS: Final = 1.0
RESTARTS: Final = Ending(CloseCode.DRAIN, "the hub restarts")

log = structlog.get_logger()


class Edge:
    """Serves devices and operators out of the rooms. Make it inside trio.run."""

    def __init__(self, rooms: Rooms, limits: Limits | None = None) -> None:
        self._rooms = rooms
        self._limits = limits or Limits()
        self._watch = Watch(self._limits.silence, self._limits.send)
        flapping = Flapping(self._limits.flaps, self._limits.flap_pause)
        self._desk = DeviceDesk(rooms, self._limits, self._watch, flapping)
        self._gauge = Gauge(rooms, self._desk.latencies, self._desk.refused)
        self._calls = Calls(rooms, self.status)
        self._operators: set[OperatorConversation] = set()
        self._supervisor: Supervisor | None = None
        self._accepting = trio.CancelScope()
        self._refused = 0
        rooms.registry.on_presence.append(self._seen)

    # --- serving ---------------------------------------------------------------------------------------------------

    async def serve(
        self,
        streams: Streams,
        host: str,
        port: int,
        tls: ssl.SSLContext | None,
        task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Listen and serve until cancelled, or until drained; ``started`` with the port. OSError when it cannot bind.
        ``tls`` None is plain ws."""
        listeners = await streams.listen(host, port)
        await self.serve_listeners(listeners, tls, task_status)

    async def serve_listeners(
        self,
        listeners: Sequence[trio.abc.Listener[trio.abc.Stream]],
        tls: ssl.SSLContext | None,
        task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """The same on listeners that are there already."""
        supervisor = self._supervisor = Supervisor(self._converse, tls, self._limits)
        async with trio.open_nursery() as background:
            background.start_soon(self._watch.run)
            background.start_soon(self._tell_status)
            try:
                async with trio.open_nursery() as connections:
                    with self._accepting:
                        async with trio.open_nursery() as accepting:
                            for listener in listeners:
                                accepting.start_soon(supervisor.accept, listener, connections)
                            task_status.started(_port(listeners[0]))
                    for listener in listeners:
                        await trio.aclose_forcefully(listener)
                    connections.cancel_scope.deadline = trio.current_time() + DRAIN_SECONDS
                    await self._let_go()
            finally:
                for listener in listeners:
                    await trio.aclose_forcefully(listener)
            background.cancel_scope.cancel()

    def drain(self) -> None:
        """Stop accepting, tell everybody, and let ``serve`` return within DRAIN_SECONDS."""
        self._desk.draining = True
        self._accepting.cancel()
        for conversation in list(self._desk.here.values()):
            conversation.outbox.offer(self._desk.come_back())
        for operator in list(self._operators):
            operator.end(RESTARTS)

    async def _let_go(self) -> None:
        """Close each device's link when all that it had sent is acked; those that still send, when the time is up."""
        began = trio.current_time()
        while self._desk.here and trio.current_time() < began + SETTLE_SECONDS:
            await trio.sleep(LOOK_SECONDS)
            if trio.current_time() >= began + LINGER_SECONDS:
                self._close(lambda conversation: conversation.quiet)
        self._close(lambda conversation: True)

    def _close(self, which: Callable[[DeviceConversation], bool]) -> None:
        for conversation in filter(which, list(self._desk.here.values())):
            conversation.outbox.close(CloseCode.DRAIN, RESTARTS.reason)

    async def _tell_status(self) -> None:
        while True:
            await trio.sleep(STATUS_SECONDS)
            self._gauge.sample()
            self._rooms.live.hub(self.status())

    # --- one connection --------------------------------------------------------------------------------------------

    async def _converse(self, visit: Visit, request: WebSocketRequest) -> Ending | None:
        admitted = admit(request, self._rooms.registry, self._limits.origins)
        if not isinstance(admitted, Refusal) and (self._desk.draining or self._full):
            admitted = Refusal(503, "the hub stops" if self._desk.draining else "all links are taken; come back later")
        if isinstance(admitted, Refusal):
            self._refused += 1
            await self._refuse(request, admitted)
            return None
        assert visit.tap is not None
        socket = await request.accept(subprotocol=SUBPROTOCOL)
        link = visit.link = Link(socket, visit.tap, MAX_FRAME)
        if admitted is not None:
            visit.slot.free()
        if request.path == DEVICE_PATH:
            return await DeviceConversation(self._desk, link, visit, admitted).run()
        assert admitted is not None
        return await self._operate(link, admitted)

    async def _refuse(self, request: WebSocketRequest, refusal: Refusal) -> None:
        headers = [(b"Content-Type", b"text/plain; charset=utf-8"), (b"Connection", b"close")]
        if refusal.status == 401:
            headers.append((b"WWW-Authenticate", b"Bearer"))
        if refusal.status == 503:
            headers.append((b"Retry-After", b"%d" % COME_BACK_SECONDS))
        with trio.move_on_after(self._limits.request):
            await request.reject(refusal.status, extra_headers=headers, body=refusal.text.encode() + b"\n")

    async def _operate(self, link: Link, principal: Principal) -> Ending:
        if self._desk.draining:
            return RESTARTS
        conversation = OperatorConversation(self._rooms, self._calls, self._watch, link, principal)
        self._operators.add(conversation)
        try:
            return await conversation.run()
        finally:
            self._operators.discard(conversation)

    @property
    def _full(self) -> bool:
        return len(self._watch) >= self._limits.links

    # --- what followers tell ---------------------------------------------------------------------------------------

    def acked(self, device: str, epoch: int, through: int) -> None:
        """Everything up to ``through`` is settled: ack it if the device is here and speaks of that epoch."""
        conversation = self._desk.here.get(device)
        if conversation is not None and conversation.epoch == epoch:
            conversation.settled(through)
            self._rooms.registry.settled(device, through)

    def rejected(self, device: str, reject: Reject) -> None:
        """Advice about rejected readings; dropped when the device is not here or its outbox is half full."""
        conversation = self._desk.here.get(device)
        if conversation is not None:
            conversation.outbox.offer(reject)

    def _seen(self, presence: Presence) -> None:
        """A revoked device is let go even where its writer is stuck."""
        conversation = self._desk.here.get(presence["device"])
        if conversation is not None and presence["state"] == "revoked":
            conversation.end(Ending(CloseCode.REVOKED, "revoked by an operator"))

    # --- how it stands ---------------------------------------------------------------------------------------------

    @property
    def links(self) -> int:
        """Links of devices and operators that are open."""
        return len(self._watch)

    def status(self) -> Status:
        """What ``status`` answers and operators see."""
        return self._gauge.status(self.links)

    def statistics(self) -> dict[str, Any]:
        """Counters for /metrics."""
        counters = asdict(self._supervisor.counters) if self._supervisor else {}
        return {
            **counters,
            "connections": self._supervisor.connections if self._supervisor else 0,
            "half_open": len(self._supervisor.half_open) if self._supervisor else 0,
            "links": self.links,
            "devices": len(self._desk.here),
            "operators": len(self._operators),
            "refused": self._refused,
            **{f"refused_{code:d}": count for code, count in self._desk.refused.items()},
        }


def _port(listener: trio.abc.Listener[trio.abc.Stream]) -> int:
    if not isinstance(listener, trio.SocketListener):
        return 0
    return int(listener.socket.getsockname()[1])
