"""What stands in the place of segments that were collected: how many batches and readings of whom were in them.

One small file beside the segments. The proof begins with it and goes on with the records that are still there.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from hub.followers.tally import Key, Tally, touched
from hub.ingest.times import AHEAD, FUTURE
from hub.journal import Search
from hub.journal.archive import open_segment
from hub.journal.segments import SegmentReader
from hub.ports import Files, write_whole
from hub.state import AccountRow
from hub.upkeep.summed import content_of, summed
from hub.wire.kept import Entry, Kept
from hub.wire.messages import Columns, Row
from hub.wire.ranges import Ranges
from hub.wire.records import RecordError, is_birth, unpack_with
from hub.wire.rows import resolved_times

NAME: Final = "collected"
PIECE: Final = 512 * 1024  # bytes of records counted in one step: about ten milliseconds


class CollectedError(Exception):
    """The file is damaged; the text says what to do."""


@dataclass(frozen=True)
class Collected:
    """Everything up to the record ``lsn``, booked by device and epoch."""

    lsn: int = 0
    rows: Mapping[Key, AccountRow] = field(default_factory=dict)


def read_collected(directory: Path, files: Files) -> Collected:
    """What has been collected so far, nothing at first; CollectedError when the file is damaged. Blocks."""
    path = directory / NAME
    return parse_collected(files.read(path), path) if NAME in files.list(directory) else Collected()


def parse_collected(written: bytes, path: Path) -> Collected:
    """What is ``written`` at ``path``; CollectedError when it is damaged."""
    content = content_of(written)
    if content is None:
        raise CollectedError(f"{path} is damaged: put back the one of a backup; until then no segment is collected")
    _, lsn, rows = json.loads(content)
    return Collected(lsn, {(row[0], row[1]): _row(row) for row in rows})


def write_collected(directory: Path, files: Files, collected: Collected) -> None:
    """Make it durable in the place of what was there. Blocks; OSError leaves what was there."""
    content = json.dumps([1, collected.lsn, [_plain(row) for row in collected.rows.values()]]).encode()
    write_whole(files, directory / NAME, summed(content))


class SegmentCount:
    """Counts one closed segment. Go through ``steps`` first. ``newest``: us; no reading in it is of a later time, but
    where it is ``damaged``: then the store may have readings of what cannot be read."""

    def __init__(self, base: Mapping[Key, AccountRow]) -> None:
        self.newest = 0
        self.damaged = False
        self.tally = Tally()
        self._base = base

    def steps(self, directory: Path, files: Files, first: int, following: int) -> Iterator[None]:
        """Read and book all of it, a piece at a time. Blocks."""
        reader = SegmentReader(open_segment(directory, files, first), first, following=following)
        try:
            births: dict[int, Any] = {}
            search = Search(directory, files, is_birth)
            while chunk := reader.read(PIECE):
                self._book([entry for record in chunk if (entry := _entry(record, births, search)) is not None])
                yield
            reader.finish()
            self.damaged = bool(reader.damage)
        finally:
            reader.close()

    def _book(self, entries: list[Entry]) -> None:
        self.newest = max(self.newest, *map(_age, entries), 0)
        self.tally.bring(touched(entries), self._base)
        self.tally.book(entries)


def _entry(record: tuple[int, bytes], births: dict[int, Any], search: Search) -> Entry | None:
    try:
        return unpack_with(*record, births, search.find)
    except RecordError:
        return None  # those who follow have told it


def _age(entry: Entry) -> int:
    """When the newest of it was: readings by their own time, else when it came. A time is later than that where the
    hub's clock was behind; not where the clock was fit to reject such times."""
    received = int(getattr(entry, "received", 0))
    if not isinstance(entry, Kept) or not isinstance(entry.body, Row | Columns) or not entry.verdict.accepted:
        return received
    newest = int(resolved_times(entry).max())
    judged = any(rejection.code == FUTURE.code for rejection in entry.verdict.rejections)
    return min(newest, received + AHEAD) if judged else newest


def _plain(row: AccountRow) -> list[Any]:
    sets = [numbers.pairs() for numbers in (row.kept, row.dropped, row.lost, row.moved)]
    return [
        row.device, row.epoch, row.highest, *sets, row.closed, row.unknown_above, row.received, row.rejected,
        row.dropped_readings, row.expired, row.removed,
    ]  # fmt: skip


def _row(plain: list[Any]) -> AccountRow:
    device, epoch, highest, kept, dropped, lost, moved, *rest = plain
    return AccountRow(device, epoch, highest, _ranges(kept), _ranges(dropped), _ranges(lost), _ranges(moved), *rest)


def _ranges(pairs: list[list[int]]) -> Ranges:
    return Ranges((first, last) for first, last in pairs)
