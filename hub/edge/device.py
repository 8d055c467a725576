"""The conversation with one device: hello, welcome, then bursts of batches in and acks out."""

from collections.abc import Sequence
from typing import Final

import trio

from hub.control.outbox import Closing, DeviceOutbox
from hub.control.tokens import Principal
from hub.edge.device_desk import DeviceDesk
from hub.edge.hello import identify, read_hello
from hub.edge.link import Link, LinkClosed
from hub.edge.listener import Ending, Visit
from hub.ingest.ingest import Intake, Opening, Superseded
from hub.wire.codec import decode_device, encode
from hub.wire.errors import CloseCode, RemoteProtocolError
from hub.wire.fixed_rows import read_rows
from hub.wire.messages import Ack, Bye, DeviceMessage, Dropped, Goaway, Hello, Result
from hub.wire.session import HubSession, Step

DURABLE_SECONDS: Final = 10.0  # a hello that is not on disk by then meets a full or broken one
OVERLOAD_SECONDS: Final = 10.0  # what a device is told to wait when the hub has no room for it
FLUSH_SECONDS: Final = 0.5  # for what is still in the outbox at the end; a revoked device is gone within a second
RUN_FRAMES: Final = 10  # from so many frames on, one matrix is quicker than one decode each (measured)


class DeviceConversation:
    """See the module. Ends by returning; exceptions that leave it are bugs or the hub's own end."""

    def __init__(self, desk: DeviceDesk, link: Link, visit: Visit, principal: Principal | None) -> None:
        self._desk = desk
        self._rooms = desk.rooms
        self._link = link
        self._visit = visit
        self._principal = principal
        self._session = HubSession()
        self.outbox = DeviceOutbox()
        self.device = ""
        self._counted = ""  # the device whose connect counts as one of too many, unless the hub is to blame for its end
        self.epoch = 0
        self._through = 0  # highest that welcome or an ack has said in that epoch
        self._settled = 0  # highest that is durable there
        self.intake: Intake | None = None
        self._ending: Ending | None = None
        self._reading = trio.CancelScope()
        self._written = trio.Event()
        self._sample: tuple[int, float] | None = None  # a seq, and when it was received

    async def run(self) -> Ending:
        """The whole conversation; how it ended."""
        ending = Ending(CloseCode.INTERNAL, "internal error")  # unless one of the lines below says otherwise
        try:
            await self._open()
            ending = await self._stream()
        except (RemoteProtocolError, LinkClosed) as end:
            ending = self._ending_of(end)
        except trio.Cancelled:
            ending = Ending(CloseCode.GOING_AWAY, "the hub stops")
            raise
        finally:
            self._leave(ending)
        return ending

    def _leave(self, ending: Ending) -> None:
        if self._counted:
            self._desk.flapping.ended(self._counted, ending.code)
        if self.intake is None:
            return
        self.intake.close(self._session.outstanding)
        if self._desk.here.get(self.device) is self:
            del self._desk.here[self.device]
        if ending.code == CloseCode.SEQ_CONFLICT:
            self._rooms.registry.note(self.device, "device.seq_conflict", ending.reason)
        self._rooms.registry.disconnected(self.device, self.outbox, ending.told)

    # --- hello and welcome -----------------------------------------------------------------------------------------

    async def _open(self) -> None:
        hello = await read_hello(self._link, self._session, self._desk.limits.hello)
        device = identify(hello, self._principal, self._rooms.registry)
        self._visit.slot.free()
        if self._visit.slot.evicted:
            await trio.lowlevel.checkpoint()  # it ends here, before it takes anything over
        await self._hold_off(device)
        if self._desk.draining:  # it was on its way when everybody was told
            await self._link.send([encode(self._desk.come_back())])
            raise RemoteProtocolError(CloseCode.DRAIN, "the hub restarts")
        self._desk.refuse_stale(device, self._visit.number)
        try:
            opening = self._rooms.ingest.open(device, hello)
        except RemoteProtocolError as error:
            if error.code is CloseCode.OVERLOAD:
                await self._goaway(OVERLOAD_SECONDS, error.text)
            raise
        self._take_over(device, hello, opening)
        with trio.move_on_after(DURABLE_SECONDS) as scope:
            await self._rooms.journal.wait_durable(opening.lsn)
        if scope.cancelled_caught:
            await self._goaway(OVERLOAD_SECONDS, "the hub cannot write its journal")
            raise RemoteProtocolError(CloseCode.OVERLOAD, "the hub cannot write its journal; come back later")
        self._session.welcome(opening.welcome, opening.untold)
        await self._link.send([encode(opening.welcome)])
        self._link.open()

    async def _hold_off(self, device: str) -> None:
        pause = self._desk.flapping.connects(device, trio.current_time())
        if pause:
            await self._goaway(pause, "too many reconnects")
            raise RemoteProtocolError(CloseCode.FLAPPING, f"too many reconnects; come back in {pause:.0f} s")
        self._counted = device

    async def _goaway(self, seconds: float, reason: str) -> None:
        await self._link.send([encode(Goaway(seconds, reason))])

    def _take_over(self, device: str, hello: Hello, opening: Opening) -> None:
        """The link becomes the device's current one, in the same step as the generation does."""
        welcome = opening.welcome
        self.device, self.epoch, self.intake = device, welcome.epoch, opening.intake
        if (hello.epoch, hello.log) == (welcome.epoch, welcome.log):
            self._through = welcome.through
        self.outbox.welcomed(welcome.time)
        displaced = self._rooms.registry.connected(
            device, self.outbox, opening.intake.birth, welcome.epoch, self._visit.address, hello.next, welcome.through,
            first=hello.first, held=(*welcome.held, *opening.untold), time=hello.time,
        )  # fmt: skip
        old = self._desk.here.get(device)
        self._desk.here[device] = self
        if displaced is not None:
            displaced.close(CloseCode.TAKEN_OVER, "another link of this device has taken over")
        if old is not None:  # at once, even where its writer is stuck
            old.end(Ending(CloseCode.TAKEN_OVER, "another link of this device has taken over"))

    # --- streaming -------------------------------------------------------------------------------------------------

    async def _stream(self) -> Ending:
        self._desk.watch.add(self._link, self.end)
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._write)
                with self._reading:
                    self._ending = await self._read()
                ending = self._ending or Ending(CloseCode.GOING_AWAY, "the hub stops")
                if ending.say:
                    self.outbox.close(CloseCode(ending.code), ending.reason)
                    with trio.move_on_after(FLUSH_SECONDS):
                        await self._written.wait()
                nursery.cancel_scope.cancel()
            return ending
        finally:
            self._desk.watch.remove(self._link)

    def settled(self, through: int) -> None:
        """Durable up to ``through``: ack it, unless ``welcome`` or an earlier ack has said more, and as far as the
        device knows that it is here."""
        self._settled = max(self._settled, through)
        self._ack()

    def _ack(self) -> None:
        through = min(self._settled, self._session.known)
        if self.intake is not None and through > self._through:
            self._through = through
            self.outbox.ack(through, self.intake.window)

    @property
    def quiet(self) -> bool:
        """Nothing that the device has sent waits for its ack."""
        return self._session.outstanding.batches == 0

    def end(self, ending: Ending) -> None:
        """End the conversation from outside, at once."""
        if self._ending is None:
            self._ending = ending
            self._reading.cancel()

    async def _read(self) -> Ending:
        try:
            await self._read_bursts()
        except Superseded:
            return Ending(CloseCode.TAKEN_OVER, "another link of this device has taken over")
        except (RemoteProtocolError, LinkClosed) as end:
            return self._ending_of(end)
        return Ending(CloseCode.NORMAL, "bye")

    def _ending_of(self, end: RemoteProtocolError | LinkClosed) -> Ending:
        """How the link ends; a frame that is refused is counted."""
        if isinstance(end, RemoteProtocolError):
            self._desk.refused[end.code] += 1
            return Ending(end.code, end.text)
        if end.judged:
            self._desk.refused[end.code] += 1
        return Ending(end.code, end.reason, say=end.judged)

    async def _read_bursts(self) -> None:
        """The hot loop: no await inside a burst. Returns when the device says bye."""
        assert self.intake is not None
        receive, session, keep = self._link.receive, self._session.receive, self.intake.keep
        fresh = Step.FRESH
        while True:
            for frame in self._rest(await receive()):
                message = decode_device(frame)
                step = session(message, len(frame))
                if step is fresh:
                    keep(message, frame)  # type: ignore[arg-type]  # FRESH says that it is a batch
                elif step is Step.DUPLICATE:
                    self.intake.duplicate(message.seq, frame)  # type: ignore[union-attr, arg-type]
                elif self._other(message):
                    return
            if self._settled > self._through:  # what has come now was here, and welcome had no room for it
                self._ack()
            if self._sample is None:
                self._sample = (self._session.expected - 1, trio.current_time())

    def _rest(self, frames: Sequence[bytes]) -> Sequence[bytes]:
        """What is left of a burst: nothing, where it was one run of rows like each other."""
        if len(frames) >= RUN_FRAMES and (run := read_rows(frames)) is not None:
            assert self.intake is not None
            if self.intake.keep_run(run, frames, self._session.receive_run):
                return ()
        return frames

    def _other(self, message: DeviceMessage) -> bool:
        """What carries no seq of its own; whether it was the last word."""
        assert self.intake is not None
        if isinstance(message, Dropped):
            self.intake.gap(message)
        elif isinstance(message, Result):
            self._rooms.router.progress(self.device, message)
        return isinstance(message, Bye)

    async def _write(self) -> None:
        """The one writer: everything that waits goes out as one write."""
        try:
            while True:
                messages = await self.outbox.take()
                for message in messages:
                    if type(message) is Ack:
                        self._acked(message)
                await self._link.send([encode(message) for message in messages])
        except Closing as closing:
            self.end(Ending(closing.code, closing.reason))
        except LinkClosed as closed:
            self.end(Ending(closed.code, closed.reason, say=False))
        finally:
            self._written.set()

    def _acked(self, ack: Ack) -> None:
        self._session.acked(ack.through, ack.window)
        if self._sample is not None and ack.through >= self._sample[0]:
            self._desk.latencies.append(trio.current_time() - self._sample[1])
            self._sample = None
