"""What a crowd of devices writes down of itself: each sample synced before it can leave, and each ack.

Lines are those of ``record.py``, but many samples share one sync. Spools are the real ones, in memory or on disk; here
they only tell which readings an ack covered.
"""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import trio

from devices.disk import DiskSpool
from devices.line import Held, Item, Line, Numbered, Settled
from devices.spool import MemorySpool
from hub.wire.codec import decode_device
from hub.wire.messages import Row
from hub.wire.ranges import Ranges
from tests.faults.streaming import Counting

GROUP_SECONDS = 0.05  # lines of so long share a sync: thousands of devices would have the disk do nothing else


class GroupRecord:
    """A file of lines that are written and synced in groups. ``run`` has to run."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("ab", buffering=0)
        _cut_torn_line(path)
        self._lines: list[bytes] = []
        self._durable = trio.Event()

    def note(self, device: str, numbers: Sequence[int]) -> None:
        """Have it written down soon."""
        self._lines.append(json.dumps({"device": device, "n": list(numbers)}).encode() + b"\n")

    async def durable(self) -> None:
        """Return when all that has been noted is on disk."""
        if self._lines:
            await self._durable.wait()

    async def run(self) -> None:
        """Write and sync until cancelled."""
        while True:
            await trio.sleep(GROUP_SECONDS)
            if self._lines:
                await self.sync()

    async def sync(self) -> None:
        """Write and sync what has been noted so far."""
        lines, self._lines = self._lines, []
        durable, self._durable = self._durable, trio.Event()
        await trio.to_thread.run_sync(self._append, b"".join(lines))
        durable.set()

    def close(self) -> None:
        """Write what is left, and no more."""
        self._append(b"".join(self._lines))
        self._file.close()

    def _append(self, lines: bytes) -> None:
        self._file.write(lines)
        os.fdatasync(self._file.fileno())


class WitnessedSource(Counting):
    """Counts from ``start`` on, and gives out nothing that is not on record."""

    def __init__(self, name: str, record: GroupRecord, period: float, start: int = 0) -> None:
        super().__init__()
        self.period = period
        self.next = start
        self._name, self._record = name, record

    async def sample(self, time: int) -> Sequence[Row]:
        number, self.next = self.next, self.next + 1
        self._record.note(self._name, [number])
        await self._record.durable()
        return [Row(0, time, [number])]


class Witnessed(Line):
    """A line of batches that writes down which readings an ack, or a welcome, has settled."""

    _values: dict[int, Sequence[int]]  # of the batches that are held, by seq, as far as they have been seen
    _name: str
    _record: GroupRecord

    def witness(self, name: str, record: GroupRecord) -> None:
        """Before all else: whose line it is, and where to write."""
        self._values = {}
        self._name, self._record = name, record

    def passed(self) -> None:
        """What was recovered from disk is seen when it leaves."""
        item = self._held[self._passed]
        if isinstance(item, Held) and item.frame is not None and item.seq not in self._values:
            message = decode_device(item.frame)
            self._values[item.seq] = _counts(message) if isinstance(message, Row) else ()
        super().passed()

    def _add(self, message: Numbered, readings: int, at: float) -> Held:
        held = super()._add(message, readings, at)
        self._values[held.seq] = _counts(message) if isinstance(message, Row) else ()
        return held

    def _let_go(self, through: int) -> Settled:
        self._note([seq for seq in self._values if seq <= through])
        return super()._let_go(through)

    def _take_out(self, settled: Ranges) -> Settled:
        self._note([seq for seq in self._values if seq in settled])
        return super()._take_out(settled)

    def _number_from_one(self) -> None:
        before = _seqs(self._held)
        super()._number_from_one()
        self._values = {
            after: self._values[seq]
            for seq, after in zip(before, _seqs(self._held), strict=True)
            if seq in self._values
        }

    def _make_hole(self, at: int, reason: str) -> None:
        item = self._held[at]
        for seq in range(item.seq, item.last + 1):
            self._values.pop(seq, None)  # given up: its ack will not say that it is stored
        super()._make_hole(at, reason)

    def _note(self, settled: Sequence[int]) -> None:
        numbers = [number for seq in settled for number in self._values.pop(seq)]
        if numbers:
            self._record.note(self._name, numbers)


class WitnessedMemory(Witnessed, MemorySpool):
    """The spool in memory, with a witness."""


class WitnessedDisk(Witnessed, DiskSpool):
    """The spool on disk, with a witness."""


def _counts(row: Row) -> Sequence[int]:
    return [value for value in row.values if isinstance(value, int)]


def _seqs(items: Sequence[Item]) -> list[int]:
    return [seq for item in items for seq in range(item.seq, item.last + 1)]


def write_stored(folder: Path, stored: Mapping[str, Sequence[int]]) -> None:
    """Put down what the store holds."""
    record = GroupRecord(folder / "stored.jsonl")
    for name, numbers in stored.items():
        record.note(name, numbers)
    record.close()


def last_numbers(path: Path) -> dict[str, int]:
    """The highest number of each device on record."""
    last: dict[str, int] = {}
    for line in path.read_bytes().splitlines():
        told = json.loads(line)
        last[told["device"]] = max(told["n"])
    return last


def _cut_torn_line(path: Path) -> None:
    """A process that was killed may have left a line without its end: what comes next must not be part of it."""
    content = path.read_bytes()
    if not content.endswith(b"\n"):
        os.truncate(path, content.rfind(b"\n") + 1)
