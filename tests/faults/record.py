"""The lab's own record of what was sent and acked, kept while devices stream. ``python -m tests.faults.record DIR``
counts again from such records; their format is at the head of ``checker.py``, which does it."""

import json
import os
import random
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import trio

from devices.disk import DiskSpool
from devices.line import Settled, Stretch
from hub.client.dial import Target
from hub.wire.messages import Declared, Row
from hub.wire.ranges import Ranges
from tests.faults.checker import main, recount
from tests.faults.streaming import Counting, Fleet, RecordingSpool, numbers_in

__all__ = ["Record", "RecordedDiskSpool", "RecordedFleet", "RecordedSource", "RecordedSpool", "recount"]


class Record:
    """A file of lines. One that a killed process has left is gone on with."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("ab+", buffering=0)
        self._file.seek(0)
        whole = self._file.read().rpartition(b"\n")
        self._file.truncate(len(whole[0]) + len(whole[1]))
        self._lines = self._durable = whole[0].count(b"\n") + len(whole[1])
        self._synced: trio.Event | None = None  # set when the sync that is under way has returned

    def write(self, device: str, numbers: Sequence[int], **more: Any) -> None:
        """Put down a line; it is durable when this returns."""
        self._append({"device": device, "n": list(numbers), **more})
        os.fdatasync(self._file.fileno())

    async def write_grouped(self, device: str, numbers: Sequence[int], **more: Any) -> None:
        """The same, in one sync with the lines that others put down meanwhile."""
        self._append({"device": device, "n": list(numbers), **more})
        wanted = self._lines
        while self._durable < wanted:
            if self._synced is not None:
                await self._synced.wait()
                continue
            self._synced, upto = trio.Event(), self._lines
            try:
                await trio.to_thread.run_sync(os.fdatasync, self._file.fileno())
                self._durable = upto
            finally:
                self._synced.set()
                self._synced = None

    def end(self) -> None:
        """Nothing more is written; what was is durable."""
        self._append({"end": True})
        os.fdatasync(self._file.fileno())
        self._file.close()

    def _append(self, told: Mapping[str, Any]) -> None:
        self._lines += 1
        self._file.write(json.dumps({"line": self._lines, **told}).encode() + b"\n")


class RecordedSource(Counting):
    """Counts from ``first``, and adds a value of random bits; writes down what it measures before anybody gets it."""

    metrics = (Declared("n", "/", "int"), Declared("x", "/", "float64"))

    def __init__(self, name: str, record: Record, first: int = 0) -> None:
        super().__init__()
        self._name, self._record, self._first = name, record, first

    async def sample(self, time: int) -> Sequence[Row]:
        counted = await super().sample(time)
        numbers = [self._first + number for number in self.sent[-len(counted) :]]
        bits = [random.uniform(-1e9, 1e9) for _ in numbers]
        rows = [Row(0, row.time, [n, x]) for row, n, x in zip(counted, numbers, bits, strict=True)]
        await self._record.write_grouped(
            self._name, numbers, time=[row.time for row in rows], x=[x.hex() for x in bits]
        )
        return rows


class RecordedSpool(RecordingSpool):
    """Writes down what the hub has acked."""

    def __init__(self, name: str, record: Record) -> None:
        super().__init__()
        self._name, self._record = name, record

    async def note(self, settled: Ranges) -> None:
        before = len(self.acknowledged)
        await super().note(settled)
        if numbers := self.acknowledged[before:]:
            await self._record.write_grouped(self._name, numbers)


class RecordedDiskSpool(DiskSpool):
    """The same on disk. An ack is written down before the spool takes it in: after a kill it may be there twice."""

    name = ""
    record: Record | None = None

    async def _note(self, settled: Ranges) -> None:
        for item in [item for item in self._held if isinstance(item, Stretch)]:
            if settled.missing(item.seq, item.last).pairs() != [(item.seq, item.last)]:
                await self._load(item)
        numbers = numbers_in(self, settled)
        if numbers and self.record is not None:
            await self.record.write_grouped(self.name, numbers)

    async def settle(self, through: int) -> Settled:
        await self._note(Ranges([(1, through)]))
        return await super().settle(through)

    async def renumber(self, epoch: int, log: str, fresh: bool, settled: Ranges) -> Settled:
        await self._note(settled)
        return await super().renumber(epoch, log, fresh, settled)


class RecordedFleet(Fleet):
    """A fleet that counts, on the record in ``folder``, in the process of who asks."""

    def __init__(self, target: Target, tokens: Mapping[str, str], folder: Path) -> None:
        super().__init__(target, tokens)
        self._folder = folder
        self._records = sent, acked = Record(folder / "sent.jsonl"), Record(folder / "acked.jsonl")
        self.sources = {name: RecordedSource(name, sent) for name in tokens}
        self.spools = {name: RecordedSpool(name, acked) for name in tokens}

    def write_stored(self, stored: Mapping[str, Sequence[int]]) -> None:
        """Put down what the store holds, and end the record."""
        record = Record(self._folder / "stored.jsonl")
        for name, numbers in stored.items():
            record.write(name, numbers)
        record.end()
        self.end()

    def end(self) -> None:
        """Nothing more is sent or acked."""
        for each in self._records:
            each.end()


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
