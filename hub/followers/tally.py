"""Books entries into account rows: the one definition of what becomes of batches and readings. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, TypeAlias

from hub.state import AccountRow
from hub.wire.kept import Entry, EpochGiven, Expired, Gap, Kept, Removed, Retried
from hub.wire.ranges import Ranges

Key: TypeAlias = tuple[str, int]  # device, epoch

#: Readings dropped at the device are a device's own word: beyond it, this many or more. It stays whole in every reader.
MOST_TOLD: Final = 2**53


def touched(entries: Iterable[Entry]) -> set[Key]:
    """The rows that these entries are booked in."""
    keys: set[Key] = set()
    for entry in entries:
        if type(entry) is Kept:
            keys.add((entry.birth.device, entry.epoch))
        elif isinstance(entry, Gap | Retried | Removed):
            keys.add((entry.device, entry.epoch))
        elif type(entry) is EpochGiven:
            keys.add((entry.device, entry.epoch))
            if entry.previous is not None:
                keys.add((entry.device, entry.previous))
        elif type(entry) is Expired:
            keys.update((device, epoch) for device, epoch, _ in entry.readings)
    return keys


class Tally:
    """Copies of rows, with entries booked in them; the originals stay as they are until these are committed."""

    def __init__(self) -> None:
        self.rows: dict[Key, AccountRow] = {}
        self.rejected: list[Kept] = []  # batches of which something was rejected
        self.left: list[Retried | Removed] = []  # what left quarantine

    def bring(self, keys: Iterable[Key], base: Mapping[Key, AccountRow]) -> None:
        """Copy these rows from ``base``, or begin them; those that are here already stay."""
        for key in keys:
            if key not in self.rows:
                row = base.get(key)
                self.rows[key] = AccountRow(*key) if row is None else row.copy()

    def book(self, entries: Sequence[Entry]) -> None:
        """Take these in, in order. The rows they touch must have been brought."""
        runs: dict[str, _Run] = {}
        for entry in entries:
            if type(entry) is Kept:
                _, birth, epoch, seq, _, _, _, verdict, _, _, _ = entry
                device = birth.device
                run = runs.get(device)
                if run is None or run.row.epoch != epoch:
                    if run is not None:
                        run.book()
                    run = runs[device] = _Run(self.rows[device, epoch], seq)
                elif seq != run.last + 1:
                    run.book()
                    run.first = seq
                run.last = seq
                run.received += verdict[0]
                if verdict[1]:
                    self._reject(entry, run.row)
            elif isinstance(entry, Gap | EpochGiven | Retried | Removed):
                before = runs.pop(entry.device, None)
                if before is not None:
                    before.book()
                if isinstance(entry, Gap):
                    self._gap(entry)
                elif isinstance(entry, EpochGiven):
                    self._close(entry)
                else:
                    self._leave(entry)
            elif isinstance(entry, Expired):
                for device, epoch, readings in entry.readings:
                    self.rows[device, epoch].expired += readings
        for run in runs.values():
            run.book()

    def _reject(self, kept: Kept, row: AccountRow) -> None:
        self.rejected.append(kept)
        rejected = dict(row.rejected)
        for _, code, _, readings, _ in kept.verdict.rejections:
            rejected[code] = rejected.get(code, 0) + readings
        row.rejected = rejected

    def _leave(self, left: Retried | Removed) -> None:
        """Readings are rejected no more: the store has them, or somebody removed them. Where the record of their batch
        is lost, nothing was booked of it: then the retried ones are received by this, and the removed ones never."""
        self.left.append(left)
        row = self.rows[left.device, left.epoch]
        if left.seq and left.seq not in row.kept:
            row.received += len(left.readings) if isinstance(left, Retried) else 0
            return
        rejected = Counter(row.rejected)
        rejected.subtract(reading.code for reading in left.readings)
        row.rejected = {code: readings for code, readings in rejected.items() if readings}
        if isinstance(left, Removed):
            row.removed = {**row.removed, left.by: row.removed.get(left.by, 0) + len(left.readings)}

    def _gap(self, gap: Gap) -> None:
        """A gap never covers what is here. What the device was to send in a later epoch, and gave up, moved nowhere."""
        row = self.rows[gap.device, gap.epoch]
        dropped = gap.dropped
        if row.moved:
            row.moved.remove(dropped.first, dropped.last)
        missing = row.missing(dropped.first, dropped.last)
        if gap.lost:
            row.lost = _joined(row.lost, missing)
        else:
            row.dropped = _joined(row.dropped, missing)
        row.highest = max(row.highest, dropped.last)
        if not gap.lost:
            row.dropped_readings = min(row.dropped_readings + (dropped.readings or 0), MOST_TOLD)

    def _close(self, given: EpochGiven) -> None:
        """What is missing in the epoch before goes on in the new one as far as the device said in hello that it has it;
        of the rest nobody has it any more. The epoch ends where the device says, or at the highest number that is
        here."""
        if given.previous is None:
            return
        row = self.rows[given.device, given.previous]
        row.closed, row.unknown_above = True, given.next is None
        first, end = 1, 1  # what the device has is below ``end``
        if given.next is not None:
            first, end = 1 if given.continues else given.next - given.double, given.next
        if given.continues:
            row.highest = max(row.highest, end - 1)
        moved = row.missing(1, row.highest)
        lost = moved.copy()
        lost.remove(first, end - 1)
        for low, high in lost:
            moved.remove(low, high)
        row.moved, row.lost = _joined(row.moved, moved), _joined(row.lost, lost)


class _Run:
    """Consecutive batches of one device that are not booked in its row yet."""

    __slots__ = ("first", "last", "received", "row")

    def __init__(self, row: AccountRow, seq: int) -> None:
        self.row = row
        self.first = self.last = seq
        self.received = 0

    def book(self) -> None:
        row, first, last = self.row, self.first, self.last
        row.kept.add(first, last)
        if last > row.highest:
            row.highest = last
        for others in (row.lost, row.dropped, row.moved):
            if others:  # it came after all: what is here is not lost
                others.remove(first, last)
        row.received += self.received
        self.received = 0


def _joined(numbers: Ranges, more: Ranges) -> Ranges:
    """Both; what is empty may be shared with what is committed, and stays as it is."""
    if not numbers:
        return more
    for first, last in more:
        numbers.add(first, last)
    return numbers
