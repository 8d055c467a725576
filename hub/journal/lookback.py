"""Looking behind the newest marks: they cover records that are damaged as if these were there (P10)."""

from itertools import pairwise
from pathlib import Path
from typing import Final

from hub.journal.archive import open_segment
from hub.journal.recovery import RecordsAfter, Recovery, Survey, survey
from hub.journal.segments import SegmentReader, segments
from hub.ports import Files

#: Segments before the newest one that are looked at. Devices hold only what is not acked, and acks come within
#: milliseconds of the sync: what is older, nobody can send again. At 64 MiB each that is a second of a start.
LOOK_BACK: Final = 4


def look_back(directory: Path, files: Files, after: int) -> Recovery | None:
    """The recovery from the marks before the first damage in records after the LSN ``after``, which newer marks cover.
    Null where there is no such damage, or neither intact marks before it nor the log's beginning. Blocks; nothing on
    disk changes."""
    firsts = segments(directory, files)
    pairs = list(pairwise(firsts))
    suspects = [(first, following) for first, following in pairs if following > after + 1][-LOOK_BACK:]
    surveys: list[Survey] = []
    for first, following in suspects:
        found = survey(directory, files, first, following)
        if surveys or _costs(found, after):
            surveys.append(found)
    if not surveys:
        return None
    surveys.append(survey(directory, files, firsts[-1]))
    older = [pair for pair in pairs if pair[0] < surveys[0].first]
    while surveys[0].head is None and older:
        surveys.insert(0, survey(directory, files, *older.pop()))
    snapshot = surveys[0].head
    if snapshot is None and surveys[0].first > 1:
        return None
    skip = surveys[0].first if snapshot is not None else 0
    records = RecordsAfter(directory, files, [each.first for each in surveys], skip)
    records.ends = {each.first: each.end for each in surveys}
    damage = [one for each in surveys for one in each.damage]
    return Recovery(snapshot, records, damage, surveys[-1].last or 0)


def records_after(directory: Path, files: Files, after: int) -> RecordsAfter:
    """The intact records of the segments that have those after the LSN ``after``: some before it are among them."""
    firsts = segments(directory, files)
    since = max((first for first in firsts if first <= after + 1), default=0)
    records = RecordsAfter(directory, files, [first for first in firsts if first >= since])
    for first in records.firsts:
        reader = SegmentReader(open_segment(directory, files, first), first)
        records.ends[first] = reader.end
        reader.close()
    return records


def _costs(found: Survey, after: int) -> bool:
    """Whether more is damaged after that LSN than the marks the segment opens with, which stand again in later ones."""
    covered = max(after, found.first)
    return any(one.last_lsn is None or one.last_lsn > covered for one in found.damage)
