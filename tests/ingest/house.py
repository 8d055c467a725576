"""Ingest with a journal on a simulated disk, a clock set by hand, and a device that keeps what is not settled."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import trio

from hub.ingest.credit import Credit
from hub.ingest.ingest import Ingest, Opening
from hub.ingest.marks import Marks
from hub.ingest.reopening import tell
from hub.journal import Journal, Recovery
from hub.model import Metric, Model, ValueType
from hub.ports import InlineWorker
from hub.wire.codec import decode_device, encode
from hub.wire.kept import Birth, Entry, Kept
from hub.wire.messages import Batch, Declared, Hello, Row
from hub.wire.records import pack_marks, unpack
from tests.journal.driving import DIRECTORY
from tests.simulation.files import SimulatedFiles

LOG = "a" * 32
NOON = 2_000_000_000_000_000  # us; a day in May 2033: no clock of a test is to be behind the release

MODEL = Model(
    "station",
    metrics={
        "temperature": Metric("temperature", "Cel", ValueType("float64"), -50, 60),
        "gust": Metric("gust", "m/s", ValueType("float32"), 0, 100),
        "count": Metric("count", "count", ValueType("int"), 0),
        "power": Metric("power", "W", ValueType("decimal", 2), -10, 10.5),
        "door": Metric("door", "", ValueType("bool")),
        "note": Metric("note", "", ValueType("text")),
    },
)
DECLARED = tuple(Declared(metric.name, metric.unit, str(metric.type)) for metric in MODEL.metrics.values())


class HandClock:
    """Goes where the test puts it."""

    def __init__(self) -> None:
        self.time = NOON

    def now(self) -> int:
        return self.time

    def monotonic(self) -> float:
        return self.time / 1e6


class House:
    """One life of a hub's ingest. ``files`` and ``clock`` outlive it."""

    def __init__(self, files: SimulatedFiles, clock: HandClock, journal: Journal, marks: Marks, credit: Credit) -> None:
        self.files, self.clock, self.journal, self.marks, self.credit = files, clock, journal, marks, credit
        self.ingest = Ingest(journal, marks, clock, credit, LOG, {"station": MODEL}.get)
        self.recovery: Recovery | None = None

    def open(self, device: str = "device", **changes: Any) -> Opening:
        return self.ingest.open(device, hello(**changes))

    async def entries(self) -> list[Entry]:
        """Everything that is in the journal, read back."""
        await self.journal.wait_durable(self.journal.appended)
        births: dict[int, Birth] = {}
        return [unpack(lsn, payload, births) async for chunk in self.journal.scan(0) for lsn, payload in chunk]

    async def kept(self) -> list[Kept]:
        return [entry for entry in await self.entries() if isinstance(entry, Kept)]


@asynccontextmanager
async def house(
    files: SimulatedFiles | None = None, clock: HandClock | None = None, credit: Credit | None = None, **options: Any
) -> AsyncIterator[House]:
    files, clock, credit = files or SimulatedFiles(), clock or HandClock(), credit or Credit(2**28, 1000)
    marks = Marks()
    journal = Journal(
        DIRECTORY, files, InlineWorker(), snapshot=lambda: pack_marks(marks.snapshot()), **options
    )  # fmt: skip
    recovery = await journal.open()
    unreadable = marks.recover(recovery)
    assert recovery.damage or not unreadable
    tell(journal, unreadable)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(journal.run)
        built = House(files, clock, journal, marks, credit)
        built.recovery = recovery
        yield built
        nursery.cancel_scope.cancel()


def hello(**changes: Any) -> Hello:
    fields: dict[str, Any] = {
        "model": "station", "epoch": None, "log": None, "acked": 0, "first": 1, "next": 1, "metrics": DECLARED,
        "time": None, "uptime": None, "software": "test", "token": None,
    }  # fmt: skip
    if changes.get("epoch") is not None:
        fields["log"] = LOG
    return Hello(**(fields | changes))


def row(seq: int, time: int | None = NOON, *values: Any) -> tuple[Batch, bytes]:
    """A batch and its frame, as the edge hands them in."""
    return framed(Row(seq, time, list(values or (20.5,))))


def framed(batch: Any) -> tuple[Batch, bytes]:
    frame = encode(batch)
    message: Any = decode_device(frame)
    return message, frame
