"""What a run of devices did, counted while it runs and handed to whoever started it."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from hub.wire.errors import CloseCode

SHORTEST: Final = 1e-4  # seconds; whatever is quicker counts as this
STEP: Final = math.log(1.05)  # buckets grow by 5 %: as exact as a percentile of this kind needs to be
#: Close codes that say something of a device's token.
TOKEN_CODES: Final = frozenset({CloseCode.UNAUTHORIZED, CloseCode.FORBIDDEN, CloseCode.REVOKED})
BUCKETS: Final = 400  # up to about eight hours


class Latencies:
    """A histogram of seconds in buckets that grow by 5 %."""

    def __init__(self) -> None:
        self._counts = [0] * BUCKETS
        self.count = 0

    def add(self, seconds: float) -> None:
        """Count one; negative ones count as the shortest."""
        self.count += 1
        at = int(math.log(seconds / SHORTEST) / STEP) + 1 if seconds > SHORTEST else 0
        self._counts[min(at, BUCKETS - 1)] += 1

    def percentile(self, share: float) -> float:
        """Seconds that ``share`` (0 to 1) of all took at most; NaN when there are none."""
        if not self.count:
            return math.nan
        wanted = math.ceil(self.count * share)
        for at, count in enumerate(self._counts):
            wanted -= count
            if wanted <= 0:
                return SHORTEST * math.exp(at * STEP)
        raise AssertionError("the buckets hold fewer than were counted")


@dataclass
class Figures:
    """Counters that the devices of one run share."""

    online: int = 0  # links open and welcomed now
    found: int = 0  # readings that waited on disk when the run began
    produced: int = 0  # readings
    sent: int = 0  # readings that have left at least once
    acked: int = 0  # readings the hub has settled
    batches: int = 0  # batches the hub has settled
    dropped: int = 0  # readings given up at the device
    rejected: int = 0  # readings the hub told us it rejected
    links: int = 0  # welcomes ever
    reconnects: int = 0
    commands_run: int = 0
    commands_ok: int = 0
    skipped: int = 0  # samples not taken because the process was late by more than a period
    acks: Latencies = field(default_factory=Latencies)

    def settled(self, batches: int, readings: int, times: Iterable[float], now: float) -> None:
        """Count what an ack took off a spool; ``times``: when each batch was meant to be sent."""
        self.batches += batches
        self.acked += readings
        for at in times:
            self.acks.add(now - at)


@dataclass(frozen=True)
class FleetReport:
    """The outcome of a run; ``devices_online`` as it was when the run began to stop, before the drain.

    ``found``: readings that waited in spools on disk when it began; all others are of this run.

    Readings are counted once however often they travelled. ``ack_p50_ms`` and ``ack_p99_ms`` (None without any ack)
    run from the time a batch was meant to be sent (or the first link was there, if that was later) to its ack; so they
    hold all waiting for windows, back-off and hubs that are away. ``waiting``: batches no ack had come for at the end.
    ``links``: welcomes in all. ``turned_away``: devices that the hub will not have; ``unauthorised``: because of their
    token. ``unusable``: devices whose spool cannot be used.
    """

    devices: int
    devices_online: int
    found: int
    produced: int
    sent: int
    acked: int
    batches: int
    waiting: int
    dropped: int
    rejected: int
    links: int
    reconnects: int
    turned_away: int
    unauthorised: int
    unusable: int
    commands_run: int
    commands_ok: int
    skipped: int
    ack_p50_ms: float | None
    ack_p99_ms: float | None
    seconds: float
    problems: tuple[str, ...]

    def to_plain(self) -> dict[str, Any]:
        """As a JSON object."""
        return {**asdict(self), "problems": list(self.problems)}


def report_of(
    figures: Figures, *, devices: int, online: int, waiting: int, seconds: float, turned_away: Sequence[int] = (),
    unusable: int = 0, problems: Iterable[str] = (),
) -> FleetReport:  # fmt: skip
    """The report of what ``figures`` counted; ``turned_away``: the close code of each device that the hub refused."""
    return FleetReport(
        devices=devices, devices_online=online, found=figures.found, produced=figures.produced,
        sent=figures.sent, acked=figures.acked, batches=figures.batches, waiting=waiting, dropped=figures.dropped,
        rejected=figures.rejected, links=figures.links, reconnects=figures.reconnects, turned_away=len(turned_away),
        unusable=unusable, unauthorised=sum(code in TOKEN_CODES for code in turned_away),
        commands_run=figures.commands_run, commands_ok=figures.commands_ok, skipped=figures.skipped,
        ack_p50_ms=_milliseconds(figures.acks, 0.50), ack_p99_ms=_milliseconds(figures.acks, 0.99),
        seconds=round(seconds, 3), problems=tuple(problems),
    )  # fmt: skip


def _milliseconds(latencies: Latencies, share: float) -> float | None:
    return round(latencies.percentile(share) * 1e3, 2) if latencies.count else None
