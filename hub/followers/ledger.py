"""The ledger: both equations of every epoch, from the account and from what the store says that it holds.

Account and store are two followers and rarely stand at the same record. What is between them is read from the journal
and booked: where the store is behind it is pending, where it is ahead the account is brought to it first. So `stored`
is always the store's own count, and never what the others leave over.
"""

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final, TypeAlias

import trio

from hub.followers.reader import Reader
from hub.followers.tally import Key, Tally, touched
from hub.journal import Journal
from hub.ports import Worker
from hub.state import AccountRow, State
from hub.wire.kept import Entry, Expired
from hub.wire.ranges import Ranges
from hub.wire.shapes import LedgerEntry

ROWS_AT_ONCE: Final = 200  # until others get their turn: some milliseconds

#: The store's cursor, and its stored readings by device and epoch up to it.
Counts: TypeAlias = tuple[int, Mapping[Key, int]]


class Ledger:
    """Answers for the whole log at any moment; ``counts`` asks the store, ``nexts`` what a device said in hello: its
    epoch, and the number after the last batch it had."""

    def __init__(
        self,
        journal: Journal,
        state: State,
        worker: Worker,
        counts: Callable[[str | None], Awaitable[Counts]],
        nexts: Callable[[str], tuple[int, int] | None],
    ) -> None:
        self._journal = journal
        self._state = state
        self._worker = worker
        self._counts = counts
        self._nexts = nexts

    async def entries(self, device: str | None = None) -> list[LedgerEntry]:
        """Of one device or of all, in order of device and epoch."""
        cursor, stored = await self._counts(device)
        at, rows = await self._worker.run(self._account, device)
        pending: dict[Key, AccountRow] = {}
        if cursor < at:
            between = await self._between(cursor, at, device, {})
            pending = between.rows
        elif at < cursor:
            rows |= (await self._between(at, cursor, device, rows)).rows
        keys = sorted(rows.keys() | {key for key in stored if device in (None, key[0])})
        found: list[LedgerEntry] = []
        for at, key in enumerate(keys, 1):
            found.append(self._entry(rows.get(key) or AccountRow(*key), stored.get(key, 0), pending.get(key)))
            if at % ROWS_AT_ONCE == 0:
                await trio.lowlevel.checkpoint()
        tell_targets(found)
        return found

    async def accepted(self, through: int, collected: int, base: Mapping[Key, AccountRow]) -> dict[Key, int] | None:
        """Accepted readings of each epoch that have not expired by the record ``through``: of the journal's records,
        counted anew, and of those up to ``collected``, which ``base`` stands for. None when others of them are not
        there any more. Nothing may be collected meanwhile."""
        if through < collected:
            return None  # what had expired by then, the base does not tell
        tally = await self._between(collected, through, None, base)
        damaged = any(not damage.torn for damage in self._journal.damage)
        if damaged or self._journal.on_disk.segment_of(1) > collected + 1:
            return None
        tally.bring(base.keys(), base)
        return {key: row.accepted - row.expired for key, row in tally.rows.items()}

    def _account(self, device: str | None) -> tuple[int, dict[Key, AccountRow]]:
        """In the worker: cursor and rows, as of one transaction."""
        with self._state.transaction():
            rows = {(row.device, row.epoch): row for row in self._state.account.all(device)}
            return self._state.cursors.get("account"), rows

    async def _between(self, after: int, through: int, device: str | None, base: Mapping[Key, AccountRow]) -> Tally:
        """What was booked after one record and through another."""
        tally = Tally()
        reader = Reader(self._journal, after)
        through = min(through, self._journal.durable)  # a cursor beyond the journal's end has nothing to be read
        while reader.position < through:
            entries = await reader.next(5_000)
            entries = [entry for entry in entries if entry.lsn <= through]
            if device is not None:
                entries = _of(entries, device)
            tally.bring(touched(entries), base)
            tally.book(entries)
        return tally

    def _entry(self, row: AccountRow, stored: int, pending: AccountRow | None) -> LedgerEntry:
        said = self._nexts(row.device)
        next = said[1] if said is not None and said[0] == row.epoch and not row.closed else 0
        if pending is None:
            return ledger_entry(row, next, stored, 0, row.expired)
        return ledger_entry(row, next, stored, pending.accepted, row.expired - pending.expired)


