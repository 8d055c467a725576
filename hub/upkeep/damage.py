"""Tells what the journal's damage means for as long as it is there: whether the store has the readings that the journal
lacks, and whether any are in neither."""

from collections.abc import Callable
from typing import Any, Final

import structlog
import trio

from hub.followers.ledger import Ledger
from hub.journal import Damage, Journal
from hub.journal.archive import open_segment
from hub.journal.segments import SegmentReader
from hub.ports import Worker
from hub.state import StateError
from hub.store.base import Store, StoreError
from hub.store.mending import MendingStore
from hub.upkeep.collected import CollectedError, read_collected
from hub.upkeep.only_copy import OnlyCopy, asked, damaged, told
from hub.wire.ranges import Ranges
from hub.wire.shapes import LedgerEntry

LOOK_SECONDS: Final = 1.0  # between two looks at what is known of the journal: no call at all while it is whole
RETRY_SECONDS: Final = 60.0  # before another look after one that failed
PIECE: Final = 512 * 1024  # bytes of a closed segment read at once: about ten milliseconds
PAUSE_SECONDS: Final = 0.1  # after each piece: 5 MB a second, a twentieth of a core
UNCHANGED_LOOKS: Final = 60  # looks between two at store and ledger where nothing has changed: they read a lot

log = structlog.get_logger(__name__)


