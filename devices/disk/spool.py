"""The spool on disk: what a device has measured survives its own death, and no number is ever used twice (P3).

Live batches leave from memory at once, because their numbers are reserved on disk before. Behind them, a group at a
time, those that are still not acked are written; so a hub that acks quickly costs the disk next to nothing. What was in
neither place when the device died becomes a hole, which is declared.
"""

import errno
import math
from collections import deque
from pathlib import Path
from typing import Final

import trio

from devices.disk.backing import RETRY_SECONDS, BackedLine, log
from devices.disk.files import BatchFile, Kept, pack_batch
from devices.disk.numbers import Hole, Numbers
from devices.disk.recovery import MOST_AHEAD, recover
from devices.line import OVERHEAD_BYTES, Held, Numbered, Settled, Stretch
from devices.spool import SpoolError
from hub.ports import Files, Worker
from hub.wire.ranges import Ranges

FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})  # the file ends where it ended before
DISK_BYTES: Final = 64 * 1024 * 1024  # a row a second for five days
MEMORY_BYTES: Final = 4 * 1024 * 1024  # of batches that could not be written yet
WRITE_SECONDS: Final = 0.05  # a batch that is not acked by then is written: what a crash may cost
ACK_SECONDS: Final = 1.0  # an ack is written by then, and numbers are reserved for what comes next
LEAST_AHEAD: Final = 16  # numbers that are reserved ahead; a crash makes a hole of those not used


