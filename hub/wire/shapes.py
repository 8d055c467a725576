"""The shapes of what operators give and get: arguments and values of verbs, bodies of updates; plain CBOR."""

from typing import NotRequired, TypedDict

from hub.wire.messages import Plain


class StoreStatus(TypedDict):
    rebuilding: bool
    cursor: int  # LSN
    readings: int  # that it holds
    set_aside: str | None  # where the file is that was put aside last since the hub's start


class OnlyCopyInfo(TypedDict):
    """What the store alone has: the journal lacks the records."""

    records: list[list[int]]  # LSNs as inclusive pairs
    batches: int
    readings: int | None  # null: the store could not say


class StoreRebuild(TypedDict):
    through: int  # the record that the store has to reach; ask ``store.status`` how far it is
    only_copy: OnlyCopyInfo | None  # what only the file that is set aside has from now on


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
    clock_offset: int | None  # us that its clock was ahead of the hub's at its hello; null: no clock, or no link
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
    refused: dict[str, int]  # the same, by the code that their links were closed with
    followers: list[FollowerStatus]
    problems: list[str]  # with ``ready``: what somebody should look at, though all goes on


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
    moved_to: NotRequired[int]  # with ``moved``: the epoch in which the device numbered these batches anew
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
    pin: str  # for ``ledger.release``; means nothing else
    lsn: int  # the last record that is durable
    journal: str  # directory
    log: str
