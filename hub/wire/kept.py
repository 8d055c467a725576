"""What followers receive: accepted frames with what was decided about them, once, when they were appended (P8)."""

from dataclasses import dataclass
from typing import Final, NamedTuple, TypeAlias

from hub.wire.messages import Batch, Declared, Dropped, Rejection, Value


@dataclass(frozen=True, slots=True, eq=False)
class Birth:
    """What a device said of itself in ``hello``, as every batch after it needs it. ``id``: LSN of its first record."""

    id: int
    device: str
    model: str
    metrics: tuple[Declared, ...]
    software: str


class Verdict(NamedTuple):
    """What was decided about the readings of a batch."""

    received: int  # readings in it (nulls are none)
    rejections: tuple[Rejection, ...]
    quality: int

    @property
    def rejected(self) -> int:
        return sum(entry.readings for entry in self.rejections)

    @property
    def accepted(self) -> int:
        return self.received - self.rejected


NOTHING = Verdict(0, (), 0)


class Kept(NamedTuple):
    """A batch that is here. Its times are resolved: ``base`` is what to add to the times in ``body`` that are on the
    uptime clock (us), and where ``verdict.quality`` is TIME_UNKNOWN, row ``i`` is at ``base + i``."""

    lsn: int
    birth: Birth
    epoch: int
    seq: int
    received: int  # us, hub time
    base: int
    rows_before: int  # in this epoch
    verdict: Verdict
    body: Batch
    size: int  # bytes of the frame
    through: int  # prefix settled once this is durable (0 when read back from disk)


@dataclass(frozen=True, slots=True)
class Born:
    """A birth, written again at its first use in each segment."""

    lsn: int
    birth: Birth


#: Reasons for a fresh epoch to a device that told true: the hub was restored, the last one was not used, it had too
#: many gaps.
CONTINUES: Final = frozenset({"restored", "unconfirmed", "gaps"})


@dataclass(frozen=True, slots=True)
class EpochGiven:
    """A fresh epoch was given to a device, closing the one before."""

    lsn: int
    device: str
    epoch: int
    previous: int | None  # the epoch whose batches go on in this one
    reason: str  # first, null_hello, other_log, rewound, or one of CONTINUES
    received: int
    next: int | None = None  # what hello said of the previous one: its numbers end below this; null: unknown
    double: int = 0  # so many batches of this one may have come before: the device was rewound

    @property
    def continues(self) -> bool:
        """Whether the device told true of the previous epoch, so that nothing of it comes twice."""
        return self.reason in CONTINUES


@dataclass(frozen=True, slots=True)
class Gap:
    """Numbers that will never come: dropped at the device, or lost at the hub (``lost``)."""

    lsn: int
    device: str
    epoch: int
    dropped: Dropped
    lost: bool
    received: int
    through: int


@dataclass(frozen=True, slots=True)
class Marked:
    """A snapshot of marks opened a segment; of no interest to stores."""

    lsn: int


@dataclass(frozen=True, slots=True)
class Expired:
    """What was kept up to the record ``through`` is older than the hub is to keep it, and leaves every store.

    ``before``: us; every reading up to there has an earlier time. ``readings``: what the store had of these, by device
    and epoch: so many are expired from now on."""

    lsn: int
    through: int
    before: int
    received: int
    readings: tuple[tuple[str, int, int], ...]


class Freed(NamedTuple):
    """A reading of a batch that was rejected under ``code``, as it is stored now: ``value`` as it came (raw of a
    decimal), ``time`` resolved, in us."""

    row: int
    metric: Declared
    code: str
    time: int
    value: Value


@dataclass(frozen=True, slots=True)
class Retried:
    """Readings of one batch that were in quarantine and are accepted now. ``lsn`` is of this record, ``of`` of the
    batch's; the rest is what the batch had: nothing but this record is needed to store them."""

    lsn: int
    device: str
    model: str
    epoch: int
    seq: int
    received: int  # us, hub time, of the batch
    rows_before: int
    quality: int
    of: int
    by: str  # who had it tried again
    at: int  # us, hub time
    readings: tuple[Freed, ...]


class Refused(NamedTuple):
    """A rejected reading, as quarantine names it."""

    row: int
    metric: str
    code: str


@dataclass(frozen=True, slots=True)
class Removed:
    """Readings of the batch ``of`` that somebody dropped from quarantine: only the frame still has them."""

    lsn: int
    device: str
    epoch: int
    of: int
    by: str
    at: int  # us, hub time
    readings: tuple[Refused, ...]
    seq: int = 0  # of the batch; 0: a record that does not say it


@dataclass(frozen=True, slots=True)
class ClockConfirmed:
    """The hub's clock is right, somebody says, although records before this one are of a later time, or of one long
    before. The hub itself says so only where nothing speaks against it: when no record has told the time for a day."""

    lsn: int
    by: str
    at: int  # us, hub time: what the clock said


Entry: TypeAlias = Kept | Born | EpochGiven | Gap | Marked | Expired | Retried | Removed | ClockConfirmed
