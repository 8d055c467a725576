"""A line of batches of which the middle may be on disk only: fetched when it is about to be sent, or to be counted."""

import logging
from collections import deque
from pathlib import Path
from typing import Final

import trio

from devices.disk.files import RECORD_BYTES, BatchFile, Kept, SpoolFiles
from devices.disk.numbers import Numbering
from devices.line import OVERHEAD_BYTES, Held, Item, Line, Stretch, renumbered
from hub.ports import Files, Worker
from hub.wire.ranges import Ranges

RETRY_SECONDS: Final = 1.0  # after the disk has refused
FILE_BYTES: Final = 512 * 1024  # of a file of batches, or a sixteenth of the whole; what goes when the spool is full
DAMAGED: Final = "damaged on the device's disk"

log = logging.getLogger("telemetrio.devices")


class BackedLine(Line):
    """Knows in which file each batch stands, brings batches in from there, and lets those go that stand there."""

    def __init__(self, directory: Path, files: Files, worker: Worker, limit: int) -> None:
        super().__init__()
        self.trouble: str | None = None  # what the disk said last, while it refuses
        self._disk = SpoolFiles(directory, files)
        self._worker = worker
        self._limit = (
            limit  # bytes of all files of batches; a batch that is larger than what is left of one goes beyond
        )
        self._file_bytes = min(limit // 16, FILE_BYTES)
        self._numbering = Numbering()
        self._files: deque[BatchFile] = deque()
        self._given_up: list[BatchFile] = []  # full of holes; removed when these are durable
        self._writing: BatchFile | None = None
        self._opened = 0.0

    async def fetch(self) -> None:
        """Have what ``peek`` will give at hand."""
        while self._passed < len(self._held) and isinstance(item := self._held[self._passed], Stretch):
            await self._load(item)

    async def _load_partly(self, settled: Ranges) -> None:
        """Bring in the stretches of which a part is settled: how many readings that was is known only from them."""
        if not settled:
            return
        for item in [item for item in self._held if isinstance(item, Stretch)]:
            left = settled.missing(item.seq, item.last)
            if left and left.pairs() != [(item.seq, item.last)]:
                await self._load(item)

    async def _load(self, stretch: Stretch) -> None:
        file = stretch.file
        assert isinstance(file, BatchFile)
        places = self._numbering.place(stretch.seq), self._numbering.place(stretch.last)
        try:
            batches, _ = await self._worker.run(self._disk.read_batches, file.name, *places)
        except FileNotFoundError:
            batches = []
        except OSError as error:
            self._refused(error)
            await trio.sleep(RETRY_SECONDS)
            return
        at = next((at for at, item in enumerate(self._held) if item is stretch), None)
        if at is not None:  # it was neither settled nor given up meanwhile
            self._replace(at, self._items(stretch, file, batches))

    def _items(self, stretch: Stretch, file: BatchFile, batches: list[Kept]) -> list[Item]:
        """What a stretch consists of; what is not readable any more is a hole."""
        items: list[Item] = []
        wanted = stretch.seq
        for place, before, readings, at, frame in batches:
            seq = self._numbering.seq(place)
            if seq is None or not wanted <= seq <= stretch.last:
                continue
            if wanted < seq:
                items.append(self._damaged(wanted, seq - 1))
            frame = frame if seq == before else renumbered(frame, seq)
            moment = at if file.ours else self._opened
            items.append(Held(seq, seq, frame, readings, moment, sent=stretch.sent, file=file))
            wanted = seq + 1
        if wanted <= stretch.last:
            items.append(self._damaged(wanted, stretch.last))
        return items

    def _damaged(self, first: int, last: int) -> Held:
        log.error("%s: batches %d to %d are damaged", self._disk.directory, first, last)
        return Held(first, last, None, None, 0.0, DAMAGED)

    # --- letting go ------------------------------------------------------------------------------------------------

    def _let_memory_go(self) -> None:
        """Batches in files that are full are on disk only from now on, but for those that are next to be sent."""
        line: deque[Item] = deque()
        front = self._held[self._passed].file if self.unsent else None
        for at, item in enumerate(self._held):
            if at <= self._passed or isinstance(item, Stretch) or item.frame is None:
                line.append(item)
                continue
            file, before = item.file, line[-1]
            if file is None or file is self._writing or file is front:
                line.append(item)
            elif (
                isinstance(before, Stretch)
                and (before.file, before.sent, before.last + 1) == (file, item.sent, item.seq)
                and before.readings is not None
            ):
                before.last = item.last
                before.readings += item.readings or 0
            else:
                line.append(Stretch(item.seq, item.last, item.readings or 0, file, item.sent))
        self._held = line
        self._weigh()

    def _make_room(self) -> bool:
        """Give up the oldest files until there is room for another; whether some wait for their removal now."""
        while self._files and sum(file.size for file in self._files) + self._file_bytes > self._limit:
            self._give_up(self._files.popleft())
        return bool(self._given_up)

    def _give_up(self, file: BatchFile) -> None:
        """Turn all that is held of the oldest file into a hole."""
        at = 0
        while at < len(self._held):
            item = self._held[at]
            if isinstance(item, Held) and item.frame is None:
                at += 1
            elif self._numbering.place(item.seq) <= file.last:
                self._make_hole(at, "spool full")
            else:
                break
        self._given_up.append(file)

    def _collectable(self) -> list[BatchFile]:
        """Files that nothing held stands in."""
        oldest = next((item.seq for item in self._held if isinstance(item, Stretch) or item.frame), self.next)
        place = self._numbering.place(oldest)
        return [*self._given_up, *(file for file in self._files if file.last < place and file is not self._writing)]

    def _unwritten(self) -> list[Held]:
        """Batches that are in memory only; they are the newest."""
        found: list[Held] = []
        for item in reversed(self._held):
            if item.file is not None:
                break
            if isinstance(item, Held) and item.frame is not None:
                found.append(item)
        found.reverse()
        return found

    def _for_one_file(self, todo: list[Held]) -> list[Held]:
        """The oldest of them, as many as the file they go to is to hold: more than one may be written after a disk has
        refused for a while."""
        begun = 0 if self._writing is None or self._writing.size >= self._file_bytes else self._writing.size
        room = self._file_bytes - begun
        for at, held in enumerate(todo):
            room -= RECORD_BYTES + len(held.frame or b"")
            if room < 0:
                return todo[: max(at, 1)]
        return todo

    def _forget_unwritten(self, most: int) -> int:
        """The disk refuses and memory is full: the oldest of what is in memory only becomes a hole, until the rest has
        at most ``most`` bytes; how many it has."""
        waiting = self._unwritten()
        size = sum(_cost(held) for held in waiting)
        at = next((at for at, item in enumerate(self._held) if item is waiting[0]), 0)
        while size > most and at < len(self._held) - 1:
            item, before = self._held[at], len(self._held)
            if isinstance(item, Held) and item.frame is not None:
                size -= _cost(item)
                self._make_hole(at, "disk refused and memory full")
            at += len(self._held) == before  # else it was joined with the hole before it
        return size

    def _refused(self, error: OSError) -> None:
        text = f"{self._disk.directory}: the disk refuses: {error.strerror or error}"
        if text != self.trouble:
            log.error("%s", text)
        self.trouble = text

    def _obeyed(self) -> None:
        if self.trouble is not None:
            log.info("%s: the disk obeys again", self._disk.directory)
        self.trouble = None


def _cost(held: Held) -> int:
    return len(held.frame or b"") + OVERHEAD_BYTES
