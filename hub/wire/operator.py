"""Every word of ``telemetrio.v1.cbor`` on the operator path: dashboard, command line, programs.

Requests carry an id of the operator's choosing; the hub answers with the same id. ``call`` names a verb; the shapes of
what goes in and out are the TypedDicts below, plain CBOR on the wire.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, NotRequired, TypeAlias, TypedDict

from hub.wire.messages import Array, Plain

# --- operator to hub -----------------------------------------------------------------------------------------------

Kind: TypeAlias = Literal["readings", "presence", "command", "event", "violation", "hub"]
KINDS: Final[tuple[Kind, ...]] = ("readings", "presence", "command", "event", "violation", "hub")


@dataclass(frozen=True, slots=True)
class Subscribe:
    """Wants updates of these kinds for devices matching one of ``devices`` (globs) and ``metrics`` (names or globs).

    The first updates are a snapshot: the latest readings and presence of what matches.
    """

    id: int
    kinds: tuple[str, ...]
    devices: tuple[str, ...]
    metrics: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Unsubscribe:
    id: int


@dataclass(frozen=True, slots=True)
class Send:
    """A command for a device; with ``wait`` every change of state is answered, else only the first."""

    id: int
    device: str
    name: str
    args: Mapping[str, Plain]
    timeout: float  # seconds until it expires
    wait: bool


@dataclass(frozen=True, slots=True)
class Ask:
    """A question to the store: ``hub.query.Question.to_plain()``. Answered in columns, in parts."""

    id: int
    question: Mapping[str, Plain]


@dataclass(frozen=True, slots=True)
class Call:
    """One of VERBS with its arguments."""

    id: int
    verb: str
    args: Mapping[str, Plain]


# --- hub to operator -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Greeting:
    """First word of the hub on an operator's link."""

    role: str
    subject: str  # the token's name
    version: str
    time: int
    log: str