def ledger_entry(row: AccountRow, next: int, stored: int, pending: int, expired: int) -> LedgerEntry:
    """Both equations of one row. ``next``: what the device said of it (0: nothing); readings ``stored``, ``pending``
    and ``expired`` (those that have left the store: until then they are stored)."""
    next = max(next, row.highest + 1)
    waiting = Ranges() if row.closed else row.here().missing(1, next - 1)
    entry = LedgerEntry(
        device=row.device, epoch=row.epoch, next=next, kept=_pairs(row.kept), waiting=_pairs(waiting),
        dropped=_pairs(row.dropped), lost=_pairs(row.lost), moved=_pairs(row.moved), closed=row.closed,
        unknown_above=row.unknown_above, received=row.received, stored=stored, pending=pending,
        rejected=dict(row.rejected), expired=expired, removed=dict(row.removed),
        dropped_readings=row.dropped_readings, balanced=True,
    )  # fmt: skip
    problem = _problem(entry, (row.kept, waiting, row.dropped, row.lost, row.moved))
    if problem is not None:
        entry["balanced"], entry["problem"] = False, problem
    return entry


def tell_targets(entries: Sequence[LedgerEntry]) -> None:
    """Say of what moved which epoch it moved to: the device's next one that was ever used (an epoch that its device
    never heard of is passed over), or the one given last. ``entries``: all epochs of each device, in order."""
    later: dict[str, int] = {}
    for entry in reversed(entries):
        device = entry["device"]
        if entry["moved"] and device in later:
            entry["moved_to"] = later[device]
        if device not in later or entry["closed"] or entry["next"] > 1:
            later[device] = entry["epoch"]


def _problem(entry: LedgerEntry, sets: Iterable[Ranges]) -> str | None:
    """Why the equations do not hold; None when they do."""
    union, total = Ranges(), 0
    for numbers in sets:
        total += numbers.count
        for first, last in numbers:
            union.add(first, last)
    if union.count != total:
        return "the same batch is booked twice"
    if total != entry["next"] - 1 or (total and union.pairs() != [(1, total)]):
        return f"of {entry['next'] - 1} batches {total} are accounted for"
    rejected = sum(entry["rejected"].values())
    for term, readings in _terms(entry):
        if readings < 0:  # what is missing in one term is hidden by too much in another
            return f"{readings} readings {term}: no count is below 0"
    found = entry["stored"] + entry["pending"] + rejected + entry["expired"] + sum(entry["removed"].values())
    if found != entry["received"]:
        return f"{entry['received']} readings were received, {found} are accounted for"
    return None


def _terms(entry: LedgerEntry) -> Iterator[tuple[str, int]]:
    """The counts of readings, in words."""
    yield from (
        ("were received", entry["received"]), ("are stored", entry["stored"]), ("are pending", entry["pending"]),
        ("have expired", entry["expired"]),
    )  # fmt: skip
    yield from ((f"are rejected as {code}", readings) for code, readings in entry["rejected"].items())
    yield from ((f"were removed by {who}", readings) for who, readings in entry["removed"].items())


def _pairs(ranges: Ranges) -> list[list[int]]:
    return [[first, last] for first, last in ranges]


def _of(entries: Iterable[Entry], device: str) -> list[Entry]:
    """What of these is about one device."""
    chosen: list[Entry] = []
    for entry in entries:
        if isinstance(entry, Expired):
            readings = tuple(each for each in entry.readings if each[0] == device)
            chosen.append(replace(entry, readings=readings))
        elif _device(entry) == device:
            chosen.append(entry)
    return chosen


def _device(entry: Entry) -> str | None:
    birth = getattr(entry, "birth", None)
    return birth.device if birth is not None else getattr(entry, "device", None)
