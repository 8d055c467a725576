"""The rooms of ``keeping`` with a DuckDB store on the disk, and what makes it again."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from hub.disk import DiskFiles
from hub.ports import InlineWorker
from hub.store.aside import all_aside
from hub.store.duck import DuckStore
from hub.store.mending import MendingStore
from hub.upkeep.damage import DamageWatch
from hub.upkeep.mend import Mender
from tests.simulation.files import SimulatedFiles
from tests.upkeep.keeping import HandClock, Keeping, keeping


class Life:
    """See the module."""

    def __init__(self, rooms: Keeping, store: MendingStore, duck: Path) -> None:
        self.rooms, self.store, self.duck = rooms, store, duck
        self.mender = Mender(store, InlineWorker(), InlineWorker(), rooms.ledger, rooms.followers, rooms.journal)
        self.watch = DamageWatch(
            rooms.journal, store, InlineWorker(), rooms.ledger, lambda: rooms.followers.cursor(store.name)
        )

    def readings(self) -> int:
        return sum(readings for _, readings in self.store.stored(1 << 62).rows())

    def set_aside(self) -> list[str]:
        """The stores that were, oldest first."""
        return [aside.name for aside in all_aside(self.duck)]

    async def renewed(self) -> None:
        await self.rooms.settled()
        assert self.store.progress() is None


@asynccontextmanager
async def life(files: SimulatedFiles, path: Path, clock: HandClock | None = None) -> AsyncIterator[Life]:
    duck, clock = path / "store.duckdb", clock or HandClock()
    store = MendingStore(duck, lambda: DuckStore(duck), DiskFiles(), clock, lambda why, kept: None)
    store.open()
    try:
        async with keeping(files, path, clock=clock, store=store) as rooms:
            store.end = lambda: rooms.journal.durable
            yield Life(rooms, store, duck)
    finally:
        store.close()


async def written(files: SimulatedFiles, path: Path) -> None:
    """A life with five batches of two readings, all in the newest segment."""
    async with life(files, path) as first:
        for seq in range(1, 6):
            first.rooms.ink.keep(seq)
        await first.rooms.settled()
