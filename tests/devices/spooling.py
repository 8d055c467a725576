"""A device with a spool on a simulated disk, and the numbers of a hub: lives that end in every possible way.

The hub's half is the real decision on hellos and the real session machine; its disk never fails. What the spool did is
judged by what reached the hub and by what stood durably on the disk when a life ended.
"""

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar, TypeVarTuple

import trio

from devices.disk import DiskSpool
from devices.line import Held
from devices.spool import declaration
from hub.ingest.numbering import DeviceMarks
from hub.ingest.opening import plan
from hub.wire.codec import decode_device, encode
from hub.wire.kept import CONTINUES
from hub.wire.messages import Ack, Dropped, Row, Welcome, Window
from hub.wire.session import DeviceSession, HubSession, Step
from tests.simulation.files import SimulatedFiles

DIRECTORY = Path("/spool")
WINDOW = Window(64, 1 << 20)


T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class SlowWorker:
    """A disk that takes its time, as a real one in a thread: much may happen before and after a call."""

    def __init__(self, seed: int = 0) -> None:
        self._chance = chance_of(seed)

    async def run(self, call: Callable[[*Ts], T], *args: *Ts) -> T:
        with trio.CancelScope(shield=True):
            await trio.sleep(self._chance.choice([0.0, 0.001, 0.02]))
            result = call(*args)
            await trio.sleep(self._chance.choice([0.0, 0.001, 0.02]))
        return result


class PowerCut(BaseException):
    """The machine is off; nothing may catch this."""


class Broken(AssertionError):
    """A promise of the spool does not hold."""


@dataclass
class Hub:
    """What a hub knows of one device. ``log`` changes when it is replaced."""

    log: str = "log-1"
    marks: DeviceMarks = field(default_factory=DeviceMarks)
    left: dict[tuple[str, int, int], float] = field(default_factory=dict)  # (log, epoch, seq): every content ever sent
    stored: dict[float, list[tuple[str, int, int]]] = field(default_factory=dict)  # value: under which numbers
    declared: list[tuple[int, Dropped]] = field(default_factory=list)
    missing: list[tuple[int, int, int, bool]] = field(default_factory=list)  # epoch, first, last, lost at the hub
    session: HubSession = field(default_factory=HubSession)
    on_sent: Callable[[str, int, int], None] = lambda log, epoch, seq: None

    def open(self, device: DeviceSession) -> Welcome:
        """A link: hello, and the welcome to it."""
        self.session = HubSession()
        hello = device.hello(model="m", metrics=(), time=None, uptime=None, software="", token=None)
        self.session.receive(hello)
        todo = plan(hello, self.marks, self.log)
        for gap in todo.missing:
            self.missing.append((hello.epoch or 0, gap.first, gap.last, gap.lost))
            numbering = self.marks.at(hello.epoch or 0)
            if numbering is not None:
                numbering.settle(gap.first, gap.last)
        if todo.fresh == "rewound" or (todo.fresh == "null_hello" and self.through):
            raise Broken(f"the device goes on below numbers it has used: {hello} ({todo.fresh})")
        if todo.fresh is not None:
            named = hello.epoch or 0 if hello.log == self.log else 0
            self.marks.give(max(self.marks.highest_epoch, named) + 1, todo.double, continues=todo.fresh in CONTINUES)
        assert self.marks.current is not None
        welcome = Welcome(self.marks.current.epoch, todo.through, todo.held, WINDOW, 65_536, 50.0, 0, self.log)
        self.session.welcome(welcome)
        return welcome

    def sent(self, frame: bytes) -> None:
        """A batch has left the device (whether or not it arrives)."""
        message = decode_device(frame)
        assert isinstance(message, Row)
        assert self.marks.current is not None
        key = (self.log, self.marks.current.epoch, message.seq)
        value = message.values[0]
        assert isinstance(value, float)
        if self.left.setdefault(key, value) != value:
            raise Broken(f"number {key} was used for {self.left[key]} and again for {value}")
        self.on_sent(*key)

    def keep(self, frame: bytes) -> None:
        """It has arrived."""
        message = decode_device(frame)
        step = self.session.receive(message, len(frame))
        numbering = self.marks.current
        assert isinstance(message, Row)
        assert numbering is not None
        if step is Step.FRESH:
            numbering.settle(message.seq, message.seq)
            self.stored.setdefault(float(message.values[0] or 0), []).append((self.log, numbering.epoch, message.seq))

    def drop(self, dropped: Dropped) -> None:
        """A declaration has arrived."""
        numbering = self.marks.current
        assert numbering is not None
        self.session.receive(dropped)
        here = numbering.held.copy()
        here.add(1, numbering.prefix)
        if here.missing(dropped.first, dropped.last).pairs() != [(dropped.first, dropped.last)]:
            raise Broken(f"{dropped} declares what the hub has: {here}")
        self.declared.append((numbering.epoch, dropped))
        numbering.settle(dropped.first, dropped.last)

    @property
    def through(self) -> int:
        assert self.marks.current is not None
        return self.marks.current.prefix

    def forget_log(self) -> None:
        """Another hub with a log of its own takes its place."""
        self.log = f"log-{int(self.log[4:]) + 1}"
        self.marks = DeviceMarks()


