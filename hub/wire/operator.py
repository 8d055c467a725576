"""Every word of ``telemetrio.v1.cbor`` on the operator path: dashboard, command line, programs.

Requests carry an id of the operator's choosing; the hub answers with the same id. ``call`` names a verb; the shapes of
what goes in and out are in ``hub.wire.shapes``.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

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
    "clock.trust": "admin",  # {} -> {behind: us, ahead: us}: the hub's clock is right, whatever is on record
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
    "ledger.pin": "viewer",  # {} -> Pin; until it is released, or for ten minutes, nothing expires or is collected
    "ledger.release": "viewer",  # {pin} -> {pin}: whoever has it reads no more; also of one that has ended
    "ledger.stored": "viewer",  # {lsn} -> columns lsn, readings: of each batch in the open table up to that LSN
    "store.status": "viewer",  # {} -> StoreStatus
    "store.rebuild": "admin",  # {accept_loss?: bool} -> StoreRebuild; conflict: readings would be lost
    "tokens.create": "admin",  # {role, name} -> {name, role, token}
}