class DiskSpool(BackedLine):
    """A spool in a directory of its own, bounded by bytes: the oldest file of batches goes when it is full.

    ``run`` has to run while it is in use. A disk that refuses is tried again: meanwhile the newest batches wait in
    memory, and nothing leaves whose number could not be reserved.
    """

    def __init__(self, directory: Path, files: Files, worker: Worker, limit: int = DISK_BYTES) -> None:
        super().__init__(directory, files, worker, limit)
        self.found = 0
        self._most_unwritten = min(limit, MEMORY_BYTES)
        self._above = Ranges()  # above acked, held by the hub
        self._reserved = 0  # numbers up to it may leave
        self._next_then = 1  # ``next`` when numbers were reserved last
        self._is_open = False
        self._unwritten_bytes = 0  # at most; exact after each write
        self._generation = 0  # of the numbering
        self._changes = self._durable = 0  # of what must be durable before something else happens
        self._batches_due = self._numbers_due = math.inf
        self._woken = trio.Event()
        self._written = trio.Event()

    async def open(self) -> None:
        """Take the directory and find out what is there. Raises SpoolError."""
        where = self._disk.directory
        try:
            await self._worker.run(self._disk.lock)
            found = await self._worker.run(recover, self._disk)
            await self._worker.run(self._disk.save_numbers, found.numbers)
        except BlockingIOError:
            raise SpoolError(f"{where} is in use by another process; each device needs a spool of its own") from None
        except OSError as error:
            raise SpoolError(f"cannot use the spool {where}: {error.strerror or error}") from error
        except ValueError as error:
            raise SpoolError(f"cannot read the spool {where}: {error}; use the version that wrote it") from error
        numbers = found.numbers
        self.epoch, self.log, self.acked = numbers.epoch, numbers.log, numbers.acked
        self._above, self._numbering = Ranges(numbers.held), numbers.numbering
        self._reserved, self.suspect = numbers.reserved, numbers.suspect
        self.next = self._next_then = numbers.reserved + 1
        self._held, self._files = deque(found.line), deque(found.files)
        self.found, self._opened = found.readings, trio.current_time()
        self._is_open = True
        for name in found.damaged:
            log.warning("%s: not all of %s is intact", where, name)

    async def run(self) -> None:
        """Write behind until cancelled."""
        while True:
            due = min(self._batches_due, self._numbers_due)
            if trio.current_time() < due:
                with trio.move_on_at(due):
                    await self._woken.wait()
                self._woken = trio.Event()
                continue
            if trio.current_time() >= self._batches_due:
                await self._write_batches()
            if trio.current_time() >= self._numbers_due:
                await self._write_numbers()

    async def close(self) -> None:
        """Write all that is held and let go of the directory. When ``run`` has ended."""
        if self._is_open:
            self._is_open = False
            self._batches_due = trio.current_time()
            while self._batches_due <= trio.current_time():
                await self._write_batches()
            await self._write_numbers(last=True)
        await self._worker.run(self._disk.close)

    # --- the device's side -----------------------------------------------------------------------------------------

    def append(self, message: Numbered, readings: int, at: float) -> Held:
        held = self._add(message, readings, at)
        if self._batches_due == math.inf:
            self._batches_due = trio.current_time() + WRITE_SECONDS
            self._woken.set()
        self._unwritten_bytes += len(held.frame or b"") + OVERHEAD_BYTES
        if self._unwritten_bytes > self._most_unwritten:
            self._unwritten_bytes = self._forget_unwritten(self._most_unwritten * 7 // 8)
        return held

    async def flush(self) -> None:
        wanted, generation = self.next, self._generation
        while (waiting := self._unwritten()) and waiting[0].seq < wanted and generation == self._generation:
            self._batches_due = trio.current_time()
            self._woken.set()
            await self._written.wait()

    @property
    def ready(self) -> bool:
        held = self.peek()
        return held is not None and held.last <= self._reserved

    async def spend(self, held: Held) -> None:
        while held.last > self._reserved:
            self._soon(0.0)
            await self._written.wait()

    async def settle(self, through: int) -> Settled:
        for item in self._held:
            if isinstance(item, Stretch) and item.seq <= through < item.last:
                await self._load(item)  # how many readings are settled is known only from the file
            if item.last >= through:
                break
        settled = self._let_go(through)
        self._soon(ACK_SECONDS)
        return settled

    async def renumber(self, epoch: int, log: str, fresh: bool, settled: Ranges) -> Settled:
        await self._load_partly(settled)
        gone = self._take_out(settled)
        self._above = settled.copy()
        if fresh:
            kept = [(item.seq, item.last) for item in self._held]
            self._numbering = self._numbering.from_one(kept, self.next)
            self._number_from_one()
            self._above, self._reserved, self._next_then = Ranges(), 0, self.next
        if fresh or (epoch, log) != (self.epoch, self.log):
            self.epoch, self.log = epoch, log
            await self._changed()
        return gone

    async def forget_epoch(self) -> None:
        self.epoch = self.log = None
        self.acked, self._above, self._reserved = 0, Ranges(), 0
        await self._changed()

    def suspected(self, at: tuple[int, int] | None) -> None:
        if at != self.suspect:
            self._soon(0.0)
        super().suspected(at)

    def set_aside(self, through: int, reason: str) -> bool:
        self._soon(ACK_SECONDS)
        return super().set_aside(through, reason)

    # --- writing ---------------------------------------------------------------------------------------------------

    def _soon(self, seconds: float) -> None:
        """Have the numbers written in so many seconds at most."""
        due = trio.current_time() + seconds
        if due < self._numbers_due:
            self._numbers_due = due
            self._woken.set()

    async def _changed(self) -> None:
        """Return when the numbers as they are now are durable."""
        self._generation += 1
        self._changes += 1
        wanted = self._changes
        while self._durable < wanted:
            self._soon(0.0)
            await self._written.wait()

    async def _write_numbers(self, *, last: bool = False) -> None:
        try:
            await self._save_numbers(last=last)
        except OSError as error:
            self._refused(error)

    async def _save_numbers(self, *, last: bool = False) -> None:
        """Make the numbers durable, and remove the files that nothing held stands in any more. OSError: tried again."""
        self._numbers_due = math.inf
        changes, generation = self._changes, self._generation
        numbers = self._numbers(self.next - 1 if last else self._reservation())
        done = self._collectable()
        try:
            await self._worker.run(self._disk.save_numbers, numbers)
            if done:
                await self._worker.run(self._disk.remove, [file.name for file in done])
        except OSError:
            self._soon(RETRY_SECONDS)
            raise
        self._files = deque(file for file in self._files if file not in done)
        self._given_up = [file for file in self._given_up if file not in done]
        self._obeyed()
        self._durable = changes
        if generation == self._generation:
            self._reserved = numbers.reserved
        self._tell()

    def _tell(self) -> None:
        """Something has been written: those who wait look again."""
        self._written.set()
        self._written = trio.Event()

    def _reservation(self) -> int:
        """Up to where numbers shall be reserved. Never less than before: what is reserved may leave at any moment."""
        if self.epoch is None:
            return 0
        used, self._next_then = self.next - self._next_then, self.next
        ahead = min(max(LEAST_AHEAD, 2 * used), MOST_AHEAD)
        return max(self._reserved, self.next - 1 + ahead)

    def _numbers(self, reserved: int) -> Numbers:
        self._above.remove(1, self.acked)
        self._numbering = self._numbering.without(min(self.acked, self.first - 1))
        holes = tuple(Hole(hole.seq, hole.last, hole.readings, hole.reason) for hole in self._holes())
        above = tuple(self._above.pairs())
        return Numbers(self.epoch, self.log, self.acked, reserved, above, self._numbering, holes, self.suspect)

    async def _write_batches(self) -> None:
        self._batches_due = math.inf
        todo = self._unwritten()
        self._unwritten_bytes = sum(len(held.frame or b"") + OVERHEAD_BYTES for held in todo)
        if not todo:
            return
        some = self._for_one_file(todo)
        batches = [
            Kept(self._numbering.place(held.seq), held.seq, held.readings or 0, held.at, held.frame or b"")
            for held in some
        ]
        try:
            file = await self._file(batches[0].place)
            packed = [pack_batch(batch) for batch in batches]
            file.size = await self._worker.run(lambda: self._disk.append_batches(packed, fresh=not file.last))
        except OSError as error:
            self._refused(error)
            if error.errno not in FULL:
                self._writing = None  # what it has from here on is not to be trusted: go on in another
            self._batches_due = trio.current_time() + RETRY_SECONDS
            return
        file.last = batches[-1].place
        for held in some:
            held.file = file
        if len(some) < len(todo):
            self._batches_due = trio.current_time()
        self._obeyed()
        self._tell()

    async def _file(self, place: int) -> BatchFile:
        """The file to write to. Where there is no room for another, the oldest are given up, and gone before
        it is made: while no ack comes, nothing else has them removed."""
        if self._writing is None or self._writing.size >= self._file_bytes:
            self._writing = None
            self._let_memory_go()
            if self._files and self._files[-1].ours and not self._files[-1].last:  # nothing in it was ever durable
                await self._worker.run(self._disk.remove, [self._files.pop().name])
            if self._make_room():
                await self._save_numbers()
            name = await self._worker.run(self._disk.begin_batches, place)
            self._writing = BatchFile(name, ours=True)
            self._files.append(self._writing)
        return self._writing
