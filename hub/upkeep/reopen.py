"""What is damaged above the store's cursor is open again (P10), at the start, before anybody says hello.

Three know of a batch: the journal's records, the store, and the account. Where its record is damaged, and the store has
its readings, or had come past it and the account put them into quarantine, it is settled: it would be counted twice.
Where the store has not come to it, it is not here any more: marks and account forget it, and it is sent again, or
booked as lost with the hello that shows that nobody has it.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Final

import structlog

from hub.followers.tally import Key
from hub.ingest.marks import Marks, Numbering
from hub.ingest.reopening import reconsider
from hub.journal import Journal, Search, look_back, records_after
from hub.journal.segments import MAX_LSN, Damage
from hub.ports import Worker
from hub.state import AccountRow, State
from hub.store.base import Store, StoreError
from hub.wire.kept import Birth, Kept, Marked
from hub.wire.ranges import Ranges
from hub.wire.records import RecordError, is_birth, unpack_with

log: Final = structlog.get_logger(__name__)


@dataclass
class _Lost:
    """Records that are missing, and the batches in them that are settled all the same: readings by seq, by device and
    epoch, of which the store has these and quarantine those."""

    ranges: list[tuple[int, int]]
    stored: dict[Key, dict[int, int]] = field(default_factory=dict)
    rejected: dict[Key, dict[int, int]] = field(default_factory=dict)

    def settle(self, marks: Marks) -> None:
        """The marks have them, and count them where they did not."""
        for key in self.stored.keys() | self.rejected.keys():
            numbering = marks.of(key[0]).numbering(key[1])
            if numbering is None:
                continue
            stored, rejected = self.stored.get(key, {}), self.rejected.get(key, {})
            for seq in sorted(stored.keys() | rejected.keys()):
                if seq not in numbering:
                    numbering.settle(seq, seq)
                    numbering.readings += stored.get(seq, 0) + rejected.get(seq, 0)
                    numbering.rejected += rejected.get(seq, 0)


async def reopen(
    journal: Journal, marks: Marks, store: Store, store_worker: Worker, state: State, state_worker: Worker
) -> None:
    """Bring marks and account to what is here. Comes after ``Marks.recover`` and before the first hello."""
    try:
        cursor = await store_worker.run(store.open)
        older = await journal.reading.run(look_back, journal.directory, journal.files, cursor)
        lost = _Lost(_ranges([*journal.damage, *(() if older is None else older.damage)]))
        await store_worker.run(_ask, store, lost)
    except StoreError as error:
        log.error("the store cannot be asked what it has: what was booked is not asked for again", why=str(error))
        await state_worker.run(_settle_booked, marks, state)
        return
    if older is not None:
        for record in await journal.reading.run(reconsider, marks, older):
            log.error("a record of the journal cannot be understood", lsn=record.lsn, why=record.why)
        for damage in older.damage:
            log.error("the journal is damaged, before its newest marks", **asdict(damage))
        journal.noticed(older.damage)
    if not lost.ranges:
        return
    booked = await state_worker.run(_recall, state, lost, cursor)  # what lies above it, nobody has to forget
    lost.settle(marks)
    beyond = any(last > cursor and first <= booked for first, last in lost.ranges)
    await state_worker.run(_forget, journal, marks, state, lost, beyond)
    if older is not None:
        # From now on the newest marks are these: the store may come past the damage before the device says hello.
        journal.roll(Marked)


def _ranges(damage: Sequence[Damage]) -> list[tuple[int, int]]:
    found = ((one.first_lsn, MAX_LSN if one.last_lsn is None else one.last_lsn) for one in damage)
    return [(first, last) for first, last in found if last >= first]


def _ask(store: Store, lost: _Lost) -> None:
    for first, last in lost.ranges:
        for device, epoch, seq, readings in store.batches(first, last):
            lost.stored.setdefault((device, epoch), {})[seq] = readings


def _recall(state: State, lost: _Lost, cursor: int) -> int:
    """What the account knows of them; how far it had come. What the store has and the account had not come to is booked
    now: it cannot read these records any more."""
    for first, last in lost.ranges:
        for each in state.quarantine.of_records(first, min(last, cursor)):
            counts = lost.rejected.setdefault((each.device, each.epoch), {})
            counts[each.seq] = counts.get(each.seq, 0) + 1
    rows: list[AccountRow] = []
    for key, stored in lost.stored.items():
        row = state.account.get(*key) or AccountRow(*key)
        fresh = {seq: readings for seq, readings in stored.items() if seq not in row.kept}
        for seq, readings in fresh.items():
            row.kept.add(seq, seq)
            row.received += readings
            row.highest = max(row.highest, seq)
        if fresh:
            rows.append(row)
    with state.transaction():
        state.account.save(rows)
    return state.cursors.get("account")


def _settle_booked(marks: Marks, state: State) -> None:
    """Nothing is open that the account has: the store may have it, too, and would have it twice."""
    for row in state.account.open():
        numbering = marks.of(row.device).numbering(row.epoch)
        if numbering is not None:
            _settle(numbering, row.kept)


def _settle(numbering: Numbering, seqs: Ranges) -> None:
    for first, last in seqs:
        numbering.settle(first, last)


def _forget(journal: Journal, marks: Marks, state: State, lost: _Lost, beyond: bool) -> None:
    """Take out of the account what is open. ``beyond``: something is missing that the store had not come to; where it
    had, what it has nothing of had nothing for it (an event, or what has left quarantine), and the account has it."""
    opened: list[tuple[AccountRow, Numbering, Ranges]] = []
    for row in state.account.open():
        numbering = marks.of(row.device).numbering(row.epoch)
        if numbering is None:
            continue
        open_ = row.kept.copy()
        for first, last in numbering.settled():
            open_.remove(first, last)
        if open_ and beyond:
            opened.append((row, numbering, open_))
        elif open_:
            _settle(numbering, open_)
    if opened:
        _write(journal, state, lost, opened)


def _write(journal: Journal, state: State, lost: _Lost, opened: list[tuple[AccountRow, Numbering, Ranges]]) -> None:
    after = _received_after(journal, state.cursors.get("account"))
    gone = [each for first, last in lost.ranges for each in state.quarantine.of_records(first, last)]
    with state.transaction():
        for row, numbering, open_ in opened:
            key = row.device, row.epoch
            for first, last in open_:
                row.kept.remove(first, last)
            row.received = numbering.readings - after[key]
            mine = [each for each in gone if (each.device, each.epoch) == key and each.seq in open_]
            codes = Counter(row.rejected)
            codes.subtract(each.code for each in mine)
            row.rejected = {code: readings for code, readings in codes.items() if readings > 0}
            state.quarantine.remove((each.lsn, each.row, each.metric) for each in mine)
            log.error("batches are open again", device=row.device, epoch=row.epoch, seqs=open_.pairs())
        state.account.save(row for row, _, _ in opened)


def _received_after(journal: Journal, cursor: int) -> Counter[Key]:
    """Readings in the batches that the account has not come to."""
    received: Counter[Key] = Counter()
    births: dict[int, Birth] = {}
    search = Search(journal.directory, journal.files, is_birth)
    for lsn, payload in records_after(journal.directory, journal.files, cursor):
        try:
            entry = unpack_with(lsn, payload, births, search.find)
        except RecordError:
            continue  # told by who reads it
        if lsn > cursor and isinstance(entry, Kept):
            received[entry.birth.device, entry.epoch] += entry.verdict.received
    return received