class DamageWatch:
    """One task. What it knows of the journal is what recovery and every reader since the start have met."""

    def __init__(
        self, journal: Journal, store: Store, worker: Worker, ledger: Ledger, cursor: Callable[[], int]
    ) -> None:
        """``cursor``: the record that the store has come to."""
        self.records = Ranges()
        self.alone: OnlyCopy | None = None  # null: the store has not come to all of them
        self.unaccounted = 0  # readings that were received, and are nowhere
        self.lost = 0  # batches that are booked as lost at the hub, whatever by
        self._journal = journal
        self._store = store
        self._worker = worker
        self._ledger = ledger
        self._cursor = cursor
        self._known = 0, 0  # how much damage ``records`` is of
        self._asked: tuple[Any, ...] | None = None  # what store and ledger were asked about last
        self._told: tuple[Any, ...] = ()
        self._looks = 0
        self._kept: list[str] = []  # names of stores that were set aside and may have what is missing
        self._begins = 0, 0  # the first segment, and the oldest record that should be there

    async def run(self) -> None:
        """Until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.read_closed)
            while True:  # journal and store tell nobody
                try:
                    await self.look()
                except Exception as exc:  # the one boundary: nobody is to end for what only tells
                    log.error("what damage means cannot be told", why=str(exc))
                    await trio.sleep(RETRY_SECONDS)
                await trio.sleep(LOOK_SECONDS)

    async def read_closed(self) -> None:
        """Read the segments before the newest one once: recovery has not, where newer marks cover them. In pieces with
        pauses: it has time, and whoever takes in has none."""
        journal = self._journal
        await self._find_the_oldest()
        for first, following in journal.on_disk.closed():
            try:
                await self._read(first, following)
            except FileNotFoundError:
                continue  # collected since
            except OSError as error:
                log.error("a segment of the journal cannot be read", segment=first, why=str(error))

    async def _read(self, first: int, following: int) -> None:
        journal = self._journal
        file = await self._worker.run(open_segment, journal.directory, journal.files, first)
        reader = SegmentReader(file, first, following=following)
        try:
            while await self._worker.run(reader.read, PIECE):  # noqa: ASYNC110  (the sleep is the purpose)
                await trio.sleep(PAUSE_SECONDS)
            await self._worker.run(reader.finish)
        finally:
            reader.close()
        journal.noticed(reader.damage)

    async def look(self) -> None:
        """Ask the store, and now and then the ledger, if anything is damaged."""
        known = len(self._journal.damage), self._oldest()
        if known != self._known:
            self._known, self.records = known, damaged(self._journal.damage, known[1])
        if not self.records or self._behind():
            self.alone, self.unaccounted, self._asked = None, 0, None
            return
        self._looks += 1
        asked_of = self.records.pairs(), self._store.kept if isinstance(self._store, MendingStore) else None
        if asked_of == self._asked and self._looks % UNCHANGED_LOOKS:
            return
        try:
            if isinstance(self._store, MendingStore):
                self._kept = await self._worker.run(self._store.may_have, self.records)
            self.alone = await self._worker.run(asked, self._store, self.records)
            entries = await self._ledger.entries()
            self.unaccounted = sum(map(missing, entries))
            self.lost = sum(last - first + 1 for entry in entries for first, last in entry["lost"])
        except (StoreError, StateError, OSError) as error:
            self.alone, self._asked = OnlyCopy(self.records, unknown=str(error)), None
            return
        self._asked = asked_of
        self._tell()

    def cautions(self) -> list[str]:
        """What somebody should know, as long as there is damage."""
        if not self.records:
            return []
        text = f"the journal is damaged: it lacks {told(self.records)}"
        return [f"{text}; {self._meaning()}{self._missing()}"]

    def statistics(self) -> dict[str, int]:
        """For /metrics."""
        alone = OnlyCopy() if self.alone is None else self.alone
        return {
            "records": self.records.count, "only_copy_readings": alone.readings,
            "unaccounted_readings": self.unaccounted if self.records else 0,
        }  # fmt: skip

    async def _find_the_oldest(self) -> None:
        """What is gone before the first segment and was not collected is damage, too."""
        journal = self._journal
        first = journal.on_disk.segments[0]
        try:
            collected = await self._worker.run(read_collected, journal.directory, journal.files)
        except (CollectedError, OSError):  # whoever collects tells it
            return
        if first > collected.lsn + 1:
            self._begins = first, collected.lsn + 1
            journal.noticed([Damage(first, 0, 0, collected.lsn + 1, first - 1)])

    def _oldest(self) -> int:
        """The oldest record that has not been collected."""
        first = self._journal.on_disk.segments[0]
        return self._begins[1] if self._begins[0] == first else first

    def _behind(self) -> bool:
        """Whether the store has yet to come past the damage that is known."""
        if isinstance(self._store, MendingStore) and self._store.progress() is not None:
            return True
        return self._cursor() < (self.records.highest or 0)

    def _tell(self) -> None:
        """Once in the log for what is new."""
        state = self.records.pairs(), bool(self.alone)
        if state != self._told:
            self._told = state
            for text in self.cautions():
                log.warning("the journal is damaged", what=text)

    def _meaning(self) -> str:
        if self.alone is None:
            return "the store has not come past them yet"
        if self.alone.unknown is not None:
            return f"the store cannot say what it has of them ({self.alone.unknown})"
        if self.alone:
            return (
                f"the only copy of {self.alone.readings} readings is in the store, and 'telemetrio hub rebuild' would "
                "lose it: copy store.duckdb and its .wal while the hub is stopped"
            )
        return "the store has no readings of that"

    def _missing(self) -> str:
        """What is in none of both, as the ledger has it, and where it may be."""
        if self.alone is None:
            return ""
        if self.alone.unknown is not None:
            return self._elsewhere("a copy of what was in them")
        gone = f"; {self.unaccounted} readings that were received are in neither" if self.unaccounted else ""
        told = f"{gone}: by them 'telemetrio ledger' does not balance" if gone else ""
        if self.lost:
            told += "; 'telemetrio ledger' tells which batches were lost at the hub"
        if self.alone and not gone:
            return told
        what = "the only copy" if told else "a copy of what was in them"
        return (told or "; 'telemetrio ledger' showed no loss when this was last looked at") + self._elsewhere(what)

    def _elsewhere(self, what: str) -> str:
        """The files that may have it: those of which it is not known that they have not."""
        if not self._kept:
            return ""
        names = ", ".join(self._kept)
        if len(self._kept) == 1:
            return f"; {what} may be in a store that was set aside ({names}): keep it"
        return f"; {what} may be in one of the stores that were set aside, it is not known which ({names}): keep them"


def missing(entry: LedgerEntry) -> int:
    """Readings of an epoch that were received and are nowhere."""
    booked = entry["stored"] + entry["pending"] + sum(entry["rejected"].values()) + entry["expired"]
    return max(0, entry["received"] - booked - sum(entry["removed"].values()))
