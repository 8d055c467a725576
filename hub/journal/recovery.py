"""Finding out what is there (P10): read, make durable what was found, and only then tell."""

import errno
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from hub.journal.archive import archive_path, open_segment
from hub.journal.segments import WINDOW, Damage, SegmentReader, read_through, segment_path, segments
from hub.ports import Files

FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})  # the disk is full: waiting may help


@dataclass
class Recovery:
    """What the journal had: the last intact snapshot of marks and, after it, every intact record.

    ``snapshot`` is null when no segment begins with an intact one. Iterating ``records`` reads the disk, so it
    blocks; it can be done again. ``damage`` is what is missing from the snapshot's segment on.
    """

    snapshot: bytes | None
    records: "RecordsAfter"
    damage: list[Damage]
    last: int  # highest LSN that was found


@dataclass
class RecordsAfter:
    """``(lsn, payload)`` of the intact records in the segments ``firsts``, without the snapshot that opens them."""

    directory: Path
    files: Files
    firsts: list[int]
    skip: int = 0  # LSN of the snapshot
    ends: dict[int, int] = field(default_factory=dict)  # bytes of each segment that were found; later ones are not old

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        for first in self.firsts:
            reader = SegmentReader(open_segment(self.directory, self.files, first), first, end=self.ends[first])
            try:
                while chunk := reader.read():
                    yield from (record for record in chunk if record[0] != self.skip)
            finally:
                reader.close()


@dataclass
class Survey:
    """One segment, read through."""

    first: int
    size: int  # bytes in the file
    end: int  # bytes up to where the last intact record ends
    last: int | None
    head: bytes | None  # payload of its first record, when that is intact: the marks
    damage: list[Damage]


def survey(directory: Path, files: Files, first: int, following: int | None = None) -> Survey:
    """Read a segment through, keeping nothing but its marks."""
    reader = SegmentReader(open_segment(directory, files, first), first, following=following)
    try:
        head = None
        chunk = reader.read()
        if chunk and chunk[0][0] == first:
            head = chunk[0][1]
        while chunk:
            chunk = reader.read()
        reader.finish()
        return Survey(first, reader.end, reader.intact_end, reader.last, head, reader.damage)
    finally:
        reader.close()


def recover(directory: Path, files: Files) -> tuple[Recovery, int]:
    """Read what is there and make it durable; the recovery, and the lowest LSN that may be given next."""
    for name in files.list(directory):
        if name.endswith(".tmp"):
            files.remove(directory / name)  # an earlier recovery did not get to its rename
    firsts = segments(directory, files)
    damage: list[Damage] = []
    floor = 1
    found = None
    while firsts and found is None:
        last = survey(directory, files, firsts[-1])
        if last.last is None:
            set_aside(directory, files, last)
            damage[:0] = last.damage
            floor = max(floor, last.first)
            firsts.pop()
        else:
            found = last
    if found is None or found.last is None:
        return Recovery(None, RecordsAfter(directory, files, []), damage, 0), floor
    rewrite(directory, files, found)
    if not damage:
        damage = list(found.damage)
    else:  # a segment after this one was set aside: its first LSN tells where this one ended
        found = survey(directory, files, found.first, damage[0].segment)
        damage[:0] = found.damage
    used, damage, snapshot = _back_to_marks(directory, files, firsts, found, damage)
    records = RecordsAfter(directory, files, [s.first for s in used], used[0].first if snapshot is not None else 0)
    records.ends = {s.first: s.end for s in used}
    highest = used[-1].last or 0
    return Recovery(snapshot, records, damage, highest), max(floor, highest + 1)


def _back_to_marks(
    directory: Path, files: Files, firsts: list[int], last: Survey, damage: list[Damage]
) -> tuple[list[Survey], list[Damage], bytes | None]:
    """The segments from the last intact marks on, and what is missing in them."""
    used = [last]
    for at in range(len(firsts) - 2, -1, -1):
        if used[0].head is not None:
            break
        earlier = survey(directory, files, firsts[at], firsts[at + 1])
        used.insert(0, earlier)
        damage = earlier.damage + damage
    return used, damage, used[0].head


def set_aside(directory: Path, files: Files, empty: Survey) -> None:
    """A last segment without one intact record: a crash while it was begun, or destroyed. Nothing is appended to it;
    bytes are kept for whoever wants to look at them."""
    names = files.list(directory)
    for path in (segment_path(directory, empty.first), archive_path(directory, empty.first)):
        if path.name not in names:
            continue
        if empty.size:
            files.rename(path, path.with_suffix(".damaged"))
        else:
            files.remove(path)
    files.sync_directory(directory)


def rewrite(directory: Path, files: Files, last: Survey) -> None:
    """Write the last segment anew, up to its last intact record, and sync it.

    Reading does not show whether the disk has a page: a killed process leaves unsynced pages in the cache, a failed
    sync leaves pages there that look clean. New pages are written for sure. On a full disk, cut and sync in place:
    that leaves only the second case open, and the hub has to start to get space back.

    A last segment that is archived (those after it are gone) becomes a plain one again: records go on behind it.
    """
    path, archive = segment_path(directory, last.first), archive_path(directory, last.first)
    copy = path.with_suffix(".tmp")
    source = open_segment(directory, files, last.first)
    try:
        try:
            target = files.open(copy, create=True)
            try:
                for at in range(0, last.end, WINDOW):
                    target.append(read_through(source, at, min(WINDOW, last.end - at)))
                target.sync()
            finally:
                target.close()
            files.rename(copy, path)
        except OSError as error:
            if error.errno not in FULL or path.name not in files.list(directory):
                raise
            if copy.name in files.list(directory):
                files.remove(copy)
            source.truncate(last.end)
            source.sync()
    finally:
        source.close()
    files.sync_directory(directory)
    if archive.name in files.list(directory):
        files.remove(archive)  # of the plain one that counts
        files.sync_directory(directory)
