"""A hub and a device of few lines around the two real session machines, and a network between them that loses things.

What the hub of this world keeps is a dictionary, what it has synced a copy of it; the device holds what is not settled.
Frames are real. Each batch carries one number that is its own, so that everybody can be asked where it is.
"""

from collections import deque
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from hub.wire.codec import decode_device, decode_hub, encode
from hub.wire.messages import Ack, Bye, Dropped, Hello, Row, Welcome, Window
from hub.wire.ranges import Ranges
from hub.wire.session import DeviceSession, HubSession, State, Step

LOG = "b4c9"
BIRTH: dict[str, Any] = {
    "model": "m", "metrics": (), "time": None, "uptime": None, "software": "", "token": None,
}  # fmt: skip


@dataclass
class Epoch:
    """What the hub has of one epoch."""

    kept: dict[int, float] = field(default_factory=dict)
    here: Ranges = field(default_factory=Ranges)  # kept and gaps

    @property
    def through(self) -> int:
        first = next(iter(self.here), (0, 0))
        return first[1] if first[0] == 1 else 0

    def gap(self, first: int, last: int) -> None:
        for low, high in self.here.missing(first, last):
            self.here.add(low, high)


@dataclass
class Hub:
    """Follows P1, P2, P4 and P5 in the shortest way."""

    epochs: dict[int, Epoch] = field(default_factory=dict)
    durable: dict[int, Epoch] = field(default_factory=dict)
    session: HubSession | None = None
    current: int = 0
    duplicates: int = 0

    def sync(self) -> None:
        self.durable = deepcopy(self.epochs)

    def kill(self) -> None:
        """What was not synced is gone, and so is the link."""
        self.epochs = deepcopy(self.durable)
        self.current = max(self.epochs, default=0)
        self.session = None

    def lose(self, first: int, last: int) -> set[float]:
        """A range of the current epoch is damaged on the disk, and open again (P10)."""
        lost = set()
        for epochs in (self.epochs, self.durable):
            epoch = epochs.get(self.current)
            if epoch is not None:
                epoch.here.remove(first, last)
                lost |= {epoch.kept.pop(seq) for seq in range(first, last + 1) if seq in epoch.kept}
        return lost

    def hear(self, frame: bytes, window: Window) -> Welcome | None:
        assert self.session is not None
        message = decode_device(frame)
        step = self.session.receive(message, len(frame))
        if isinstance(message, Hello):
            answer = self._welcome(message, window)
            self.sync()
            self.session.welcome(answer)
            return answer
        epoch = self.epochs[self.current]
        if isinstance(message, Row):
            assert (step is Step.FRESH) is (message.seq not in epoch.here)  # P5
            if step is Step.FRESH:
                epoch.kept[message.seq] = message.values[0]  # type: ignore[assignment]
                epoch.here.add(message.seq, message.seq)
            else:
                self.duplicates += 1
        elif isinstance(message, Dropped):
            epoch.gap(message.first, message.last)
        return None

    def _welcome(self, hello: Hello, window: Window) -> Welcome:
        through, held = 0, ()
        fresh = True
        named = self.epochs.get(hello.epoch) if hello.epoch and hello.log == LOG else None
        if named is not None:
            assert hello.epoch is not None
            if hello.next > (named.here.highest or 0):
                named.gap(named.through + 1, hello.first - 1)
                through = named.through
                held = tuple(pair for pair in named.here if pair[0] > through)  # type: ignore[assignment]
                fresh = hello.epoch != self.current
            else:  # rewound
                through = hello.first - 1
        if fresh:
            self.current = max([*self.epochs, hello.epoch or 0, 0]) + 1
            self.epochs[self.current] = Epoch()
        return Welcome(self.current, through, held, window, 65_536, 50.0, 0, LOG)

    def ack(self, window: Window) -> Ack | None:
        """Of what is durable, and nothing beyond (P6)."""
        if self.session is None or self.session.state is not State.OPEN or self.current not in self.durable:
            return None
        ack = Ack(self.durable[self.current].through, window)
        self.session.acked(ack.through, ack.window)
        return ack


@dataclass
class Device:
    """Holds what is not settled; what it has given up stays a hole until it is declared."""

    epoch: int | None = None
    log: str | None = None
    acked: int = 0
    next: int = 1
    spool: dict[int, float] = field(default_factory=dict)
    settled: set[float] = field(default_factory=set)
    session: DeviceSession | None = None

    @property
    def first(self) -> int:
        return min(self.spool, default=self.next)

    def hello(self) -> Hello:
        self.session = DeviceSession(self.epoch, self.log, self.acked, self.first, self.next)
        return self.session.hello(**BIRTH)

    def hear(self, frame: bytes) -> None:
        assert self.session is not None
        message = decode_hub(frame)
        self.session.receive(message)
        if isinstance(message, Welcome):
            plan = self.session.renumbering(message)
            self._settle(plan.settled)
            if plan.fresh:
                self.spool = dict(enumerate(self.spool.values(), start=1))
                self.epoch, self.log, self.acked, self.next = plan.epoch, plan.log, 0, len(self.spool) + 1
            else:
                self.acked = max(self.acked, message.through)
        elif isinstance(message, Ack):
            self.acked = message.through
            self._settle(Ranges([(1, message.through)]))

    def _settle(self, settled: Ranges) -> None:
        for seq in [seq for seq in self.spool if seq in settled]:
            self.settled.add(self.spool.pop(seq))

    def speak(self) -> bytes | None:
        """The next frame in order, when there is one and the credit allows it."""
        session = self.session
        if session is None or session.state is not State.OPEN or session.expected >= self.next:
            return None
        seq = session.expected
        if seq not in self.spool:
            last = min([at for at in self.spool if at > seq], default=self.next) - 1
            dropped = Dropped(seq, last, None, "given up")
            said = encode(dropped)
            if not session.may_send(len(said)):
                return None
            session.dropped(dropped, len(said))
            return said
        frame = encode(Row(seq, None, [self.spool[seq]]))
        if not session.may_send(len(frame)):
            return None
        session.sent(seq, len(frame))
        return frame


