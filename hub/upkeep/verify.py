"""The proof: recount the whole ledger from the journal's files, and hold it against what the hub says of itself.

Runs in a process of its own and trusts nothing that the running hub remembers: every record is read from disk and
checked, every batch counted, every stored batch compared with what the journal says was accepted of it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from hub.followers.ledger import ledger_entry, tell_targets
from hub.followers.tally import Key, Tally, touched
from hub.journal import Search
from hub.journal.archive import ArchivedSegment, open_segment
from hub.journal.segments import SegmentReader, segments
from hub.ports import Files
from hub.state import AccountRow
from hub.upkeep.collected import Collected, CollectedError, read_collected
from hub.upkeep.releases import Releases
from hub.wire.kept import Birth, Entry, Expired, Kept, Removed, Retried
from hub.wire.ranges import Ranges
from hub.wire.records import EXPIRED, RecordError, is_birth, unpack_with
from hub.wire.shapes import LedgerEntry

PROBLEMS: Final = 100  # told one by one; what is beyond is counted
CLAIMED: Final = ("kept", "dropped", "lost", "moved", "received", "rejected", "removed", "closed")


@dataclass(frozen=True)
class Claims:
    """What the hub says: its ledger, and what its store holds, at or after the record ``lsn``.

    ``cursor``: how far the store had come before ``stored`` was asked for; every accepted batch up to it must be there.
    ``exact``: nothing is in the ledger that came after ``lsn``, so that it must agree to the last reading.
    ``booked``: how far that ledger had come, where a hub was killed before it had booked all (null: to ``lsn``).
    ``pin``: by which the running hub keeps the files as they are; whoever has read them gives it to ``let_go``.
    """

    journal: Path
    lsn: int
    entries: Sequence[LedgerEntry]
    stored: Mapping[int, int]  # readings by LSN of their batch
    cursor: int
    exact: bool
    booked: int | None = None
    pin: str | None = None


@dataclass
class Recount:
    """What the files say. ``problems``: in words, worst first where there is an order."""

    lsn: int = 0
    records: int = 0
    entries: list[LedgerEntry] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    unsaid: int = 0  # problems beyond those that are listed
    missing: Ranges = field(default_factory=Ranges)  # LSNs of damaged records

    def problem(self, text: str) -> None:
        if len(self.problems) < PROBLEMS:
            self.problems.append(text)
        else:
            self.unsaid += 1


@dataclass
class _Expiry:
    """What the records say has expired. ``sure``: the store had taken that in when it was asked."""

    through: int = 0
    sure: int = 0
    settled: bool = True  # the store had taken in all of it
    readings: dict[Key, int] = field(default_factory=dict)  # accepted, and in no store any more

    def count(self, key: Key, readings: int) -> None:
        self.readings[key] = self.readings.get(key, 0) + readings

    def see(self, expired: Expired, claims: Claims) -> None:
        self.through = max(self.through, expired.through)
        if expired.lsn <= claims.cursor:
            self.sure = max(self.sure, expired.through)
        else:
            self.settled = False


def verify(claims: Claims, files: Files) -> Recount:
    """Read the journal up to ``claims.lsn`` and compare. Blocks for as long as that takes (about 100 MB a second)."""
    recount = Recount(claims.lsn)
    try:
        base = read_collected(claims.journal, files)
    except CollectedError as error:
        recount.problem(str(error))
        base = Collected()
    tally = Tally()
    tally.bring(base.rows.keys(), base.rows)
    expiry = _Expiry(base.lsn, base.lsn)
    for key, row in base.rows.items():
        expiry.count(key, row.accepted)
    accepted: dict[int, tuple[Key, int]] = {}
    released = Releases(base.lsn)
    before: dict[Key, AccountRow] | None = None  # the rows as of what the hub's ledger had come to
    for entry in _entries(claims, files, recount, base.lsn):
        if isinstance(entry, Expired):
            expiry.see(entry, claims)
        if entry.lsn > claims.lsn:
            continue
        if before is None and claims.booked is not None and entry.lsn > claims.booked:
            before = {key: row.copy() for key, row in tally.rows.items()}
        recount.records += 1
        tally.bring(touched([entry]), {})
        if isinstance(entry, Kept):
            key = entry.birth.device, entry.epoch
            if entry.seq in tally.rows[key].kept:
                recount.problem(f"{key[0]} epoch {key[1]}: batch {entry.seq} is there again as record {entry.lsn}")
                continue
            if readings := entry.verdict.received - entry.verdict.rejected:
                accepted[entry.lsn] = key, readings
            released.kept(entry)
        elif isinstance(entry, Retried | Removed):
            for text in released.problems(entry):
                recount.problem(text)
            if isinstance(entry, Retried):
                accepted[entry.lsn] = (entry.device, entry.epoch), len(entry.readings)
        tally.book([entry])
    for of, text in released.strangers:
        if of not in recount.missing:
            recount.problem(text)
    pending = _compare_store(claims, accepted, expiry, recount)
    if expiry.settled:
        for key, row in sorted(tally.rows.items()):
            if row.expired != (found := expiry.readings.get(key, 0)):
                recount.problem(f"{key[0]} epoch {key[1]}: {row.expired} readings expired by record, {found} by count")
    _recount(claims, tally.rows, accepted, pending, expiry.readings, recount)
    _compare_ledger(claims, tally.rows if before is None else before, recount)
    return recount


def _entries(claims: Claims, files: Files, recount: Recount, collected: int) -> Iterator[Entry]:
    """Every record after ``collected`` up to the pinned one, and what has expired since; damage becomes a problem."""
    births: dict[int, Birth] = {}
    search = Search(claims.journal, files, is_birth)
    firsts = segments(claims.journal, files)
    if not firsts:
        recount.problem(f"{claims.journal}: no journal is there")
    elif firsts[0] > collected + 1:
        recount.problem(f"the journal is damaged: records {collected + 1} to {firsts[0] - 1} are missing")
    for at, first in enumerate(firsts):
        following = firsts[at + 1] if at + 1 < len(firsts) else None
        if following is not None and following <= collected + 1:
            continue  # counted, and about to be removed
        reader = SegmentReader(open_segment(claims.journal, files, first), first, following=following)
        try:
            while chunk := reader.read():
                for lsn, payload in chunk:
                    if lsn > claims.lsn and payload[:1] != bytes([EXPIRED]):
                        continue
                    try:
                        yield unpack_with(lsn, payload, births, search.find)
                    except RecordError as error:
                        recount.missing.add(lsn, lsn)
                        recount.problem(f"record {lsn} cannot be understood: {error}")
            if following is not None:
                reader.finish()
        finally:
            reader.close()
        for damage in reader.damage:
            if damage.first_lsn <= claims.lsn:
                last = claims.lsn if damage.last_lsn is None else damage.last_lsn
                if last >= damage.first_lsn:
                    recount.missing.add(damage.first_lsn, last)
                recount.problem(f"the journal is damaged: records {damage.first_lsn} to {damage.last_lsn} are missing")
        gone = (reader.last or first - 1) + 1
        if following is None and gone <= claims.lsn:
            recount.missing.add(gone, claims.lsn)
            recount.problem(f"the journal is damaged: records {gone} to {claims.lsn} are missing")
        if isinstance(reader.file, ArchivedSegment) and reader.file.flawed and not reader.damage:
            recount.problem(f"the archive of segment {first} is damaged, where it costs no record")


def _compare_store(
    claims: Claims, accepted: Mapping[int, tuple[Key, int]], expiry: _Expiry, recount: Recount
) -> dict[Key, int]:
    """Every accepted batch is stored once and whole, or still pending, or expired; the pending readings by epoch."""
    pending: dict[Key, int] = {}
    for lsn, (key, readings) in accepted.items():
        found = claims.stored.get(lsn)
        if found is None and lsn <= expiry.through:
            expiry.count(key, readings)
        elif found is None and lsn > claims.cursor:
            pending[key] = pending.get(key, 0) + readings
        elif found != readings:
            there = f"the store has {found or 0} of them"
            recount.problem(f"{key[0]} epoch {key[1]}: {readings} readings of record {lsn} were accepted, {there}")
        elif lsn <= expiry.sure:
            recount.problem(f"{key[0]} epoch {key[1]}: the readings of record {lsn} have expired, the store has them")
    for lsn in sorted(claims.stored.keys() - accepted.keys()):
        if lsn in recount.missing:
            recount.problem(f"the store alone has {claims.stored[lsn]} readings of record {lsn}, which is damaged")
        else:
            recount.problem(
                f"the store has {claims.stored[lsn]} readings of record {lsn}, of which the journal has none"
            )
    return pending


def _recount(
    claims: Claims,
    rows: Mapping[Key, AccountRow],
    accepted: Mapping[int, tuple[Key, int]],
    pending: Mapping[Key, int],
    expired: Mapping[Key, int],
    recount: Recount,
) -> None:
    """The recounted entries; each must balance."""
    claimed = {(entry["device"], entry["epoch"]): entry for entry in claims.entries}
    stored: dict[Key, int] = {}
    for lsn, (key, _) in accepted.items():
        stored[key] = stored.get(key, 0) + claims.stored.get(lsn, 0)
    for key in sorted(rows):
        said = claimed.get(key)
        next = said["next"] if said is not None and not rows[key].closed else 0
        entry = ledger_entry(rows[key], next, stored.get(key, 0), pending.get(key, 0), expired.get(key, 0))
        recount.entries.append(entry)
        if not entry["balanced"]:
            recount.problem(f"{key[0]} epoch {key[1]}: {entry.get('problem')}")
    tell_targets(recount.entries)


def _compare_ledger(claims: Claims, rows: Mapping[Key, AccountRow], recount: Recount) -> None:
    """Where the hub's ledger says otherwise than these rows, which are of the same record or of an older one."""
    claimed = {(entry["device"], entry["epoch"]): entry for entry in claims.entries}
    for key in sorted(rows):
        for text in _differences(ledger_entry(rows[key], 0, 0, 0, 0), claimed.get(key), claims.exact):
            recount.problem(f"{key[0]} epoch {key[1]}: {text}")
    if claims.exact:
        for key in sorted(claimed.keys() - rows.keys()):
            if claimed[key]["received"]:
                recount.problem(f"{key[0]} epoch {key[1]}: in the hub's ledger, but not in the journal")


def _differences(entry: LedgerEntry, said: LedgerEntry | None, exact: bool) -> Iterator[str]:
    if said is None:
        yield "in the journal, but not in the hub's ledger"
    elif exact:
        for name in CLAIMED:
            if entry[name] != said[name]:
                ours, theirs = entry[name], said[name]
                yield f"{name} is {ours} by the journal, {theirs} by the hub's ledger"
    elif entry["received"] > said["received"]:
        yield f"{entry['received']} readings by the journal, {said['received']} by the hub's ledger, which is newer"
