"""Which numbers of one device the hub has, by epoch: the marks of one device."""

import json
import re
from array import array
from collections.abc import Sequence
from typing import Any, Final
from zlib import crc32

from hub.wire.messages import NAME_PATTERN
from hub.wire.ranges import Ranges

NAME: Final = re.compile(NAME_PATTERN)
#: Newest seqs of an epoch whose checksums are kept, 4 bytes each, to tell a resend from a conflict. A device that sends
#: once a second has far fewer under way; a whole window's would be 16 KB for each device.
CHECKED: Final = 256

MAX_GAPS: Final = 4_096  # of one epoch: its row of the account, which is written with each change, stays below 200 KB


class Numbering:
    """One epoch of one device: everything up to ``prefix`` is settled, and ``held`` above it."""

    __slots__ = ("_checks", "double", "epoch", "gaps", "held", "prefix", "readings", "rejected", "rows")

    def __init__(self, epoch: int, prefix: int = 0, double: int = 0) -> None:
        self.epoch = epoch
        self.prefix = prefix
        self.held = Ranges()
        self.double = double  # seqs up to it may repeat what an earlier epoch has: quality rewound
        self.rows = 0  # of readings, kept so far
        self.readings = 0  # received in kept batches
        self.rejected = 0  # of these
        self.gaps = 0  # on record
        self._checks: array[int] | None = None  # crc32 of the frame by seq modulo CHECKED; 0: not known

    @property
    def highest(self) -> int:
        """The highest seq that is settled; 0 when none is."""
        return self.held.highest or self.prefix

    @property
    def crowded(self) -> bool:
        """Does it have as many gaps as one may? Then its device is given a fresh one."""
        return self.gaps >= MAX_GAPS

    def __contains__(self, seq: int) -> bool:
        return seq <= self.prefix or seq in self.held

    def settled(self) -> Ranges:
        """All its numbers that are settled; a set of its own."""
        every = self.held.copy()
        every.add(1, self.prefix)
        return every

    def settle(self, first: int, last: int) -> None:
        """``first..last`` are settled."""
        if first > self.prefix + 1:
            self.held.add(first, last)
            return
        self.prefix = max(self.prefix, last)
        if self.held:
            self.absorb()

    def absorb(self) -> None:
        """Join to the prefix what it has come to."""
        for first, last in self.held.pairs():
            if first > self.prefix + 1:
                break
            self.held.remove(first, last)
            self.prefix = max(self.prefix, last)

    def check(self, seq: int, frame: bytes) -> None:
        """Remember what batch ``seq`` looked like."""
        if self._checks is None:
            self._checks = array("I", bytes(4 * CHECKED))
        self._checks[seq % CHECKED] = crc32(frame)

    def check_run(self, seq: int, frames: Sequence[bytes]) -> None:
        """Remember what the batches from ``seq`` on looked like."""
        skipped = max(0, len(frames) - CHECKED)
        for at, frame in enumerate(frames[skipped:], seq + skipped):
            self.check(at, frame)

    def differs(self, seq: int, frame: bytes) -> bool:
        """Is ``frame`` certainly not the batch ``seq`` that is here? Known for the newest ones only."""
        if self._checks is None or seq + CHECKED <= self.highest or seq > self.highest:
            return False
        known = self._checks[seq % CHECKED]
        return known != 0 and known != crc32(frame)

    def skip_checks(self, first: int, last: int) -> None:
        """A gap: nothing was seen of these."""
        if self._checks is not None:
            for seq in range(max(first, last - CHECKED + 1), last + 1):
                self._checks[seq % CHECKED] = 0

    def to_text(self) -> str:
        """JSON; put together by hand, because the hub stands still while it writes that of 10,000 devices."""
        held = json.dumps(self.held.pairs()) if self.held else "[]"
        counts = f"{self.double},{self.rows},{self.readings},{self.rejected},{self.gaps}"
        return f"[{self.epoch},{self.prefix},{held},{counts}]"

    @classmethod
    def from_plain(cls, plain: list[Any]) -> "Numbering":
        epoch, prefix, held, double, rows, readings, rejected, *gaps = plain
        numbering = cls(epoch, prefix, double)
        numbering.held = Ranges((first, last) for first, last in held)
        numbering.rows, numbering.readings, numbering.rejected = rows, readings, rejected
        numbering.gaps = gaps[0] if gaps else 0  # marks that were written before they were counted
        return numbering


class DeviceMarks:
    """One device. ``previous`` is the epoch whose numbers go on in ``current``: until that is used, a device that never
    heard of it may still name the one before."""

    __slots__ = ("current", "generation", "highest_epoch", "lsn", "previous")

    def __init__(self) -> None:
        self.current: Numbering | None = None
        self.previous: Numbering | None = None
        self.highest_epoch = 0  # ever given or named in this log
        self.generation = 0  # of links: only the newest may append (P5)
        self.lsn = 0  # of the newest record for this device: not durable perhaps

    def named(self, epoch: int) -> Numbering | None:
        """The numbering that a hello may go on from: the current one, or, while that is unused, the one before."""
        current = self.current
        if current is not None and current.epoch == epoch:
            return current
        if self.previous is not None and self.previous.epoch == epoch and (current is None or not current.highest):
            return self.previous
        return None

    def numbering(self, epoch: int) -> Numbering | None:
        """That of an epoch which a hello may still name; null for every other one."""
        return next((each for each in (self.current, self.previous) if each and each.epoch == epoch), None)

    def give(self, epoch: int, double: int = 0, *, continues: bool = False) -> Numbering:
        """A fresh epoch becomes the current one. Where it does not continue the one before, naming that again shows
        a device that was rewound, however far it has counted since."""
        if not continues:
            self.previous = None
        elif self.current is not None and self.current.highest:
            self.previous = self.current
        self.current = Numbering(epoch, double=double)
        self.highest_epoch = max(self.highest_epoch, epoch)
        return self.current

    def to_text(self, device: str) -> str:
        """A member of a JSON object."""
        current = "null" if self.current is None else self.current.to_text()
        previous = "null" if self.previous is None else self.previous.to_text()
        name = f'"{device}"' if NAME.fullmatch(device) else json.dumps(device)
        return f"{name}:[{self.highest_epoch},{current},{previous}]"

    def at(self, epoch: int) -> Numbering | None:
        """The numbering of a record: made up where the record that gave its epoch is lost, which may have continued the
        one before; None when it is closed."""
        if self.current is not None and self.current.epoch == epoch:
            return self.current
        return self.give(epoch, continues=True) if epoch > self.highest_epoch else self.numbering(epoch)
