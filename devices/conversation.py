"""One link's life as the device sees it: hello, welcome, then a reader and a writer until one of them ends it."""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import trio

from devices.device import Device
from devices.spool import Held, declaration
from hub.client import Socket, SocketClosed
from hub.wire.codec import decode_hub, encode
from hub.wire.errors import CloseCode, RemoteProtocolError, WireError
from hub.wire.messages import Ack, Cancel, Command, Desired, Goaway, HubMessage, Reject, Welcome
from hub.wire.session import DeviceSession

WELCOME_SECONDS: Final = 30.0  # the hub may have to make an epoch durable while a whole fleet comes back
PONG_SECONDS: Final = 10.0  # as long as the hub waits for ours
LOST: Final = 1006  # never on the wire: the link ended without a closing handshake
REASON_BYTES: Final = 120  # of the 123 that a close frame has room for

log = logging.getLogger("telemetrio.devices")


@dataclass(frozen=True)
class Ending:
    """How a link ended, with which code, and whether the hub closed it.

    ``retry_after``: seconds the hub asked to stay away. ``suspect``: the batch next after ``through`` had been sent,
    so that a refusal may be its fault (P11).
    """

    code: int
    reason: str
    by_hub: bool
    retry_after: float = 0.0
    welcomed: bool = False
    through: int = 0
    suspect: bool = False


class Conversation:
    """Talks on an open socket from ``hello`` on. Made for one link, run once."""

    def __init__(self, device: Device, socket: Socket) -> None:
        spool = device.spool
        self._device = device
        self._socket = socket
        self._spool = spool
        self._session = DeviceSession(spool.epoch, spool.log, spool.acked, spool.first, spool.next)
        self._heard = 0.0
        self._sent_through = 0
        self._starved = False  # there is something to send and no window for it
        self._welcomed = False
        self._ending: Ending | None = None

    async def run(self) -> Ending:
        """Talk until the link ends; only cancellation comes out as an exception."""
        try:
            if await self._guard(self._open):
                await self._talk()
        finally:
            if self._welcomed:
                self._device.unlinked()
        return self._ending or Ending(LOST, "", False)

    async def _talk(self) -> None:
        async with trio.open_nursery() as nursery:

            async def part(talk: Callable[[], Awaitable[None]]) -> None:
                await self._guard(talk)
                nursery.cancel_scope.cancel(reason="the conversation is over")

            for talk in (self._read, self._write, self._watch):
                nursery.start_soon(part, talk)

    async def _guard(self, talk: Callable[[], Awaitable[None]]) -> bool:
        """Run a part of the conversation; False, and the ending noted, when the link broke under it."""
        try:
            await talk()
        except SocketClosed as closed:
            self._end(closed.code, closed.reason, by_hub=closed.code != LOST)
        except WireError as error:
            log.warning("%s: %s", self._device.name, error)
            code = error.code if isinstance(error, RemoteProtocolError) else CloseCode.INTERNAL
            reason = str(error).encode()[:REASON_BYTES].decode(errors="ignore")
            self._end(code, reason, by_hub=False)
            await self._socket.close(code, reason)
        else:
            return True
        return False

    def _end(self, code: int, reason: str, *, by_hub: bool) -> None:
        if self._ending is None:
            through = self._spool.acked
            suspect = self._welcomed and self._sent_through > through
            self._ending = Ending(
                code, reason, by_hub, self._session.retry_after or 0.0, self._welcomed, through, suspect
            )

    async def _open(self) -> None:
        """Hello, and what the welcome makes of the numbering (P2)."""
        device, source = self._device, self._device.source
        hello = self._session.hello(
            model=source.model, metrics=source.metrics, time=device.clock.now(), uptime=device.uptime,
            software=device.software, token=None,
        )  # fmt: skip
        await self._socket.send(encode(hello))
        welcome = await self._await_welcome()
        plan = self._session.renumbering(welcome)
        if not plan.fresh:
            device.settled(await self._spool.settle(welcome.through))
        device.settled(await self._spool.renumber(plan.epoch, plan.log, plan.fresh, plan.settled))
        self._heard = trio.current_time()
        self._welcomed = True
        device.welcomed(welcome)

    async def _await_welcome(self) -> Welcome:
        with trio.move_on_after(WELCOME_SECONDS):
            while True:
                message = decode_hub(await self._socket.receive())
                self._session.receive(message)
                if isinstance(message, Welcome):
                    return message
                self._take(message)
        raise SocketClosed(LOST, f"no welcome within {WELCOME_SECONDS:g} s")

    async def _read(self) -> None:
        session, spool, device = self._session, self._spool, self._device
        while True:
            message = decode_hub(await self._socket.receive())
            self._heard = trio.current_time()
            session.receive(message)
            if isinstance(message, Ack):
                device.settled(await spool.settle(message.through))
                if self._starved or device.leaving:
                    device.wake()
            else:
                self._take(message)

    def _take(self, message: HubMessage) -> None:
        device = self._device
        if isinstance(message, Command):
            device.desk.receive(message)
        elif isinstance(message, Cancel):
            device.desk.cancel(message.id)
        elif isinstance(message, Reject):
            device.figures.rejected += message.total
            log.info("%s: %d readings of batch %d rejected", device.name, message.total, message.seq)
        elif isinstance(message, Desired):
            device.desire(message)
        elif isinstance(message, Goaway):
            log.info("%s: the hub sends us away for %g s: %s", device.name, message.retry_after, message.reason)

    async def _write(self) -> None:
        device, spool = self._device, self._spool
        while True:
            while device.words:
                await self._socket.send(encode(device.words.popleft()))
            await spool.fetch()
            held = spool.peek()
            if held is not None and await self._send(held):
                continue
            if held is None and device.leaving:
                await self._socket.send(encode(self._session.bye("switched off")))
                self._end(CloseCode.NORMAL, "said bye", by_hub=False)
                return
            await self._socket.flush()
            await device.woken()

    async def _send(self, held: Held) -> bool:
        """Send the oldest that has not been sent; False when the window is closed, or the hub is about to go: it acks
        what it has, and the rest waits for the next link."""
        if self._session.retry_after is not None:
            return False
        dropped = declaration(held) if held.frame is None else None
        frame = encode(dropped) if dropped is not None else held.frame
        assert frame is not None
        size = len(frame)
        if size > self._session.frame:
            self._spool.set_aside(held.seq - 1, "larger than the hub's largest frame")
            return True
        self._starved = not self._session.may_send(size)
        if self._starved:
            return False
        await self._spool.spend(held)
        if self._spool.peek() is not held:
            return True  # it became a hole meanwhile, or the hole has grown
        if dropped is not None:
            self._session.dropped(dropped, size)
        else:
            self._session.sent(held.seq, size)
            if not held.sent:
                self._device.figures.sent += held.readings or 0
        self._sent_through = held.last
        self._spool.passed()
        await self._socket.send(frame, more=self._spool.ready)
        return True

    async def _watch(self) -> None:
        """Notice a hub that has gone without a word: after its own idle time of silence, ask for a sign of life."""
        while True:
            due = self._heard + self._session.idle
            if trio.current_time() < due:  # compared as it is slept: a remainder that rounds to nothing never passes
                await trio.sleep_until(due)
                continue
            with trio.move_on_after(PONG_SECONDS) as waiting:
                await self._socket.ping()
                self._heard = trio.current_time()
            if waiting.cancelled_caught:
                self._end(LOST, "the hub has gone silent", by_hub=False)
                return
