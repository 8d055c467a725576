"""The journal's door: append now, durable with the next group."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final

import trio

from hub.journal.errors import JournalFailed
from hub.journal.framing import HEADER_SIZE, frame, frame_run
from hub.journal.on_disk import OnDisk
from hub.journal.recovery import Recovery, recover
from hub.journal.reserve import Reserve
from hub.journal.ring import Ring
from hub.journal.scan import Scan
from hub.journal.segments import Damage, segments
from hub.journal.statistics import JournalStatistics
from hub.journal.writer import Part, SegmentWriter
from hub.ports import Files, Worker

MEBIBYTE: Final = 1024 * 1024
AHEAD_BYTES: Final = 4 * MEBIBYTE  # preallocated at once: a millisecond, and no more is held than a small disk has
LOOK_SECONDS: Final = 1.0  # between two looks at how much space is left
FULL_RETRY_SECONDS: Final = 0.25  # how soon to look whether a full disk has space again


class Journal:
    """Records with rising LSNs, in segments. ``snapshot`` packs the marks as they are at the moment it is called.

    Use: ``await open()``, then ``run()`` in a task, then the rest. Nothing may be shown, acked or applied before its
    LSN is at or below ``durable`` (P6). ``reader`` is a worker for scans, so that they do not hold up a sync.
    """

    def __init__(
        self,
        directory: Path,
        files: Files,
        worker: Worker,
        *,
        snapshot: Callable[[], bytes],
        group_seconds: float = 0.005,
        segment_bytes: int = 64 * MEBIBYTE,
        tail_bytes: int = 64 * MEBIBYTE,
        ahead_bytes: int = AHEAD_BYTES,
        reader: Worker | None = None,
        reserve: Reserve | None = None,
    ) -> None:
        self.directory = directory
        self.files = files
        self.reading = reader or worker
        self.appended = 0
        self.durable = 0
        self.segment = 0  # its first LSN; where the next record goes
        self.stalled = False  # the disk is full: nothing becomes durable until there is space
        self.on_disk = OnDisk()
        self.damage: list[Damage] = []
        self._worker = worker
        self._snapshot = snapshot
        self._reserve = reserve
        self._group_seconds = group_seconds
        self._segment_bytes = segment_bytes
        self._writer = SegmentWriter(directory, files, ahead=ahead_bytes, segment_bytes=segment_bytes)
        self._ring = Ring(tail_bytes, 1)
        self._segment_size = 0  # bytes, of ``segment``
        self._pieces: list[bytes] = []  # what goes to ``segment`` next
        self._parts: list[Part] = []  # what goes before that
        self._wanted = trio.Event()
        self._moved = trio.Event()
        self._failure: JournalFailed | None = None
        self._bytes = self._cut_bytes = self._written_bytes = self._syncs = 0
        self._sync_seconds = 0.0

    async def open(self) -> Recovery:
        """Recover, or begin a journal where there is none; OSError when the disk does not let it. Comes first."""
        recovery, lowest = await self._worker.run(self._recover)
        self.appended = self.durable = lowest - 1
        self.damage = list(recovery.damage)
        if self.on_disk.segments:
            self.segment = self.on_disk.segments[-1]
            self.on_disk.newest_size = self._segment_size = await self._worker.run(self._writer.resume, self.segment)
        else:
            self.roll()
            await self._write()
            if self.stalled:
                raise OSError(f"no space for a journal in {self.directory}: make space, then start again")
        self._ring.restart(self.appended + 1)
        if not await self._space_again():
            self._stall()
        return recovery

    def _recover(self) -> tuple[Recovery, int]:
        self.files.make_directory(self.directory)
        self.files.sync_directory(self.directory.parent)
        found = recover(self.directory, self.files)
        self.on_disk.segments = segments(self.directory, self.files)
        return found

    def skip_to(self, lsn: int) -> None:
        """Give no LSN up to ``lsn`` any more: a store's cursor is there, beyond the journal's end (P10). Only between
        ``open`` and the first record."""
        if lsn > self.appended:
            self.appended = self.durable = lsn
            self._ring.restart(lsn + 1)

    # --- appending ----------------------------------------------------------------------------------------------

    def append(self, payload: bytes, companion: object) -> int:
        """Put a record behind the others; its LSN. It is durable once ``durable`` has come to it. ``companion`` is
        what followers at the tail get. Raises JournalFailed after the disk has failed."""
        if self._failure is not None:
            raise self._failure
        self.appended = lsn = self.appended + 1
        header, stored = frame(lsn, payload)
        pieces = self._pieces
        pieces.append(header)
        pieces.append(stored)
        size = HEADER_SIZE + len(stored)
        self._segment_size += size
        self._bytes += size
        self._ring.add(companion, size)
        if not self._wanted.is_set():
            self._wanted.set()
        return lsn

    def append_run(self, payloads: Sequence[bytes], companions: Sequence[object]) -> None:
        """``append`` for many at once."""
        if self._failure is not None:
            raise self._failure
        framed = frame_run(self.appended + 1, payloads)
        if framed is None:
            for payload, companion in zip(payloads, companions, strict=True):
                self.append(payload, companion)
            return
        data, size = framed
        self.appended += len(payloads)
        self._pieces.append(data)
        self._segment_size += len(data)
        self._bytes += len(data)
        self._ring.add_run(companions, size)
        if not self._wanted.is_set():
            self._wanted.set()

    @property
    def full(self) -> bool:
        """The segment has reached its size: roll before the next record."""
        return self._segment_size >= self._segment_bytes

    def roll(self, companion: Callable[[int], object] = lambda lsn: None) -> None:
        """Begin the next segment with the marks as they are now. ``companion`` makes the companion of that record."""
        self._cut()
        self.segment = self.appended + 1
        self._segment_size = 0
        lsn = self.append(self._snapshot(), companion(self.segment))
        self._part(lsn, opens=True)

    def _cut(self) -> None:
        """Close the part that is being filled."""
        if self._pieces:
            self._part(self.appended)

    def _part(self, last: int, *, opens: bool = False) -> None:
        size, self._cut_bytes = self._bytes - self._cut_bytes, self._bytes
        self._parts.append(Part(self.segment, self._pieces, last, size, opens))
        self._pieces = []

    # --- becoming durable ---------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Make durable what is appended, one group at most every ``group_seconds``, until cancelled. Raises
        JournalFailed when the disk fails; then every waiter and every further append does, too."""
        while True:
            await self._wanted.wait()
            self._wanted = trio.Event()
            if self.stalled and not await self._space_again():
                self._wanted.set()
                await trio.sleep(FULL_RETRY_SECONDS)
                continue
            began = trio.current_time()
            await self._write()
            took = self._sync_seconds = trio.current_time() - began
            if self.stalled:
                self._wanted.set()
                await trio.sleep(FULL_RETRY_SECONDS)
            elif took < self._group_seconds:
                await trio.sleep(self._group_seconds - took)

    async def watch(self) -> None:
        """Look after the space that is left, until cancelled: where state and store might fail to commit for want of
        it, stop what fills the disk, and give them the reserve."""
        while self._reserve is not None:
            await trio.sleep(LOOK_SECONDS)
            if not self.stalled and await self._worker.run(self._reserve.short):
                # Before a group that is on its way to the worker ends: it would find the reserve held, and no stall.
                self._reserve.held = False
                self._stall()
                await self._worker.run(self._reserve.give_up)

    def _stall(self) -> None:
        self.stalled = True
        self._wanted.set()
        self._tell()

    def _tell(self) -> None:
        """Whoever waits looks again."""
        moved, self._moved = self._moved, trio.Event()
        moved.set()

    async def _space_again(self) -> bool:
        """Whether the reserve is held (again): only then anything becomes durable."""
        return self._reserve is None or await self._worker.run(self._reserve.take_back)

    async def _write(self) -> None:
        """One group: write and sync what is there. On a full disk all that was not written stays, in order."""
        self._cut()
        group = self._parts.copy()
        try:
            done, full, size = await self._worker.run(self._writer.write, group)
        except JournalFailed as failure:
            self._failure = failure
            self._moved.set()
            raise
        del self._parts[:done]
        if full and self._reserve is not None:
            await self._worker.run(self._reserve.give_up)
        self.stalled = full or (self.stalled and self._reserve is not None and not self._reserve.held)
        self._syncs += 1
        for part in group[:done]:
            if part.opens:
                self.on_disk.segments.append(part.segment)
            self.durable = self._ring.durable = part.last
        if done:
            self.on_disk.newest_size = size
            self._written_bytes += sum(part.size for part in group[:done])
        self._tell()

    async def wait_durable(self, lsn: int) -> None:
        """Until the record ``lsn`` is durable; JournalFailed when it never will be."""
        while self.durable < lsn:
            if self._failure is not None:
                raise self._failure
            await self._moved.wait()

    async def flush(self) -> bool:
        """Until all that is appended now is durable, or the disk turns out to be full: then False. JournalFailed as
        above."""
        lsn = self.appended
        while self.durable < lsn and not self.stalled:
            if self._failure is not None:
                raise self._failure
            await self._moved.wait()
        return self.durable >= lsn

    async def wait_beyond(self, lsn: int) -> int:
        """Until a record after ``lsn`` is durable; the durable LSN."""
        await self.wait_durable(lsn + 1)
        return self.durable

    # --- reading ------------------------------------------------------------------------------------------------

    def tail(self, after: int, limit: int, max_bytes: int = 4 * MEBIBYTE) -> list[object] | None:
        """Durable companions after the LSN ``after``, one for each LSN: at most ``limit``, of about ``max_bytes``; None
        when memory no longer has all of them: ``scan`` then."""
        return self._ring.take(after, limit, max_bytes)

    def scan(self, after: int, max_bytes: int = 4 * MEBIBYTE) -> Scan:
        """Iterate (``async for``) over chunks of about ``max_bytes``: lists of durable ``(lsn, payload)`` from the
        start of the segment that has the record after ``after``. Ignore those up to it, but read their births."""
        return Scan(self, after, max_bytes)

    def noticed(self, damage: Iterable[Damage]) -> None:
        """A reader met damage."""
        known = set(self.damage)
        self.damage.extend(found for found in damage if found not in known)

    def statistics(self) -> JournalStatistics:
        """How things stand."""
        return JournalStatistics(
            self.appended, self.durable, self.segment, len(self.on_disk.segments), self._bytes,
            self._bytes - self._written_bytes, self._syncs, self._sync_seconds, self._ring.size, len(self.damage),
            self.stalled, self._failure is not None,
        )  # fmt: skip

    async def close(self) -> None:
        """Let go of the file. Cancel ``run`` first, after ``flush`` if all is to be kept."""
        await self._worker.run(self._writer.close)
