"""What the store alone has: readings of records that are damaged in the journal. A store that is made again from the
journal does not get them back, so nobody is to do that without knowing."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from hub.followers.reader import Reader
from hub.journal import Damage, Journal
from hub.ports import Worker
from hub.store.base import Store, StoreError
from hub.upkeep.collected import CollectedError, read_collected
from hub.wire.ranges import Ranges
from hub.wire.shapes import OnlyCopyInfo

BATCH: Final = 20_000  # entries read at once
NAMED: Final = 5  # ranges of records that are told; of the rest how many there are


class LossRefused(Exception):
    """The store is not made again: what it alone has would be lost. The text says what, and what to do."""


@dataclass
class OnlyCopy:
    """The records that the journal lacks and the store has something of, and how much that is. ``unknown``: why the
    store cannot say what it has; then these are all that the journal lacks."""

    records: Ranges = field(default_factory=Ranges)
    batches: int = 0
    readings: int = 0
    unknown: str | None = None

    def __bool__(self) -> bool:
        return bool(self.records)

    def refuse(self) -> None:
        """Raise LossRefused when there is anything."""
        if not self:
            return
        if self.unknown is not None:
            what = f"whether the store has their readings, it cannot say ({self.unknown})"
        else:
            what = f"the only copy of their {self.readings} readings is in the store"
        raise LossRefused(
            f"the journal is damaged: it lacks {told(self.records)}; {what}. A store made again would be without them: "
            "leave it as it is, and copy store.duckdb and its .wal while the hub is stopped; or say --accept-loss: "
            "then the store is made again, and the file that is set aside is the only copy"
        )

    def plain(self) -> OnlyCopyInfo | None:
        """For operators; None when there is nothing."""
        if not self:
            return None
        readings = None if self.unknown is not None else self.readings
        return OnlyCopyInfo(records=[list(pair) for pair in self.records], batches=self.batches, readings=readings)


async def only_copy(journal: Journal, store: Store, worker: Worker) -> OnlyCopy:
    """Read all of the journal and ask the store for what is not there."""
    lacking = await unread(journal)
    try:
        return await worker.run(asked, store, lacking)
    except StoreError as error:
        return OnlyCopy(lacking, unknown=str(error))


async def unread(journal: Journal) -> Ranges:
    """The records that a store made again from the journal would not get. What is damaged, the journal has noticed
    afterwards."""
    with journal.on_disk.held():
        return await _unread(journal)


async def _unread(journal: Journal) -> Ranges:
    try:
        collected = await journal.reading.run(read_collected, journal.directory, journal.files)
        last = collected.lsn
    except CollectedError:
        last = 0  # the store has nothing of what was collected
    end, reader, lacking = journal.durable, Reader(journal, 0), Ranges()
    while reader.position < end:
        for entry in await reader.next(BATCH):
            lacking.add(last + 1, entry.lsn - 1)
            last = max(last, entry.lsn)
    lacking.add(last + 1, end)
    return lacking


def asked(store: Store, lacking: Ranges) -> OnlyCopy:
    """What the store has of these records. In the store's worker, or a reader's; StoreError."""
    found = OnlyCopy()
    for first, last in lacking:
        there = [readings for *_, readings in store.batches(first, last) if readings]
        if there:
            found.records.add(first, last)
            found.batches += len(there)
            found.readings += sum(there)
    return found


def damaged(damage: Iterable[Damage], oldest: int) -> Ranges:
    """The records that are missing for certain (not those that a crash left unfinished at the end) in the segments
    from the one that begins with ``oldest`` on; others have been collected."""
    records = Ranges()
    for one in damage:
        if one.last_lsn is not None:
            records.add(max(one.first_lsn, oldest), one.last_lsn)
    return records


def told(records: Ranges) -> str:
    """How many and which, in words."""
    pairs = records.pairs()
    names = ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in pairs[:NAMED])
    more = f" and {len(pairs) - NAMED} more ranges" if len(pairs) > NAMED else ""
    return f"{records.count} record{'s' * (records.count != 1)} ({names}{more})"
