"""A real journal on a simulated disk, and entries as ingest writes them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import trio
from cbor2 import dumps

from hub.journal import Journal
from hub.ports import InlineWorker
from hub.wire.codec import encode
from hub.wire.kept import Birth, Born, EpochGiven, Gap, Kept, Marked, Verdict
from hub.wire.messages import GOOD, Batch, Declared, Dropped, Malformed, Rejection, Row
from hub.wire.records import pack_born, pack_epoch, pack_gap, pack_kept, pack_marks
from tests.simulation.files import SimulatedFiles

METRICS = (Declared("flow", "m3/s", "float64"), Declared("pressure", "Pa", "float64"))
T0 = 2_000_000_000_000_000  # us; long after the release


@dataclass
class Ink:
    """Writes entries into a journal."""

    journal: Journal
    births: dict[str, Birth] = field(default_factory=dict)

    def birth(self, device: str) -> Birth:
        birth = self.births.get(device)
        if birth is None:
            lsn = self.journal.appended + 1
            birth = self.births[device] = Birth(lsn, device, "pump", METRICS, "pump 1.0")
            self.journal.append(pack_born(birth), Born(lsn, birth))
        return birth

    def keep(
        self, seq: int, body: Batch | None = None, *, device: str = "pump-1", epoch: int = 1, readings: int = 2,
        rejections: tuple[Rejection, ...] = (), through: int | None = None, received: int = T0,
    ) -> Kept:  # fmt: skip
        birth = self.birth(device)
        body = body if body is not None else Row(seq, T0 + seq, [1.5, 2.5])
        frame = dumps([2, seq, None, body.why]) if isinstance(body, Malformed) else encode(body)
        verdict = Verdict(readings, rejections, GOOD)
        kept = Kept(
            self.journal.appended + 1, birth, epoch, seq, received, 0, seq - 1, verdict, body, len(frame),
            seq if through is None else through,
        )  # fmt: skip
        self.journal.append(pack_kept(birth.id, epoch, seq, received, 0, seq - 1, verdict, frame), kept)
        return kept

    def epoch(
        self, epoch: int, previous: int | None, reason: str, device: str = "pump-1", next: int | None = None
    ) -> None:
        given = EpochGiven(self.journal.appended + 1, device, epoch, previous, reason, T0, next)
        self.journal.append(pack_epoch(given), given)

    def gap(self, first: int, last: int, *, lost: bool = False, readings: int | None = None, epoch: int = 1) -> None:
        dropped = Dropped(first, last, readings, "full")
        gap = Gap(self.journal.appended + 1, "pump-1", epoch, dropped, lost, T0, last)
        self.journal.append(pack_gap(gap), gap)

    def roll(self) -> None:
        self.journal.roll(Marked)
        self.births.clear()

    async def durable(self) -> int:
        await self.journal.wait_durable(self.journal.appended)
        return self.journal.durable


@asynccontextmanager
async def journaling(**options: Any) -> AsyncIterator[Ink]:
    """An open journal with its loop running."""
    journal = Journal(
        Path("/data/journal"), SimulatedFiles(), InlineWorker(), snapshot=lambda: pack_marks(b"marks"), **options
    )
    await journal.open()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(journal.run)
        yield Ink(journal)
        nursery.cancel_scope.cancel()
