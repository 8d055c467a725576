"""Drives a journal on a simulated disk: what was appended, what was told to be durable, what recovery finds."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import trio
import trio.testing

from hub.journal import Journal, Recovery
from hub.ports import InlineWorker, Worker
from tests.simulation.files import SimulatedFiles

AHEAD = 6_000  # bytes; small, so that segments are preallocated in several steps
DIRECTORY = Path("/data/journal")
INLINE = InlineWorker()


class PowerCut(Exception):
    """The machine stops here."""


@asynccontextmanager
async def running(
    files: SimulatedFiles, worker: Worker = INLINE, **options: Any
) -> AsyncIterator[tuple[Journal, Recovery]]:
    """An open journal with its loop running."""
    options.setdefault("snapshot", lambda: b"marks")
    options.setdefault("ahead_bytes", AHEAD)
    journal = Journal(DIRECTORY, files, worker, **options)
    recovery = await journal.open()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(journal.run)
        yield journal, recovery
        nursery.cancel_scope.cancel()


def simulate(function: Callable[[], Any]) -> Any:
    """Run an async function in virtual time."""
    return trio.run(function, clock=trio.testing.MockClock(autojump_threshold=0))


def reopened(files: SimulatedFiles) -> tuple[Recovery, dict[int, bytes]]:
    """What a new process finds: the recovery and its records, the snapshot among them."""

    async def find() -> tuple[Recovery, dict[int, bytes]]:
        journal = Journal(DIRECTORY, files, InlineWorker(), snapshot=lambda: b"marks")
        recovery = await journal.open()
        found = dict(recovery.records)
        if recovery.snapshot is not None:
            assert recovery.records.firsts, "a snapshot comes from a segment"
            found[recovery.records.firsts[0]] = recovery.snapshot
        return recovery, found

    result: tuple[Recovery, dict[int, bytes]] = simulate(find)
    return result


class Life:
    """One life of a journal: the payloads by LSN, and the LSN up to which durability was told."""

    def __init__(self, files: SimulatedFiles, **options: Any) -> None:
        self.files = files
        self.options = {"ahead_bytes": AHEAD, **options}
        self.appended: dict[int, bytes] = {}
        self.durable = 0

    def snapshot(self) -> bytes:
        marks = b"marks up to %d" % max(self.appended, default=0)
        if not self.appended:  # a new journal opens with them, and may be cut off while it does
            self.appended[1] = marks
        return marks

    def live(self, steps: list[int | str]) -> bool:
        """Append payloads of these sizes, ``sync`` (wait) and ``roll`` in between; whether it lived to the end."""
        lived = True
        try:
            simulate(lambda: self._live(steps))
        except* PowerCut:
            lived = False
        return lived

    async def _live(self, steps: list[int | str]) -> None:
        journal = Journal(DIRECTORY, self.files, InlineWorker(), snapshot=self.snapshot, **self.options)
        await journal.open()
        self.durable = max(self.durable, journal.durable)
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(journal.run)
                for step in steps:
                    await self._step(journal, step)
                nursery.cancel_scope.cancel()
        finally:
            self.durable = max(self.durable, journal.durable)

    async def _step(self, journal: Journal, step: int | str) -> None:
        if step == "sync":
            await journal.wait_durable(journal.appended)
        elif step == "roll":
            marks = self.snapshot()
            journal.roll()
            self.appended[journal.appended] = marks
        else:
            lsn = journal.appended + 1
            payload = b"%d:" % lsn + bytes([lsn % 256]) * int(step)
            assert journal.append(payload, lsn) == lsn
            self.appended[lsn] = payload
