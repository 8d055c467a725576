"""What is damaged above the store's cursor is open again (P10), at the start, before anybody says hello.

Three know of a batch: the journal's records, the store, and the account. Where its record is damaged, and the store has
its readings, or had come past it and the account put them into quarantine, it is settled: it would be counted twice.
Where the store has not come to it, it is not here any more: marks and account forget it, and it is sent again, or
booked as lost with the hello that shows that nobody has it. But where readings of it that left quarantine are on record
by themselves, it is booked as lost at once: sent again, it would bring these a second time.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Final

import structlog

from hub.followers.tally import Key
from hub.ingest.marks import Marks
from hub.ingest.numbering import Numbering
from hub.ingest.reopening import reconsider, tell
from hub.journal import Journal, look_back
from hub.journal.segments import MAX_LSN, Damage
from hub.ports import Clock, Worker
from hub.state import AccountRow, State
from hub.store.base import Store, StoreError
from hub.upkeep.remains import Remains, entries_after, read_remains
from hub.wire.kept import Gap, Kept, Marked, Removed, Retried
from hub.wire.messages import Dropped
from hub.wire.ranges import Ranges
from hub.wire.records import pack_gap

log: Final = structlog.get_logger(__name__)


@dataclass
class _Lost:
    """Records that are missing, and the batches in them that are settled all the same: readings by seq, by device and
    epoch, of which the store has these, and quarantine has those or somebody dropped them from it. ``remains``: what
    the records that are here tell of them."""

    ranges: list[tuple[int, int]]
    stored: dict[Key, dict[int, int]] = field(default_factory=dict)
    rejected: dict[Key, dict[int, int]] = field(default_factory=dict)
    remains: Remains = field(default_factory=Remains)

    def reject(self, key: Key, seq: int, readings: int) -> None:
        """So many more readings of a settled batch were rejected."""
        counts = self.rejected.setdefault(key, {})
        counts[seq] = counts.get(seq, 0) + readings

    def settle(self, marks: Marks) -> None:
        """The marks have them, and count them where they did not."""
        for key in self.stored.keys() | self.rejected.keys():
            numbering = marks.of(key[0]).at(key[1])
            if numbering is None:
                continue
            stored, rejected = self.stored.get(key, {}), self.rejected.get(key, {})
            for seq in sorted(stored.keys() | rejected.keys()):
                if seq not in numbering:
                    numbering.settle(seq, seq)
                    numbering.readings += stored.get(seq, 0) + rejected.get(seq, 0)
                    numbering.rejected += rejected.get(seq, 0)


async def reopen(
    journal: Journal,
    marks: Marks,
    store: Store,
    store_worker: Worker,
    state: State,
    state_worker: Worker,
    clock: Clock,
) -> None:
    """Bring marks and account to what is here. Comes after ``Marks.recover`` and before the first hello."""
    try:
        cursor = await store_worker.run(store.open)
        behind = min(cursor, await state_worker.run(state.cursors.get, "account"))
        if any(first <= journal.segment <= last for first, last in _ranges(journal.damage)):
            behind = 0  # marks from before some start: what that one opened, they have as settled
        older = await journal.reading.run(look_back, journal.directory, journal.files, behind)
        shown = Marks()
        if older is not None:
            tell(journal, await journal.reading.run(shown.recover, older))
            for damage in older.damage:
                log.error("the journal is damaged, before its newest marks", **asdict(damage))
            journal.noticed(older.damage)
        lost = _Lost(_ranges(journal.damage))
        await store_worker.run(_ask, store, lost)
    except StoreError as error:
        log.error("the store cannot be asked what it has: what was booked is not asked for again", why=str(error))
        await state_worker.run(_settle_booked, marks, state)
        return
    if older is not None:
        reconsider(marks, shown)
    if not lost.ranges:
        return
    lost.remains = await journal.reading.run(read_remains, journal, lost.ranges, cursor)
    booked = await state_worker.run(_recall, state, lost, cursor)  # what lies above it, nobody has to forget
    lost.settle(marks)
    beyond = any(last > cursor and first <= booked for first, last in lost.ranges)
    await state_worker.run(_forget, journal, marks, state, lost, cursor if beyond else None)
    _give_up(journal, marks, clock, lost.remains.retried(cursor))
    if older is not None:
        # From now on the newest marks are these: the store may come past the damage before the device says hello.
        journal.roll(Marked)


def _ranges(damage: Sequence[Damage]) -> list[tuple[int, int]]:
    """The LSNs that are missing, each once: a torn tail that a cursor is beyond was noticed twice."""
    found = ((one.first_lsn, MAX_LSN if one.last_lsn is None else one.last_lsn) for one in damage)
    return Ranges(found).pairs()


def _ask(store: Store, lost: _Lost) -> None:
    for first, last in lost.ranges:
        for device, epoch, seq, readings in store.batches(first, last):
            stored = lost.stored.setdefault((device, epoch), {})
            stored[seq] = stored.get(seq, 0) + readings  # some by a batch, some by what was retried of it


def _recall(state: State, lost: _Lost, cursor: int) -> int:
    """What the account knows of them; how far it had come. What the store has and the account had not come to is booked
    now: it cannot read these records any more."""
    left = lost.remains.spots()
    for first, last in lost.ranges:
        for each in state.quarantine.of_records(first, min(last, cursor)):
            if (each.lsn, each.row, each.metric) not in left:  # the account may not have come to that
                lost.reject((each.device, each.epoch), each.seq, 1)
    for gone in lost.remains.left:
        booked = state.account.get(gone.device, gone.epoch) or AccountRow(gone.device, gone.epoch)
        retried = isinstance(gone, Retried)  # the marks have counted these; booked as lost, the batch stays so
        # One that is not booked any more was opened by an earlier start.
        if gone.of <= cursor and gone.seq in (booked.here() if retried else booked.kept):
            lost.reject((gone.device, gone.epoch), gone.seq, 0 if retried else len(gone.readings))
    rows: list[AccountRow] = []
    for key, stored in lost.stored.items():
        row = state.account.get(*key) or AccountRow(*key)
        here = row.here()  # what is lost but for what was retried is booked already
        fresh = {seq: readings for seq, readings in stored.items() if seq not in here}
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
        numbering = marks.of(row.device).at(row.epoch)
        if numbering is not None:
            _settle(numbering, row.kept)


def _settle(numbering: Numbering, seqs: Ranges) -> None:
    for first, last in seqs:
        numbering.settle(first, last)


def _forget(journal: Journal, marks: Marks, state: State, lost: _Lost, cursor: int | None) -> None:
    """Take out of the account what is open. ``cursor``: the store's, null where nothing is missing that it had not come
    to. Where it had, what it has nothing of had nothing for it (an event), and the account has it."""
    opened: list[tuple[AccountRow, Numbering, Ranges]] = []
    for row in state.account.open():
        numbering = marks.of(row.device).at(row.epoch)
        if numbering is None:
            continue
        open_ = row.kept.copy()
        for first, last in numbering.settled():
            open_.remove(first, last)
        passed = row.highest if cursor is None else lost.remains.passed.get((row.device, row.epoch), 0)
        for first, last in open_.pairs():
            if first <= passed:
                numbering.settle(first, min(last, passed))
        open_.remove(1, passed)
        if open_:
            opened.append((row, numbering, open_))
    if opened:
        _write(journal, state, lost, opened, cursor or 0)


def _write(
    journal: Journal, state: State, lost: _Lost, opened: list[tuple[AccountRow, Numbering, Ranges]], cursor: int
) -> None:
    booked = state.cursors.get("account")
    after = _received_after(journal, booked, lost.remains.retried(cursor))
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
            row.removed = _kept_removals(row, lost.remains, open_, booked)
            state.quarantine.remove((each.lsn, each.row, each.metric) for each in mine)
            log.error("batches are open again", device=row.device, epoch=row.epoch, seqs=open_.pairs())
        state.account.save(row for row, _, _ in opened)


def _kept_removals(row: AccountRow, remains: Remains, open_: Ranges, booked: int) -> dict[str, int]:
    """Who dropped how many readings of this epoch from quarantine, without those of the open batches."""
    removed = Counter(row.removed)
    for left in remains.left:
        mine = isinstance(left, Removed) and (left.device, left.epoch) == (row.device, row.epoch)
        if mine and left.seq in open_ and left.lsn <= booked:
            removed[left.by] -= len(left.readings)
    return {by: readings for by, readings in removed.items() if readings > 0}


def _received_after(journal: Journal, booked: int, retried: Mapping[tuple[Key, int], int]) -> Counter[Key]:
    """Readings that the account will book as received, of records that it has not come to."""
    received: Counter[Key] = Counter()
    for entry in entries_after(journal, booked):
        if entry.lsn > booked and isinstance(entry, Kept):
            received[entry.birth.device, entry.epoch] += entry.verdict.received
        elif entry.lsn > booked and isinstance(entry, Retried):
            key = entry.device, entry.epoch
            received[key] += len(entry.readings) if (key, entry.seq) in retried else 0
    return received


def _give_up(journal: Journal, marks: Marks, clock: Clock, retried: Mapping[tuple[Key, int], int]) -> None:
    """Book as lost the batches of which only what was retried is here."""
    for (device, epoch), seq in retried:
        numbering = marks.of(device).numbering(epoch)
        if numbering is not None and seq not in numbering:
            dropped = Dropped(seq, seq, None, "damaged")
            gap = Gap(journal.appended + 1, device, epoch, dropped, True, clock.now(), 0)
            marks.apply(gap)
            journal.append(pack_gap(gap), gap)
            log.error("a batch is lost but for what was retried of it", device=device, epoch=epoch, seq=seq)
