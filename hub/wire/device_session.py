"""The device's end of a link: numbers only. What the device holds, and where, is its own business."""

from dataclasses import dataclass
from typing import Any, Final

from hub.wire.credit import Allowance
from hub.wire.errors import CloseCode, LocalProtocolError, RemoteProtocolError
from hub.wire.messages import MAX_FRAME, Ack, Bye, Dropped, Goaway, Hello, HubMessage, Welcome, Window
from hub.wire.ranges import Ranges
from hub.wire.states import DEVICE_TRANSITIONS, State


@dataclass(frozen=True, slots=True)
class Renumbering:
    """What a welcome asks of a device. It drops what ``settled`` covers, by the numbers it named in ``hello``. Then it
    sends the rest: as it is, or, where ``fresh``, numbered from 1 in ``epoch``, which must be durable before (P2)."""

    epoch: int
    log: str
    fresh: bool
    settled: Ranges


class DeviceSession:
    """What a device may say on one link, and what it hears.

    ``through`` is what is settled in ``epoch`` of ``log``; ``next`` is above every number in use there; ``expected`` is
    the number that must go next.
    """

    def __init__(
        self, epoch: int | None = None, log: str | None = None, acked: int = 0, first: int = 1, next: int = 1
    ) -> None:
        self.state = State.OPENING
        self.epoch = epoch
        self.log = log
        self.through = acked
        self.next = next
        self.expected = first
        self.frame = MAX_FRAME
        self.idle = 0.0  # seconds, from welcome
        self.retry_after: float | None = None  # seconds, when the hub asked to go away
        self._hello: Hello | None = None
        self._first = first
        self._held = Ranges()
        self._allowance = Allowance(Window(0, 0))

    def hello(self, **birth: Any) -> Hello:
        """The first word: the numbers of this session with a birth (model, metrics, time, uptime, software, token)."""
        self._say(Hello)
        self._hello = Hello(
            epoch=self.epoch, log=self.log, acked=self.through, first=self._first, next=self.next, **birth
        )
        return self._hello

    def receive(self, message: HubMessage) -> None:
        """Take in what the hub said; RemoteProtocolError when it is illegal, and then nothing changed."""
        kind = type(message)
        after = DEVICE_TRANSITIONS[self.state].get(kind)
        if after is None:
            raise _refused(f"{kind.__name__.lower()} is not legal while {self.state.value}")
        if isinstance(message, Welcome):
            self._welcomed(message)
        elif isinstance(message, Ack):
            self._acked(message)
        elif isinstance(message, Goaway):
            self.retry_after = message.retry_after
        self.state = after

    def renumbering(self, welcome: Welcome) -> Renumbering:
        """What the device must do with what it holds; says the same before and after ``receive(welcome)``."""
        hello = self._said()
        settled = Ranges()
        if hello.epoch is not None:
            settled.add(1, welcome.through)
            for first, last in welcome.held:
                settled.add(first, last)
        return Renumbering(welcome.epoch, welcome.log, self._fresh(welcome), settled)

    def _fresh(self, welcome: Welcome) -> bool:
        hello = self._said()
        return (hello.epoch, hello.log) != (welcome.epoch, welcome.log)

    def _said(self) -> Hello:
        if self._hello is None:
            raise LocalProtocolError("nothing was welcomed before hello was said")
        return self._hello

    def _welcomed(self, welcome: Welcome) -> None:
        hello = self._said()
        fresh = self._fresh(welcome)
        highest = max([welcome.through, *(last for _, last in welcome.held)])
        if hello.epoch is not None and highest >= hello.next:
            raise _refused(f"welcome covers seq {highest}, which this device never gave")
        if fresh and hello.log == welcome.log and hello.epoch is not None and welcome.epoch < hello.epoch:
            raise _refused("a fresh epoch must be above the one before")
        self.epoch, self.log = welcome.epoch, welcome.log
        self.frame, self.idle = welcome.frame, welcome.idle
        self._allowance = Allowance(welcome.window)
        self._held = Ranges() if fresh else Ranges(welcome.held)
        self.through = 0 if fresh else welcome.through
        self.expected = self._held.next_free(self.through + 1)
        if fresh:
            self.next = 1

    def _acked(self, ack: Ack) -> None:
        if not self.through <= ack.through < self.next:
            raise _refused(f"ack {ack.through} is not between {self.through} and {self.next - 1}")
        self.through = ack.through
        self._allowance.settle(ack.through, ack.window)

    def may_send(self, size: int) -> bool:
        """Whether the credit allows a numbered batch, or a ``dropped``, of ``size`` bytes now."""
        return self.state is State.OPEN and size <= self.frame and self._allowance.allows(size)

    def sent(self, seq: int, size: int) -> None:
        """A numbered batch is about to go. LocalProtocolError when that breaks P4 or the window; then it must not."""
        if seq != self.expected:
            raise LocalProtocolError(f"expected seq {self.expected}, not {seq}")
        self._spend("a batch", seq, size)

    def dropped(self, dropped: Dropped, size: int) -> None:
        """A ``dropped`` of ``size`` bytes is about to go; LocalProtocolError when it does not start at the number
        expected (P4), or the window is closed."""
        if dropped.first != self.expected or dropped.last < dropped.first:
            raise LocalProtocolError(f"dropped must start at seq {self.expected}")
        self._spend("dropped", dropped.last, size)

    def _spend(self, what: str, through: int, size: int) -> None:
        if self.state is not State.OPEN:
            raise LocalProtocolError(f"{what} is not legal while {self.state.value}")
        if size > self.frame:
            raise LocalProtocolError(f"a frame has at most {self.frame} bytes on this link")
        if not self._allowance.allows(size):
            raise LocalProtocolError("beyond the window: wait for an ack")
        self._allowance.spend(through, size)
        self._advance(through)

    def _advance(self, seq: int) -> None:
        self.expected = self._held.next_free(seq + 1)
        self.next = max(self.next, self.expected)

    def bye(self, reason: str) -> Bye:
        """The last word."""
        self._say(Bye)
        return Bye(reason)

    def _say(self, kind: type) -> None:
        after = DEVICE_TRANSITIONS[self.state].get(kind)
        if after is None:
            raise LocalProtocolError(f"{kind.__name__.lower()} is not legal while {self.state.value}")
        self.state = after

    @property
    def outstanding(self) -> Window:
        """What was sent and is not settled."""
        return self._allowance.outstanding


def _refused(text: str) -> RemoteProtocolError:
    return RemoteProtocolError(CloseCode.PROTOCOL, text)


class Poison:
    """Finds the batch that the hub cannot take (P11), over many links. ``at``: the epoch, and what was settled there,
    when the hub closed last: keep it where the numbers are kept, and begin with it after a restart."""

    CODES: Final = frozenset({CloseCode.PROTOCOL, CloseCode.GARBLED, CloseCode.TOO_BIG})

    def __init__(self, at: tuple[int, int] | None = None) -> None:
        self.at = at

    def closed(self, epoch: int, through: int, code: int | None) -> bool:
        """The hub closed a welcomed link with ``code`` (None: lost) while ``through`` was settled. True the second time
        there, as one may be an accident of the way: set the next batch after ``through`` aside, and declare it
        ``dropped`` with reason poison on the next link."""
        if code not in self.CODES:
            return False
        again = self.at == (epoch, through)
        self.at = None if again else (epoch, through)
        return again