@dataclass(frozen=True, slots=True)
class Update:
    """One thing that changed, for subscription ``id``; ``body`` by kind:

    readings: list of ``[device, metric, time, value, quality]``; presence: Presence; command: CommandInfo;
    event: EventInfo; violation: ViolationInfo; hub: Status; skipped: ``{"count": n}`` (what conflation left out).
    """

    id: int
    kind: str
    body: Plain


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to request ``id``; ``more`` when another part or state follows. Columns may be typed arrays."""

    id: int
    value: "Plain | dict[str, Plain | Array]"
    more: bool


@dataclass(frozen=True, slots=True)
class Failure:
    """Request ``id`` could not be done. ``code`` is one of FAILURES; ``text`` says what to do next."""

    id: int
    code: str
    text: str


OperatorRequest: TypeAlias = Subscribe | Unsubscribe | Send | Ask | Call
OperatorReply: TypeAlias = Greeting | Update | Answer | Failure

OPERATOR_CODES: Final[dict[type, int]] = {
    Subscribe: 32, Unsubscribe: 33, Send: 34, Ask: 35, Call: 36,
    Greeting: 48, Update: 49, Answer: 50, Failure: 51,
}  # fmt: skip

#: Failure code -> exit code of the command line.
FAILURES: Final[dict[str, int]] = {
    "bad_request": 2, "forbidden": 4, "unknown_device": 5, "unknown_command": 2, "bad_argument": 2, "unknown": 5,
    "conflict": 1, "timeout": 124, "overload": 1, "internal": 1, "limit": 1,
}  # fmt: skip

#: Verb -> least role that may call it. viewer < operator < admin; ``enrol`` may call devices.enroll only.
VERBS: Final[dict[str, str]] = {
    "status": "viewer",  # {} -> Status
    "devices.list": "viewer",  # {devices?: [glob], labels?: {k: v}} -> [DeviceInfo]
    "devices.show": "viewer",  # {device} -> DeviceDetail
    "devices.enroll": "enrol",  # {device, labels?: {k: v}} -> {device, token}; again: a new one; admin if revoked
    "devices.revoke": "admin",  # {device} -> {device}
    "devices.label": "operator",  # {device, labels: {k: v or null}} -> DeviceInfo
    "models.list": "viewer",  # {} -> [str]
    "models.show": "viewer",  # {model} -> Model.to_plain()
    "commands.list": "viewer",  # {devices?: [glob], states?: [str], limit?: int} -> [CommandInfo], newest first
    "commands.show": "viewer",  # {id} -> CommandInfo
    "commands.cancel": "operator",  # {id} -> CommandInfo
    "quarantine.list": "viewer",  # {SOME, limit?} -> [QuarantineGroup]; SOME: QuarantineSome
    "quarantine.show": "viewer",  # {SOME, limit?} -> [QuarantineEntry], newest first
    "quarantine.retry": "operator",  # {SOME, after?} -> QuarantineRetried
    "quarantine.drop": "operator",  # {SOME, after?} -> QuarantineDropped
    "models.reload": "operator",  # {} -> {changed: [str]}: the hub reads its models again
    "ledger": "viewer",  # {device?} -> [LedgerEntry]
    "ledger.pin": "viewer",  # {} -> Pin; nothing up to it is collected for ten minutes
    "ledger.stored": "viewer",  # {lsn} -> StoredCounts: what the open table holds up to that LSN
    "store.status": "viewer",  # {} -> StoreStatus
    "store.rebuild": "admin",  # {} -> {through}: the record that the store has to reach; ask store.status how far it is
    "tokens.create": "admin",  # {role, name} -> {name, role, token}
}


class StoreStatus(TypedDict):
    rebuilding: bool
    cursor: int  # LSN
    readings: int  # that it holds


class DeviceInfo(TypedDict):
    device: str
    model: str
    state: str  # online, offline, never, revoked
    since: int | None  # us, of that state
    last_seen: int | None
    software: str
    labels: dict[str, str]
    address: str | None
    epoch: int | None
    through: int | None
    waiting: int  # batches the device had to send at its last hello and that are not settled yet (catching up)
    catch_up: float | None  # seconds until they are, by the rate so far; null when nothing waits or nobody can tell


class DeviceDetail(DeviceInfo):
    metrics: list[list[str]]  # [name, unit, type]
    latest: list[list[Plain]]  # [metric, time, value, quality]
    ledger: list["LedgerEntry"]
    desired: dict[str, Plain]
    reported: dict[str, Plain]


class Presence(TypedDict):
    device: str
    model: str
    state: str
    at: int
    reason: str


class CommandInfo(TypedDict):
    id: str
    device: str
    name: str
    args: dict[str, Plain]
    state: str
    value: Plain
    late: bool
    by: str
    created: int
    expiry: int
    changed: int


class EventInfo(TypedDict):
    device: str
    time: int
    level: str
    text: str


class ViolationInfo(TypedDict):
    device: str
    metric: str
    code: str
    count: int
    text: str
    time: int


class FollowerStatus(TypedDict):
    name: str
    cursor: int
    lag: int  # records behind the durable end
    healthy: bool
    error: str | None
    missing: list[list[int]]  # LSNs of records that a mirror never got, as inclusive pairs; the newest of them


class Status(TypedDict):
    version: str
    log: str
    time: int
    uptime: float
    ready: bool
    links: int
    devices: int
    frames_per_s: float
    readings_per_s: float
    ack_ms_p50: float
    ack_ms_p99: float
    appended: int  # LSN
    durable: int  # LSN
    received: int  # readings since the hub's start, as accepted and rejected
    accepted: int
    rejected: int
    duplicate: int  # frames since the hub's start
    followers: list[FollowerStatus]
    problems: list[str]


class LedgerEntry(TypedDict):
    """Both equations of one epoch of one device; ranges are inclusive pairs of seqs."""

    device: str
    epoch: int
    next: int
    kept: list[list[int]]
    waiting: list[list[int]]
    dropped: list[list[int]]
    lost: list[list[int]]
    moved: list[list[int]]
    closed: bool
    unknown_above: bool  # a null hello closed it: what the device may have had above is unknown
    received: int
    stored: int
    pending: int
    rejected: dict[str, int]  # reason -> readings
    expired: int
    removed: dict[str, int]  # who dropped them from quarantine -> readings
    dropped_readings: int
    balanced: bool
    problem: NotRequired[str]


class QuarantineSome(TypedDict, total=False):
    """Arguments that choose rejected readings; without any: all of them."""

    devices: list[str]  # names or globs
    metric: str
    reason: str
    since: int  # us, receive time
    until: int  # us, receive time, exclusive
    ids: list[str]  # LSN:ROW:METRIC


class QuarantineGroup(TypedDict):
    device: str
    metric: str  # empty: a batch that could not be read
    reason: str
    readings: int
    first_at: int  # us, receive time of the first
    last_at: int
    text: str  # what was said of one of them


class QuarantineEntry(TypedDict):
    id: str  # LSN:ROW:METRIC, for ever
    device: str
    epoch: int
    seq: int
    row: int
    metric: str
    unit: str
    type: str
    time: int | None  # us; null where there is none to be trusted
    at: int  # us, receive time
    reason: str
    text: str
    value: Plain  # as it came: raw of a decimal


class QuarantineRetried(TypedDict):
    """``kept``: reason -> readings that stay; ``why``: what was said of one of each. ``more``: call again with
    ``after``."""

    stored: int
    kept: dict[str, int]
    why: dict[str, str]
    more: bool
    after: int


class QuarantineDropped(TypedDict):
    removed: int
    more: bool
    after: int


class Pin(TypedDict):
    lsn: int
    journal: str  # directory
    log: str


class StoredCounts(TypedDict):
    lsn: int
    batches: list[list[int]]  # [lsn, readings] of every batch the store holds up to lsn with at least one reading
