"""The hub's end of a device link."""

from collections.abc import Iterable
from enum import Enum
from typing import Final

from hub.wire.credit import Allowance
from hub.wire.errors import CloseCode, LocalProtocolError, RemoteProtocolError
from hub.wire.messages import (
    Columns,
    DeviceMessage,
    Dropped,
    Event,
    Hello,
    Malformed,
    Reported,
    Result,
    Row,
    Welcome,
    Window,
)  # fmt: skip
from hub.wire.ranges import Ranges
from hub.wire.states import HUB_TRANSITIONS, State


class Step(Enum):
    """What the hub does with a message that was legal."""

    FRESH = "fresh"  # a numbered batch to keep
    DUPLICATE = "duplicate"  # a numbered batch that ``welcome`` called settled: counted and acked, not kept again
    OTHER = "other"  # hello, dropped, bye and unnumbered results


_NUMBERED: Final = frozenset({Row, Columns, Malformed, Event, Reported, Result})
_OPEN: Final = State.OPEN
_FRESH: Final = Step.FRESH


class HubSession:
    """What the hub lets a device say on one link. ``expected`` is the seq of the next fresh batch."""

    __slots__ = ("_acked", "_allowance", "_frame", "_held", "_hello", "_last", "_untold", "expected", "state")

    def __init__(self) -> None:
        self.state = State.OPENING
        self.expected = 1
        self._hello: Hello | None = None
        self._held = Ranges()  # settled above ``through`` when welcomed
        self._untold = Ranges()  # what of it welcome had no room for: it may come, and is a duplicate
        self._last = 0  # highest seq heard on this link
        self._acked = 0
        self._frame = 0
        self._allowance = Allowance(Window(0, 0))

    def receive(self, message: DeviceMessage, size: int = 0) -> Step:
        """Take in a message whose frame had ``size`` bytes. RemoteProtocolError when it is illegal: PROTOCOL in this
        state, SEQ_JUMP for its number (P4), POLICY beyond the window, TOO_BIG for the frame; then nothing changed."""
        kind = type(message)
        if self.state is _OPEN and kind in _NUMBERED:
            seq: int | None = message.seq  # type: ignore[union-attr]
            if seq is not None:
                return self._batch(seq, size)
        after = HUB_TRANSITIONS[self.state].get(kind)
        if after is None:
            text = f"{kind.__name__.lower()} is not legal while {self.state.value}"
            raise RemoteProtocolError(CloseCode.PROTOCOL, text)
        if isinstance(message, Hello):
            self._hello = message
        elif isinstance(message, Dropped):
            self._drop(message, size)
        self.state = after
        return Step.OTHER

    def _batch(self, seq: int, size: int) -> Step:
        if seq == self.expected:
            step = _FRESH
        elif self._last < seq < self.expected:  # all that is below and was not heard here, was settled when welcomed
            step = Step.DUPLICATE
        else:
            raise self._jump(f"seq {seq}")
        self._spend(seq, size)
        self._last = seq
        if step is _FRESH:
            self.expected = self._held.next_free(seq + 1) if self._held else seq + 1
        return step

    def _spend(self, seq: int, size: int) -> None:
        if size > self._frame:
            raise RemoteProtocolError(CloseCode.TOO_BIG, f"a frame has at most {self._frame} bytes on this link")
        if seq > self._acked:
            if not self._allowance.allows(size):
                raise RemoteProtocolError(CloseCode.POLICY, "sent beyond the window")
            self._allowance.spend(seq, size)

    def receive_run(self, seq: int, count: int, size: int) -> bool:
        """Take in ``count`` fresh batches at once, numbered from ``seq`` on, in frames of ``size`` bytes. False, and
        nothing has changed, when that is not what ``receive`` would say of each: then ask it."""
        if self.state is not _OPEN or seq != self.expected or seq <= self._acked or self._held or size > self._frame:
            return False
        if not self._allowance.spend_run(seq, count, size):
            return False
        self._last = seq + count - 1
        self.expected = seq + count
        return True

    def _drop(self, dropped: Dropped, size: int) -> None:
        """Its record waits for the disk as a batch's does, so it needs credit as one."""
        if dropped.first != self.expected and not (self._last < dropped.first and dropped.first in self._untold):
            raise self._jump(f"dropped from {dropped.first}")
        self._spend(dropped.last, size)
        self._last = dropped.last
        self.expected = max(self.expected, self._held.next_free(dropped.last + 1))

    def _jump(self, came: str) -> RemoteProtocolError:
        return RemoteProtocolError(CloseCode.SEQ_JUMP, f"expected seq {self.expected}, not {came}")

    def welcome(self, welcome: Welcome, untold: Iterable[tuple[int, int]] = ()) -> None:
        """The hub is about to say this; LocalProtocolError unless it is deciding on a hello. Where the epoch is the one
        that hello named, numbering goes on above ``through`` and ``held``; a fresh one starts at 1 (P2). ``untold``:
        what is settled above ``held``, which has no room for it."""
        after = HUB_TRANSITIONS[self.state].get(Welcome)
        hello = self._hello
        if after is None or hello is None:
            raise LocalProtocolError(f"welcome is not legal while {self.state.value}")
        self.state = after
        self._frame = welcome.frame
        self._allowance = Allowance(welcome.window)
        if (hello.epoch, hello.log) == (welcome.epoch, welcome.log):
            self._acked = welcome.through
            self._untold = Ranges(untold)
            self._held = Ranges([*welcome.held, *self._untold])
            self.expected = self._held.next_free(welcome.through + 1)

    @property
    def known(self) -> int:
        """Up to here the device has spoken on this link, or was told what is settled: no ack goes beyond it."""
        last = max(self._last, self._acked)
        return last if last + 1 in self._untold else self._held.next_free(last + 1) - 1

    def acked(self, through: int, window: Window) -> None:
        """The hub is about to say this ack: frees credit. LocalProtocolError before welcome, and for an ack that takes
        an earlier one back. After bye it is as good as not said."""
        if self.state is State.CLOSED:
            return
        if self.state is not _OPEN:
            raise LocalProtocolError(f"ack is not legal while {self.state.value}")
        if through < self._acked:
            raise LocalProtocolError(f"ack {through} would take back ack {self._acked}")
        self._acked = through
        self._allowance.settle(through, window)

    @property
    def outstanding(self) -> Window:
        """What has come beyond the last ack."""
        return self._allowance.outstanding
