"""Which message is legal in which state of a device link, and the state it leads to: one table for each end."""

from collections.abc import Mapping
from enum import Enum
from typing import Final

from hub.wire import messages as m


class State(Enum):
    """The states of a link, the same at both ends."""

    OPENING = "opening"  # nothing said yet
    CHECKING = "checking"  # hello was said; the hub decides, and makes durable what it must
    OPEN = "open"  # welcomed
    CLOSED = "closed"  # the device said bye


Table = Mapping[State, Mapping[type, State]]

#: What the hub hears, and the one word of its own that moves it: ``Welcome``.
HUB_TRANSITIONS: Final[Table] = {
    State.OPENING: {m.Hello: State.CHECKING},
    State.CHECKING: {m.Welcome: State.OPEN, m.Bye: State.CLOSED},
    State.OPEN: {
        m.Row: State.OPEN,
        m.Columns: State.OPEN,
        m.Malformed: State.OPEN,
        m.Dropped: State.OPEN,
        m.Event: State.OPEN,
        m.Reported: State.OPEN,
        m.Result: State.OPEN,
        m.Bye: State.CLOSED,
    },
    State.CLOSED: {},
}

#: What the device hears, and the words of its own that move it: ``Hello`` and ``Bye``. After its bye the hub's last
#: words may still be on the way.
DEVICE_TRANSITIONS: Final[Table] = {
    State.OPENING: {m.Hello: State.CHECKING},
    State.CHECKING: {m.Welcome: State.OPEN, m.Goaway: State.CHECKING, m.Bye: State.CLOSED},
    State.OPEN: {
        m.Ack: State.OPEN,
        m.Reject: State.OPEN,
        m.Command: State.OPEN,
        m.Cancel: State.OPEN,
        m.Desired: State.OPEN,
        m.Goaway: State.OPEN,
        m.Bye: State.CLOSED,
    },
    State.CLOSED: {
        m.Ack: State.CLOSED,
        m.Reject: State.CLOSED,
        m.Command: State.CLOSED,
        m.Cancel: State.CLOSED,
        m.Desired: State.CLOSED,
        m.Goaway: State.CLOSED,
    },
}