class Life:
    """One run of a device, from switching on to its end. ``made``: the values made so far over all lives."""

    def __init__(
        self, files: SimulatedFiles, hub: Hub, made: list[float], limit: int = 1 << 20,
        spool: DiskSpool | None = None,
    ) -> None:  # fmt: skip
        self.hub = hub
        self.made = made
        self.spool = DiskSpool(DIRECTORY, files, SlowWorker(len(made)), limit) if spool is None else spool
        self.session: DeviceSession | None = None
        self.aside = 0  # batches given up on purpose

    def make(self, count: int) -> None:
        for _ in range(count):
            self.made.append(float(len(self.made) + 1))
            self.spool.append(Row(0, 1, [self.made[-1]]), 1, trio.current_time())

    async def link(self) -> None:
        """A new link, up to what welcome asks for."""
        spool = self.spool
        spool.rewind()
        self.session = session = DeviceSession(spool.epoch, spool.log, spool.acked, spool.first, spool.next)
        welcome = self.hub.open(session)
        session.receive(welcome)
        todo = session.renumbering(welcome)
        if not todo.fresh:
            await spool.settle(welcome.through)
        await spool.renumber(todo.epoch, todo.log, todo.fresh, todo.settled)

    async def send(self, count: int, arrive: bool = True) -> int:
        """Send what there is to send, at most ``count`` batches; how many were. Some may be lost with the link."""
        session = self.session
        assert session is not None
        for done in range(count):
            await self.spool.fetch()
            held = self.spool.peek()
            if held is None:
                return done
            size = len(encode(declaration(held)) if held.frame is None else held.frame)
            if not session.may_send(size):
                return done
            await self.spool.spend(held)
            if self.spool.peek() is not held:
                continue
            if held.frame is None:
                session.dropped(declaration(held), size)
                self.spool.passed()
                if arrive:
                    self.hub.drop(declaration(held))
                continue
            session.sent(held.seq, len(held.frame))
            self.hub.sent(held.frame)
            self.spool.passed()
            if arrive:
                self.hub.keep(held.frame)
        return count

    async def ack(self) -> None:
        """Everything that has arrived is settled."""
        session = self.session
        assert session is not None
        through = self.hub.through
        if through >= session.through:
            self.hub.session.acked(through, WINDOW)
            session.receive(Ack(through, WINDOW))
            await self.spool.settle(through)

    async def drain(self) -> None:
        """Until nothing is held."""
        while self.spool.first != self.spool.next:
            await self.send(1_000)
            await self.ack()

    def on_disk(self) -> set[float]:
        """Values of the batches that the spool has written, synced and not let go of."""
        found: set[float] = set()
        for item in self.spool._held:
            if item.file is None:
                continue
            if isinstance(item, Held):
                frames = [item.frame or b""]
            else:
                low, high = (self.spool._numbering.place(seq) for seq in (item.seq, item.last))
                batches, _ = self.spool._disk.read_batches(item.file.name, low, high)  # type: ignore[attr-defined]
                frames = [batch.frame for batch in batches]
            for frame in frames:
                message = decode_device(frame)
                assert isinstance(message, Row)
                found.add(float(message.values[0] or 0))
        return found


def cut_at(files: SimulatedFiles, call: int) -> None:
    """The power fails before the disk has done its ``call``-th call from now."""
    left = call

    def count(what: str) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise PowerCut(what)

    files.on_call = count


def killed(files: SimulatedFiles) -> None:
    """What the end of a process does to its locks."""
    for inode in files._names.values():
        inode.locked = False


async def live(life: Life, script: Callable[[Life], Awaitable[None]], *, close: bool = True) -> None:
    """Open, run the script beside the spool's own task, and close or just stop."""
    await life.spool.open()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(life.spool.run)
        await script(life)
        nursery.cancel_scope.cancel()
    if close:
        await life.spool.close()


def chance_of(seed: int) -> random.Random:
    return random.Random(f"spool {seed}")
