"""Retention: what is too old leaves the stores by a record, and then its segment is collected.

A segment at a time, the oldest first, once all its readings are too old. In this order: the record that they have
expired is durable; every follower that keeps something has taken it in, durably; the count of what was in the segment
is synced beside the others; only then the segment is removed.
"""

from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from hub.crashpoints import reach
from hub.followers.tally import Key
from hub.ingest.trust import FIRST
from hub.journal import Journal
from hub.journal.archive import archive_path
from hub.journal.segments import segment_path
from hub.ports import Clock, Worker
from hub.upkeep.beginnings import Beginnings
from hub.upkeep.collected import Collected, SegmentCount, read_collected, write_collected

SECOND: Final = 1_000_000  # us
LONGEST_SEGMENT_SECONDS: Final = 86_400.0  # a segment goes as a whole, so it must not hold too long a time
SHARE: Final = 8  # ... nor more than this part of the retention

Drive = Callable[[Iterator[Any]], Awaitable[None]]


@dataclass(frozen=True)
class Doors:
    """What the collector needs of the other rooms.

    ``counts``: the store's cursor, and its readings of records up to an LSN by device and epoch. ``cursors``: the
    durable cursor of every follower that keeps something, but for mirrors. ``expire``: append the record (through,
    before, readings); its LSN. ``roll``: begin the next segment. ``mirrors``: the durable cursor of every mirror, which
    is waited for no longer than ``Hold`` says. ``now``: hub time to expire by, us; less than the clock says while that
    is ahead of all that is on record.
    """

    counts: Callable[[int], Awaitable[tuple[int, Mapping[Key, int]]]]
    cursors: Callable[[], Awaitable[Mapping[str, int]]]
    expire: Callable[[int, int, Mapping[Key, int]], int]
    roll: Callable[[], None]
    now: Callable[[], int]
    mirrors: Callable[[], Awaitable[Mapping[str, int]]] | None = None


@dataclass(frozen=True)
class Hold:
    """How much of the journal is kept for a mirror that has not taken it, although all its readings have expired: until
    more than ``size`` bytes of closed segments wait for it, or for ``time`` us."""

    size: int = 20_000_000_000
    time: int = 7 * 86_400 * SECOND


