"""Every word of ``telemetrio.v1.cbor`` between a device and the hub. What operators say is in ``operator.py``.

One binary message is one CBOR array ``[code, field, ...]``; the fields stand in the order of the attributes below.
Times are whole microseconds since the Unix epoch unless said otherwise. What travels thousands of times a second is a
NamedTuple (cheap to make), the rest are frozen dataclasses.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

SUBPROTOCOL: Final = "telemetrio.v1.cbor"
DEVICE_PATH: Final = "/v1/device"
OPERATOR_PATH: Final = "/v1/operator"

Value: TypeAlias = float | int | bool | str | None
Plain: TypeAlias = "float | int | bool | str | bytes | list[Plain] | dict[str, Plain] | None"
Array: TypeAlias = npt.NDArray[np.generic]


class Declared(NamedTuple):
    """A metric as a birth declares it: its name, SenML unit and value type (``float64``, ``decimal(2)``, ...)."""

    name: str
    unit: str
    type: str


class Window(NamedTuple):
    """Credit: how many batches and frame bytes a device may have sent beyond ``through``."""

    batches: int
    bytes: int


# --- device to hub -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Hello:
    """First word of a device (P1). ``epoch`` and ``log`` are both null when it has no numbering yet."""

    model: str
    epoch: int | None
    log: str | None
    acked: int  # highest ack it ever got in that epoch
    first: int  # oldest batch it holds; equals ``next`` when it holds none
    next: int  # the number its next new batch will get
    metrics: tuple[Declared, ...]
    time: int | None  # its wall clock, null when it has none
    uptime: int | None  # us since its boot, for times on the uptime clock
    software: str
    token: str | None  # where a header cannot carry one (browsers)


class Row(NamedTuple):
    """The values of one time: ``values[i]`` is of the i-th declared metric, ``None`` where there is none."""

    seq: int
    time: int | None
    values: list[Value]


class Regular(NamedTuple):
    """Times at a fixed step: ``start + i * step`` for each of ``rows``; ``start`` null means time unknown."""

    start: int | None
    step: int
    rows: int


class Offsets(NamedTuple):
    """Times as offsets in us from ``base``; ``base`` null means time unknown."""

    base: int | None
    offsets: Array


class Columns(NamedTuple):
    """Many rows at once: each column is ``(metric index, values)``, all of the length of ``times``.

    Numbers are numpy arrays straight over the frame's bytes; text and bool columns are lists (null = none).
    """

    seq: int
    times: Regular | Offsets
    columns: list[tuple[int, "Array | list[Value]"]]


class Malformed(NamedTuple):
    """A numbered batch whose body cannot be read (P11): kept as it came, wholly rejected as ``malformed``."""

    seq: int
    why: str


@dataclass(frozen=True, slots=True)
class Dropped:
    """Numbers the device will never send: ``first..last``; ``readings`` null when it cannot tell how many."""

    first: int
    last: int
    readings: int | None
    reason: str


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened at the device; ``level`` is debug, info, warning or error."""

    seq: int
    time: int | None
    level: str
    text: str


@dataclass(frozen=True, slots=True)
class Reported:
    """The device's properties as they are: a patch of its twin."""

    seq: int
    properties: Mapping[str, Plain]


@dataclass(frozen=True, slots=True)
class Result:
    """How a command goes; ``seq`` null is progress or an early copy (P12). ``value``: progress or the result."""

    seq: int | None
    id: str
    state: str
    value: Plain


@dataclass(frozen=True, slots=True)
class Bye:
    """The device leaves on purpose."""

    reason: str


# --- hub to device -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Welcome:
    """The hub's answer to ``hello`` (P2); counts as an ack of ``through`` in the epoch that ``hello`` named."""

    epoch: int
    through: int
    held: tuple[tuple[int, int], ...]
    window: Window
    frame: int  # largest frame in bytes
    idle: float  # seconds of silence after which the hub lets go
    time: int  # hub time
    log: str


@dataclass(frozen=True, slots=True)
class Ack:
    """Every batch up to ``through`` is settled (P7)."""

    through: int
    window: Window


class Rejection(NamedTuple):
    """Readings of one metric that were not accepted: ``readings`` of them from row ``first`` on, and why.

    ``metric`` is the index in the birth, or -1 for the whole batch. In a verdict each entry is one unbroken run, rows
    ``first`` to ``first + readings - 1``, so that which readings were rejected can be told from it for ever (P8); in a
    ``reject``, which is advice, runs of one metric and code are put together.
    """

    metric: int
    code: str
    first: int
    readings: int
    text: str


@dataclass(frozen=True, slots=True)
class Reject:
    """Advice to the device: what of batch ``seq`` was rejected; at most 32 entries, ``total`` readings in all."""

    seq: int
    entries: tuple[Rejection, ...]
    total: int


@dataclass(frozen=True, slots=True)
class Command:
    """A request to the device; not to be run after ``expiry`` (hub time)."""

    id: str
    name: str
    args: Mapping[str, Plain]
    expiry: int


@dataclass(frozen=True, slots=True)
class Cancel:
    """The operator takes a command back."""

    id: str


@dataclass(frozen=True, slots=True)
class Desired:
    """A patch of the properties that operators want, and its version."""

    version: int
    patch: Mapping[str, Plain]


@dataclass(frozen=True, slots=True)
class Goaway:
    """The hub is about to let go; dial again after ``retry_after`` seconds."""

    retry_after: float
    reason: str


DeviceMessage: TypeAlias = Hello | Row | Columns | Malformed | Dropped | Event | Reported | Result | Bye
HubMessage: TypeAlias = Welcome | Ack | Reject | Command | Cancel | Desired | Goaway
#: What carries a seq of its own and is kept (P12).
Batch: TypeAlias = Row | Columns | Malformed | Event | Reported | Result

#: Wire codes. 16 to 31 go from hub to device, 32 to 63 are the operators' (operator.py); 64 to 79 are reserved for
#: gateways that carry many devices on one link, and refused until they are built.
CODES: Final[dict[type, int]] = {
    Hello: 1, Row: 2, Columns: 3, Dropped: 4, Event: 5, Reported: 6, Result: 7, Bye: 8,
    Welcome: 16, Ack: 17, Reject: 18, Command: 19, Cancel: 20, Desired: 21, Goaway: 22,
}  # fmt: skip

#: States of a command: the same words on the wire, in JSON, in the CLI and in the state file.
COMMAND_STATES: Final = (
    "queued", "sent", "acknowledged", "succeeded", "failed", "rejected", "timed_out", "unreachable", "expired",
    "cancelled",
)  # fmt: skip
FINAL_STATES: Final = frozenset(COMMAND_STATES[3:])
#: What a device may say of a command: acknowledged is progress, the others are final.
DEVICE_STATES: Final = frozenset({"acknowledged", "succeeded", "failed", "rejected", "expired", "cancelled"})

#: Quality of a reading, as stored.
GOOD: Final = 0
TIME_UNKNOWN: Final = 1
REWOUND: Final = 2
QUALITIES: Final = ("good", "time_unknown", "rewound")

MAX_FRAME: Final = 65_536  # bytes; devices may count on it
MAX_METRICS: Final = 1_024  # per device
MAX_TEXT: Final = 256  # bytes of UTF-8 in a text value, an event or a reason
NAME_PATTERN: Final = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"  # devices and metrics: safe in every store, subject and file
