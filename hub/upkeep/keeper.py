"""The keeper of the journal's files: archives closed segments and has old ones collected, in nobody's way."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import trio

from hub.journal import Journal
from hub.journal.archive import archive_path
from hub.journal.archiving import archive_segment
from hub.journal.segments import segment_path
from hub.ports import Worker
from hub.upkeep.collector import Collector

LOOK_SECONDS: Final = 1.0  # between two looks at what is to be done
RETRY_SECONDS: Final = (1.0, 60.0)  # first and longest wait after the disk has failed
BLOCKS_AT_ONCE: Final = 8  # of 64 KiB, in one call of the worker: about ten milliseconds


@dataclass(frozen=True)
class KeeperStatistics:
    """Counters since the start, and what is on disk; bytes."""

    journal_bytes: int  # of plain segments, but for the one that is written
    archive_bytes: int
    segments_archived: int
    segments_collected: int
    failures: int


class Keeper:
    """One task. ``problem``: why it cannot do its work now, null while all is well; it is tried again. Nothing is lost
    by that, but the disk fills sooner."""

    def __init__(
        self,
        journal: Journal,
        worker: Worker,
        failed: Callable[[Exception], None] = lambda exc: None,
        collector: Collector | None = None,
        noted: Callable[[], None] = lambda: None,
    ) -> None:
        """``failed`` is told the first of a row of failures, for the log; ``noted`` is called at every look, to write
        down what has to be from time to time."""
        self.problem: str | None = None
        self._journal = journal
        self._worker = worker
        self._failed = failed
        self._collector = collector
        self._noted = noted
        self._sizes: dict[int, tuple[int, bool]] = {}  # of closed segments: bytes on disk, whether archived
        self._archived = self._failures = 0

    async def run(self) -> None:
        """Until cancelled."""
        wait = RETRY_SECONDS[0]
        while True:
            try:
                await self.look()
            except Exception as exc:  # the one boundary: disk, store and state each have their own
                self._failures += 1
                if self.problem is None:
                    self._failed(exc)
                self.problem = f"segments of the journal cannot be archived or collected: {exc}; it is tried again"
                await trio.sleep(wait)
                wait = min(wait * 2, RETRY_SECONDS[1])
            else:
                self.problem, wait = None, RETRY_SECONDS[0]
                await trio.sleep(LOOK_SECONDS)

    async def look(self) -> None:
        """Do what is to be done now; raises what keeps it from that."""
        self._noted()
        if self._collector is not None:
            await self._collector.look(self._drive, {first: size for first, (size, _) in self._sizes.items()})
        there = self._journal.on_disk.closed()
        self._sizes = {first: self._sizes[first] for first, _ in there if first in self._sizes}
        for first, following in there:
            if first not in self._sizes or not self._sizes[first][1]:
                if await self._worker.run(self._plain, first):
                    await self._drive(archive_segment(self._journal.directory, self._journal.files, first, following))
                    self._archived += 1
                await self._worker.run(self._measure, first)

    def statistics(self) -> KeeperStatistics:
        """How things stand."""
        plain = sum(size for size, archived in self._sizes.values() if not archived)
        archive = sum(size for size, archived in self._sizes.values() if archived)
        collected = 0 if self._collector is None else self._collector.segments
        return KeeperStatistics(plain, archive, self._archived, collected, self._failures)

    async def _drive(self, steps: Iterator[Any]) -> None:
        """Go through steps that block, and leave the processor to others for as long as they took."""
        more = True
        while more:
            began = trio.current_time()
            more = await self._worker.run(_some, steps)
            await trio.sleep(trio.current_time() - began)

    # --- in the worker ------------------------------------------------------------------------------------------

    def _plain(self, first: int) -> bool:
        path = segment_path(self._journal.directory, first)
        return path.name in self._journal.files.list(path.parent)

    def _measure(self, first: int) -> None:
        directory, files = self._journal.directory, self._journal.files
        names = files.list(directory)
        for path, archived in ((segment_path(directory, first), False), (archive_path(directory, first), True)):
            if path.name in names:
                file = files.open(path)
                self._sizes[first] = file.size(), archived
                file.close()
                return


def _some(steps: Iterator[Any]) -> bool:
    """A few steps; whether there are more."""
    return sum(1 for _ in zip(range(BLOCKS_AT_ONCE), steps, strict=False)) == BLOCKS_AT_ONCE