class Collector:
    """Keeps readings for ``retention`` (us), by their own time, and not much longer."""

    def __init__(
        self,
        journal: Journal,
        worker: Worker,
        clock: Clock,
        retention: int,
        doors: Doors,
        hold: Hold = Hold(),
    ) -> None:
        self.segments = 0  # collected since the start
        self._journal = journal
        self._worker = worker
        self._clock = clock
        self._retention = retention
        self._doors = doors
        self._hold = hold
        self._sizes: Mapping[int, int] = {}
        self._base: Collected | None = None  # read at the first look
        self._count: SegmentCount | None = None  # of the oldest segment
        self._came_by: int | None = None  # us; all of the oldest segment did, where its own times cannot be
        self._looked = 0  # for that, when this was the newest segment
        self._gone: int | None = None  # LSN after which nothing of the oldest segment is in a store any more
        self._told = journal.appended  # the last record of an expiry is not above it
        self._segment = 0
        self._since = clock.monotonic()  # that records go to ``_segment``

    async def look(self, drive: Drive, sizes: Mapping[int, int]) -> None:
        """Do what is to be done now; ``drive`` goes through steps that block, ``sizes`` are the bytes that closed
        segments take on disk, as far as they are known. Raises what the disk, the store and the
        state file raise; then it can be called again."""
        self._sizes = sizes
        if self._base is None:
            self._base = await self._worker.run(read_collected, self._journal.directory, self._journal.files)
        self._roll_if_old()
        while not self._journal.on_disk.pinned and await self._oldest(drive, self._base):
            pass

    def _roll_if_old(self) -> None:
        journal, now = self._journal, self._clock.monotonic()
        if journal.segment != self._segment:
            self._segment, self._since = journal.segment, now
        longest = min(LONGEST_SEGMENT_SECONDS, self._retention / SECOND / SHARE)
        if now - self._since >= longest and journal.appended > journal.segment and not journal.stalled:
            self._doors.roll()

    async def _oldest(self, drive: Drive, base: Collected) -> bool:
        """Bring the oldest segment nearer to its end; whether it is collected."""
        closed = self._journal.on_disk.closed()
        if not closed:
            return False
        first, following = closed[0]
        if following <= base.lsn + 1:  # counted before, and then the hub was killed
            await self._remove(first)
            return True
        now = self._doors.now()
        before = now - self._retention
        if self._count is None:
            count = SegmentCount(base.rows)
            await drive(count.steps(self._journal.directory, self._journal.files, first, following))
            self._count = count
        newest = await self._newest(drive, self._count, following, now)
        if newest >= before or not await self._expired(following - 1, before):
            return False
        if await self._held_back(following - 1, before - newest) or self._journal.on_disk.pinned:
            return False
        self._base = Collected(following - 1, {**base.rows, **self._count.tally.rows})
        try:
            await self._worker.run(write_collected, self._journal.directory, self._journal.files, self._base)
        except BaseException:
            self._base = None  # whether it got its name is read again
            raise
        reach("collect")
        await self._remove(first)
        return True

    async def _newest(self, drive: Drive, count: SegmentCount, following: int, now: int) -> int:
        """When the newest reading of the oldest segment was, us. A time after ``now``, or before there was a hub, never
        was: it is of a clock that was ahead, or not set; and what is damaged tells none. But all of the segment came
        before a later one began."""
        if not count.damaged and (FIRST <= count.newest <= now or not count.newest):
            return count.newest
        if self._came_by is None and self._looked != self._journal.segment:
            self._looked = self._journal.segment
            firsts = [first for first in self._journal.on_disk.segments if first >= following]
            beginnings = Beginnings()
            await drive(beginnings.steps(self._journal.directory, self._journal.files, firsts, now))
            self._came_by = beginnings.time
        return now if self._came_by is None else self._came_by

    async def _expired(self, through: int, before: int) -> bool:
        """Whether nothing up to ``through`` is in a store any more, nor needed by anybody; else see to it."""
        if self._gone is None:
            cursor, readings = await self._doors.counts(through)
            if cursor < max(through, self._told) or self._journal.on_disk.pinned or self._journal.stalled:
                return False  # it may have to take out what an earlier record says: that must not be counted twice
            self._gone = self._doors.expire(through, before, readings) if readings else through
            reach("collect")
            self._told = max(self._told, self._gone)
        if self._journal.durable < self._gone:
            return False
        return min((await self._doors.cursors()).values()) >= self._gone and not self._journal.on_disk.pinned

    async def _held_back(self, through: int, since: int) -> bool:
        """Whether a mirror that has not taken all up to ``through`` is still waited for; ``since``: us that this could
        have been collected."""
        taken = {} if self._doors.mirrors is None else await self._doors.mirrors()
        cursor = min(taken.values(), default=through)
        if cursor >= through or since > self._hold.time:
            return False
        waiting = [first for first, following in self._journal.on_disk.closed() if following > cursor + 1]
        return sum(self._sizes.get(first, 0) for first in waiting) <= self._hold.size

    async def _remove(self, first: int) -> None:
        self._count = self._gone = self._came_by = None  # they are of this segment
        self._looked = 0
        await self._worker.run(self._unlink, first)
        self._journal.on_disk.collected(first)
        self.segments += 1

    def _unlink(self, first: int) -> None:
        directory, files = self._journal.directory, self._journal.files
        names = files.list(directory)
        for path in (segment_path(directory, first), archive_path(directory, first)):
            if path.name in names:
                files.remove(path)
        reach("collect")
        files.sync_directory(directory)
