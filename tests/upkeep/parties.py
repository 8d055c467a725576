"""Who takes part in a random history: devices, and what is true of it whatever the hub says."""

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from cbor2 import dumps

from hub.followers.tally import Key
from hub.ingest.ingest import Opening
from hub.wire.messages import Batch, Malformed, Row
from hub.wire.ranges import Ranges
from tests.ingest.house import framed

Spot: TypeAlias = tuple[str, int, int]  # device, epoch, seq


@dataclass
class Device:
    """``items``: what it has under its numbers; null is a hole, which it declares. ``keeps``: all of it, for ever.
    ``at``: the number that comes next on its link."""

    name: str
    keeps: bool
    epoch: int | None = None
    acked: int = 0
    next: int = 1
    items: dict[int, tuple[Batch, bytes] | None] = field(default_factory=dict)
    opening: Opening | None = None
    at: int = 1

    def reboot(self) -> None:
        """It had memory only."""
        self.epoch, self.acked, self.next, self.items, self.opening = None, 0, 1, {}, None

    def renumber(self, epoch: int, here: Ranges) -> None:
        """What it has left is numbered from 1 in a fresh epoch."""
        left = [item for seq, item in sorted(self.items.items()) if seq not in here and item is not None]
        self.items = {seq: numbered(item[0], seq) for seq, item in enumerate(left, 1)}
        self.epoch, self.acked, self.next = epoch, 0, len(left) + 1


@dataclass
class Truth:
    """What was sent, and which of the limits that the guarantees name have been met. ``unsure``: epochs of which
    readings need not add up; ``unbooked``: batches of which what was rejected is gone."""

    sent: dict[Spot, Batch | None] = field(default_factory=dict)
    retried: set[Spot] = field(default_factory=set)
    unretried: set[Spot] = field(default_factory=set)  # a record of that is damaged: they may be retried again
    hit: set[Key] = field(default_factory=set)  # epochs with a damaged batch
    unsure: set[Key] = field(default_factory=set)
    unbooked: set[Spot] = field(default_factory=set)
    vanished: Counter[Spot] = field(default_factory=Counter)  # records of a batch that were damaged
    opened: set[int] = field(default_factory=set)  # LSNs that were damaged and that a follower had not come to
    far: bool = False  # one of these lies further back than a start looks


def numbered(body: Any, seq: int) -> tuple[Batch, bytes]:
    """The same batch under this number."""
    if isinstance(body, Malformed):
        return Malformed(seq, body.why), dumps([2, seq, None, 0])
    return framed(body._replace(seq=seq) if isinstance(body, Row) else replace(body, seq=seq))
