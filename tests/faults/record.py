"""The lab's own record of what was sent, acked and stored, and the comparison. ``python -m tests.faults.record DIR``.

Each line of ``sent.jsonl`` and ``acked.jsonl`` is ``{"device": NAME, "n": [NUMBER, ...]}``: the readings of one sample,
written and synced before it can leave, and those that one ack covered. ``stored.jsonl`` has what the store held in the
end, one line for each device, numbers as often as they are stored. A last line that a kill cut short says nothing.
"""

import json
import os
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from hub.client.dial import Target
from hub.wire.messages import Row
from hub.wire.ranges import Ranges
from tests.faults.streaming import Counting, Fleet, RecordingSpool


class Record:
    """A file of lines, each durable when ``write`` returns."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("ab", buffering=0)

    def write(self, device: str, numbers: Sequence[int]) -> None:
        self._file.write(json.dumps({"device": device, "n": list(numbers)}).encode() + b"\n")
        os.fdatasync(self._file.fileno())


class RecordedSource(Counting):
    """Writes down what it measures before anybody gets it."""

    def __init__(self, name: str, record: Record) -> None:
        super().__init__()
        self._name, self._record = name, record

    async def sample(self, time: int) -> Sequence[Row]:
        rows = await super().sample(time)
        self._record.write(self._name, self.sent[-len(rows) :])
        return rows


class RecordedSpool(RecordingSpool):
    """Writes down what the hub has acked."""

    def __init__(self, name: str, record: Record) -> None:
        super().__init__()
        self._name, self._record = name, record

    def _note(self, settled: Ranges) -> None:
        before = len(self.acknowledged)
        super()._note(settled)
        if len(self.acknowledged) > before:
            self._record.write(self._name, self.acknowledged[before:])


class RecordedFleet(Fleet):
    """A fleet that counts, on the record in ``folder``."""

    def __init__(self, target: Target, tokens: Mapping[str, str], folder: Path) -> None:
        super().__init__(target, tokens)
        self._folder = folder
        sent, acked = Record(folder / "sent.jsonl"), Record(folder / "acked.jsonl")
        self.sources = {name: RecordedSource(name, sent) for name in tokens}
        self.spools = {name: RecordedSpool(name, acked) for name in tokens}

    def write_stored(self, stored: Mapping[str, Sequence[int]]) -> None:
        """Put down what the store holds."""
        record = Record(self._folder / "stored.jsonl")
        for name, numbers in stored.items():
            record.write(name, numbers)


def recount(folder: Path) -> dict[str, int]:
    """Compare the sets on record; counts of readings."""
    sent, acked, stored = (Counter(_readings(folder / f"{name}.jsonl")) for name in ("sent", "acked", "stored"))
    return {
        "sent": len(sent),
        "acked": len(acked),
        "stored": stored.total(),
        "lost": len(acked.keys() - stored.keys()),
        "duplicated": stored.total() - len(stored),
        "invented": len(stored.keys() - sent.keys()),
    }


def _readings(path: Path) -> Iterator[tuple[str, int]]:
    for line in path.read_bytes().splitlines(keepends=True):
        if line.endswith(b"\n"):
            told = json.loads(line)
            yield from ((told["device"], number) for number in told["n"])


if __name__ == "__main__":
    for found in sorted(Path(sys.argv[1]).rglob("stored.jsonl")):
        print(found.parent.name, json.dumps(recount(found.parent)))
