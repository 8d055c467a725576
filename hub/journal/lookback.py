"""Looking behind the newest marks: they cover records that are damaged as if these were there (P10)."""

from collections.abc import Sequence
from itertools import dropwhile, pairwise
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
    """The recovery from the marks before the first damage in segments with records after the LSN ``after``, which newer
    marks cover, and before whatever else is damaged there: an earlier start may have opened that. Null where there is
    no such damage, or neither intact marks before it nor the log's beginning. Blocks; nothing on disk changes."""
    firsts = segments(directory, files)
    pairs = list(pairwise(firsts))
    window = pairs[-LOOK_BACK:]
    surveys = _from_damage(directory, files, [pair for pair in window if pair[1] > after + 1])
    if not surveys:
        return None
    surveys[:0] = _from_damage(directory, files, [pair for pair in window if pair[0] < surveys[0].first])
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


def _from_damage(directory: Path, files: Files, pairs: Sequence[tuple[int, int]]) -> list[Survey]:
    """These segments, from the first damaged one on."""
    surveys = [survey(directory, files, first, following) for first, following in pairs]
    return list(dropwhile(lambda found: not _costs(found), surveys))


def _costs(found: Survey) -> bool:
    """Whether more is damaged than the marks the segment opens with, which stand again in later ones. What is intact
    behind it may be of a birth that is damaged."""
    return any(one.last_lsn is None or one.last_lsn > found.first for one in found.damage)
