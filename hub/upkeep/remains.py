"""What intact records tell of damaged ones: readings of theirs that left quarantine, and how far an epoch had come."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from hub.followers.tally import Key
from hub.journal import Journal, Search, records_after
from hub.journal.segments import MAX_LSN
from hub.wire.kept import Birth, Entry, Kept, Removed, Retried
from hub.wire.records import RecordError, is_birth, unpack_with


@dataclass
class Remains:
    """``left``: records of readings that left quarantine, whose batch is damaged. ``passed``: the highest seq of an
    epoch with an intact batch at or before the store's cursor, where something is damaged there."""

    left: list[Retried | Removed] = field(default_factory=list)
    passed: dict[Key, int] = field(default_factory=dict)

    def spots(self) -> set[tuple[int, int, str]]:
        """The readings that left, as quarantine names them."""
        return {
            (left.of, each.row, each.metric if isinstance(each.metric, str) else each.metric.name)
            for left in self.left
            for each in left.readings
        }

    def retried(self, after: int) -> dict[tuple[Key, int], int]:
        """How many readings of a batch are on record though the batch is not, by epoch and seq, of records after the
        LSN ``after``."""
        found: dict[tuple[Key, int], int] = {}
        for left in self.left:
            if isinstance(left, Retried) and left.of > after:
                spot = (left.device, left.epoch), left.seq
                found[spot] = found.get(spot, 0) + len(left.readings)
        return found


def read_remains(journal: Journal, ranges: Sequence[tuple[int, int]], cursor: int) -> Remains:
    """Read what comes after the first of these damaged ``ranges`` of LSNs; ``cursor`` is the store's. Blocks. Nothing
    comes after a torn tail, so nothing is read for one."""
    remains = Remains()
    within = [(first, last) for first, last in ranges if last < MAX_LSN]
    if not within:
        return remains
    first = min(first for first, _ in within)
    for entry in entries_after(journal, first - 1):
        if isinstance(entry, Kept) and first <= cursor and entry.lsn <= cursor:
            key = entry.birth.device, entry.epoch
            remains.passed[key] = max(remains.passed.get(key, 0), entry.seq)
        elif isinstance(entry, Retried | Removed) and any(low <= entry.of <= high for low, high in within):
            remains.left.append(entry)
    return remains


def entries_after(journal: Journal, lsn: int) -> Iterator[Entry]:
    """The intact entries of the segments that have those after the LSN: some before it are among them. Blocks; what
    cannot be understood is told by who follows."""
    births: dict[int, Birth] = {}
    search = Search(journal.directory, journal.files, is_birth)
    for at, payload in records_after(journal.directory, journal.files, lsn):
        try:
            yield unpack_with(at, payload, births, search.find)
        except RecordError:
            continue
