"""P10, where readings of the damaged batch have left quarantine: retried ones are on record by themselves."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import pytest

from hub.followers.ledger import ledger_entry
from hub.store.memory import MemoryStore
from hub.upkeep.verify import Claims, verify
from hub.wire.kept import Freed, Gap, Kept, Refused, Removed, Retried
from hub.wire.messages import Event
from hub.wire.shapes import LedgerEntry
from tests.ingest.house import DECLARED, NOON, House, framed, row
from tests.journal.driving import DIRECTORY
from tests.upkeep.machine import Machine, lsn_of

pytestmark = [pytest.mark.trio, pytest.mark.usefixtures("autojump_clock")]

GOOD, TOO_MUCH = 20.0, 200.0  # degrees, m/s
REMOVED_BY = "admin"


@dataclass(frozen=True)
class Case:
    """``left``: what the readings of batch 2 that left quarantine did. ``booked``: the account had come to that.
    ``beyond``: batch 4, which the store had not come to, is damaged as well."""

    left: tuple[str, ...]
    whole: bool  # all of the batch was rejected
    rolled: bool  # newer marks cover it
    stored: bool  # the store had come past it, and is there
    booked: bool
    beyond: bool = False


CASES = [
    Case(*case)
    for case in product(
        [("retried",), ("removed",), ("retried", "removed"), ("retried", "stays"), ("removed", "stays")],
        *[(False, True)] * 5,
    )
]


def leave(hub: House, kept: Kept, at: int, how: str) -> None:
    """The reading at this place of the row leaves quarantine."""
    declared, now = DECLARED[at], hub.clock.now()
    if how == "retried":
        freed = (Freed(0, declared, "out_of_range", NOON, TOO_MUCH),)
        hub.ingest.release(
            lambda lsn: Retried(
                lsn, "device", "station", kept.epoch, kept.seq, kept.received, kept.rows_before, 0, kept.lsn, "admin",
                now, freed,
            )
        )  # fmt: skip
    elif how == "removed":
        spots = (Refused(0, declared.name, "out_of_range"),)
        hub.ingest.release(lambda lsn: Removed(lsn, "device", kept.epoch, kept.lsn, REMOVED_BY, now, spots, kept.seq))


async def live(machine: Machine, case: Case) -> list[Kept]:
    """Five batches; one reading of the first, and some of the second, leave quarantine."""
    async with machine.hub() as hub:
        intake = hub.open().intake
        first = intake.keep(*row(1, NOON, GOOD, TOO_MUCH))
        rejected = [TOO_MUCH] * len(case.left)
        kept = intake.keep(*row(2, NOON, *rejected if case.whole else [*rejected, 3]))
        assert kept.verdict.rejected == len(case.left)
        await machine.follow(hub)
        leave(hub, first, 1, "removed")
        await machine.follow(hub)
        if case.rolled:
            hub.ingest.roll()
        last = intake.keep(*row(3))
        await machine.follow(hub)
        fourth = intake.keep(*row(4))
        intake.keep(*row(5))
        await machine.follow(hub, store=False)
        for at, how in enumerate(case.left):
            leave(hub, kept, at, how)
        await machine.follow(hub, account=case.booked, store=False)
    if not case.stored:
        machine.store = MemoryStore()
    return [first, kept, last, fourth]


def entry_of(machine: Machine) -> LedgerEntry:
    stored = machine.store.counts()[1].get(("device", 1), 0)
    return ledger_entry(machine.account(), 6, stored, 0, 0)


async def problems(machine: Machine, hub: House, entries: Sequence[LedgerEntry]) -> list[str]:
    """What the proof says."""
    stored, durable = dict(machine.store.stored(1 << 62).rows()), hub.journal.durable
    return verify(Claims(DIRECTORY, durable, entries, stored, machine.store.counts()[0], True), machine.files).problems


@pytest.mark.parametrize("case", CASES, ids=str)
async def test_p10_the_ledger_balances_and_nothing_is_there_twice(tmp_path: Path, case: Case) -> None:
    machine = Machine(tmp_path)
    _, kept, _, fourth = await live(machine, case)
    machine.flip(kept.lsn)
    if case.beyond:
        machine.flip(fourth.lsn)
    retried, rest = case.left.count("retried"), 0 if case.whole else 1
    removed = 2 if case.stored and "removed" in case.left else 1
    lost = [] if case.stored else [2]
    lost += [4] if case.beyond else []
    for _ in range(2):  # and the same after another restart
        async with machine.hub() as hub:
            hub.open(epoch=1, acked=5, first=6, next=6)
            await machine.follow(hub)
            entry = entry_of(machine)
            assert entry["balanced"], entry
            assert entry["lost"] == [[seq, seq] for seq in lost]
            assert entry["stored"] == (3 if case.beyond else 4) + retried + (rest if case.stored else 0)
            assert entry["removed"] == {REMOVED_BY: removed}
            assert machine.state.quarantine.count() == (1 if case.stored and "stays" in case.left else 0)
            told = await problems(machine, hub, [entry])
            assert any(f"records {kept.lsn} to {kept.lsn} are missing" in text for text in told)
            assert not any("-1" in text or "never rejected" in text or "the journal has none" in text for text in told)
            if not case.stored:
                assert len(told) == len(lost), "the ledger is what the journal says"


@pytest.mark.parametrize("left", ["retried", "removed"])
async def test_p10_what_was_retried_is_not_asked_for_again(tmp_path: Path, left: str) -> None:
    machine = Machine(tmp_path)
    kept = await live(machine, Case((left,), whole=False, rolled=False, stored=False, booked=True))
    machine.flip(kept[1].lsn)
    async with machine.hub() as hub:
        opening = hub.open(epoch=1, acked=1, first=2, next=6)
        gaps = [entry.dropped.first for entry in await hub.entries() if isinstance(entry, Gap) and entry.lost]
        if left == "retried":
            assert (opening.welcome.through, gaps) == (5, [2])
        else:
            assert (opening.welcome.through, gaps) == (1, [])
            opening.intake.keep(*row(2, NOON, 3.0))
        await machine.follow(hub)
        assert entry_of(machine)["balanced"]
        assert entry_of(machine)["stored"] == 5


async def test_p10_below_the_stores_cursor_nothing_is_opened_that_had_nothing_for_it(tmp_path: Path) -> None:
    """Although what is damaged above it is: a batch of which all was dropped from quarantine, and an event."""
    machine = Machine(tmp_path)
    async with machine.hub() as hub:
        intake = hub.open().intake
        kept = [intake.keep(*batch) for batch in (row(1), row(2, NOON, TOO_MUCH), framed(Event(3, NOON, "info", "x")))]
        kept.append(intake.keep(*row(4)))
        await machine.follow(hub)
        leave(hub, kept[1], 0, "removed")
        await machine.follow(hub)
        kept += [intake.keep(*row(seq)) for seq in (5, 6)]
        await machine.follow(hub, store=False)
    for seq in (2, 3, 5):
        machine.flip(lsn_of(kept, seq))
    async with machine.hub() as hub:
        opening = hub.open(epoch=1, acked=4, first=5, next=7)
        assert (opening.welcome.through, opening.welcome.held) == (4, ((6, 6),))
        opening.intake.keep(*row(5))
        await machine.follow(hub)
    entry = ledger_entry(machine.account(), 7, machine.store.counts()[1]["device", 1], 0, 0)
    assert (entry["balanced"], entry["lost"], entry["received"]) == (True, [], 5)
    assert entry["removed"] == {REMOVED_BY: 1}