@dataclass
class World:
    """Both, and what is on the way between them."""

    hub: Hub = field(default_factory=Hub)
    device: Device = field(default_factory=Device)
    up: deque[bytes] = field(default_factory=deque)
    down: deque[bytes] = field(default_factory=deque)
    made: int = 0
    forgotten: set[float] = field(default_factory=set)  # given up by the device, or lost with its memory
    double: set[float] = field(default_factory=set)  # may be here twice: the device was rewound
    damaged: set[float] = field(default_factory=set)  # lost at the hub, unless it was sent again
    rewound: bool = False  # and has not been welcomed since
    image: Device | None = None

    def make(self, _: int) -> None:
        if not self.rewound:  # one that goes on before it has asked may overtake the hub's numbers (P2)
            self.device.spool[self.device.next] = float(self.made)
            self.device.next += 1
            self.made += 1

    def connect(self, _: int) -> None:
        self.cut(0)
        self.hub.session = HubSession()
        self.up.append(encode(self.device.hello()))

    def speak(self, count: int) -> None:
        for _ in range(1 + count % 5):
            frame = self.device.speak()
            if frame is not None:
                self.up.append(frame)

    def carry_up(self, count: int) -> None:
        for _ in range(min(len(self.up), 1 + count % 5)):
            if self.hub.session is None:
                return self.cut(0)
            answer = self.hub.hear(self.up.popleft(), Window(1 + count % 7, 40 + count % 300))
            if answer is not None:
                self.down.append(encode(answer))
        return None

    def carry_down(self, count: int) -> None:
        for _ in range(min(len(self.down), 1 + count % 5)):
            self.device.hear(self.down.popleft())
            self.rewound = self.rewound and self.device.session is not None and (
                self.device.session.state is not State.OPEN
            )  # fmt: skip

    def ack(self, count: int) -> None:
        ack = self.hub.ack(Window(1 + count % 7, 40 + count % 300))
        if ack is not None:
            self.down.append(encode(ack))

    def sync(self, _: int) -> None:
        self.hub.sync()

    def cut(self, count: int) -> None:
        """The link breaks; of what was on the way some arrives, the rest is lost."""
        if count:
            self.carry_up(count)
            self.carry_down(count)
        self.up.clear()
        self.down.clear()
        self.hub.session = self.device.session = None

    def kill(self, _: int) -> None:
        self.hub.kill()
        self.cut(0)

    def damage(self, count: int) -> None:
        """The hub starts again, and finds some of what it had synced unreadable."""
        self.hub.kill()
        self.cut(0)
        highest = self.hub.epochs[self.hub.current].here.highest if self.hub.epochs else None
        first = 1 + count % (highest or 1)
        self.damaged |= self.hub.lose(first, first + count % 3)

    def give_up(self, count: int) -> None:
        """The spool is full: batches that were never sent on this link make room."""
        session = self.device.session
        fresh = [seq for seq in self.device.spool if session is None or seq >= session.expected]
        for seq in fresh[: 1 + count % 3]:
            self.forgotten.add(self.device.spool.pop(seq))

    def bye(self, _: int) -> None:
        session = self.device.session
        if session is not None and session.state is State.OPEN:
            self.up.append(encode(session.bye("going to sleep")))
            assert decode_device(self.up[-1]) == Bye("going to sleep")

    def reboot(self, _: int) -> None:
        """A memory-only device has forgotten everything (P3)."""
        self.cut(0)
        self.forgotten |= set(self.device.spool.values())
        self.device = Device(settled=self.device.settled)
        self.image, self.rewound = None, False

    def photograph(self, _: int) -> None:
        if not self.rewound:
            self.image = deepcopy(self.device)

    def rewind(self, _: int) -> None:
        """The device is restored from an image: what it held since is gone, what it held then is back."""
        if self.image is None:
            return
        self.cut(0)
        lost = set(self.device.spool.values()) - set(self.image.spool.values())
        self.forgotten |= lost
        self.double |= set(self.image.spool.values())
        settled = self.device.settled
        self.device, self.image, self.rewound = self.image, None, True
        self.device.session, self.device.settled = None, settled

    def kept(self, *, durable: bool = False) -> list[float]:
        epochs = self.hub.durable if durable else self.hub.epochs
        return [value for epoch in epochs.values() for value in epoch.kept.values()]

    def check(self) -> None:
        """What must be true at every moment."""
        kept = self.kept()
        single = [value for value in kept if value not in self.double]
        assert len(single) == len(set(single)), "stored twice"
        durable = set(self.kept(durable=True))
        assert self.device.settled <= durable | self.forgotten | self.damaged, "settled but not durable"

    def heal(self) -> None:
        """The network is good from now on: everything arrives."""
        self.connect(0)
        for _ in range(4 * self.made + 20):
            self.speak(4)
            self.carry_up(399)  # windows of 1 batch at least, 139 bytes
            self.sync(0)
            self.ack(6)
            self.carry_down(4)
            self.check()
            if not self.device.spool and not self.up and not self.down and self.device.speak() is None:
                return
        raise AssertionError("does not come to rest")
