"""P10 over more than one start, and where the record of an epoch, a birth or a gap is the damaged one."""

from pathlib import Path

import pytest

from hub.followers.ledger import ledger_entry
from hub.ingest.marks import Marks
from hub.upkeep.verify import Claims, verify
from hub.wire.kept import EpochGiven, Freed, Gap, Retried
from tests.ingest.house import DECLARED, NOON, House, row
from tests.journal.driving import DIRECTORY
from tests.upkeep.machine import Machine
from tests.upkeep.test_reopen_released import GOOD, TOO_MUCH, Case, entry_of, leave, live

pytestmark = [pytest.mark.trio, pytest.mark.usefixtures("autojump_clock")]

GIVEN, BORN = 2, 3  # LSNs, after the marks
RETRIED = Case(("retried",), whole=False, rolled=False, stored=False, booked=True)


async def take(machine: Machine, hub: House, through: int) -> None:
    """The store comes to this record."""
    machine.store.take([entry for entry in await hub.entries() if entry.lsn <= through], through)


async def test_p10_a_torn_tail_that_the_account_is_beyond_is_taken_out_of_it_once(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    async with machine.hub() as hub:
        intake = hub.open().intake
        intake.keep(*row(1, NOON, GOOD, TOO_MUCH))
        kept = intake.keep(*row(2, NOON, GOOD, TOO_MUCH))
        await machine.follow(hub, store=False)
    machine.flip(kept.lsn)
    async with machine.hub() as hub:
        assert (machine.account().received, machine.account().rejected) == (2, {"out_of_range": 1})
        hub.open(epoch=1, acked=0, first=1, next=3).intake.keep(*row(2, NOON, GOOD, TOO_MUCH))
        await machine.follow(hub)
    stored = machine.store.counts()[1]["device", 1]
    assert ledger_entry(machine.account(), 3, stored, 0, 0)["balanced"]


async def test_p10_what_was_dropped_of_a_batch_does_not_settle_it_once_it_is_open(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    async with machine.hub() as hub:
        intake = hub.open().intake
        kept = intake.keep(*row(1, NOON, 99.0))
        intake.keep(*row(2))
        await machine.follow(hub, store=False)
        leave(hub, kept, 0, "removed")
        await hub.entries()
    machine.flip(kept.lsn)
    async with machine.hub() as hub:
        await machine.follow(hub)  # the store comes past the damage, the device does not come
    async with machine.hub() as hub:
        assert hub.open(epoch=1, acked=0, first=1, next=3).welcome.through == 0


async def test_p10_marks_from_before_it_was_opened_do_not_settle_it(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    async with machine.hub() as hub:
        intake = hub.open().intake
        first, _ = intake.keep(*row(1)), intake.keep(*row(2))
        hub.ingest.roll()
        third, fourth = intake.keep(*row(3)), intake.keep(*row(4))
        await machine.follow(hub, store=False)
    machine.flip(first.lsn)
    async with machine.hub() as hub:
        await take(machine, hub, third.lsn)
    machine.flip(fourth.lsn)
    async with machine.hub() as hub:
        opening = hub.open(epoch=1, acked=0, first=1, next=5)
        assert (opening.welcome.through, opening.welcome.held) == (0, ((2, 3),))
        assert machine.account().received == 2


async def test_p10_where_the_marks_that_had_it_open_are_damaged_it_stays_open(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    async with machine.hub() as hub:
        intake = hub.open().intake
        first, _ = intake.keep(*row(1)), intake.keep(*row(2))
        hub.ingest.roll()
        await machine.follow(hub, store=False)
    machine.flip(first.lsn)
    async with machine.hub() as hub:
        marks = hub.journal.segment
        hub.open("other")
        await machine.follow(hub)
    machine.flip(marks)
    async with machine.hub() as hub:
        assert hub.open(epoch=1, acked=0, first=1, next=3).welcome.through == 0


async def test_p10_what_the_store_has_nothing_of_and_the_account_had_not_come_to_is_open(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    async with machine.hub() as hub:
        intake = hub.open().intake
        kept = [intake.keep(*batch) for batch in (row(1), row(2, NOON, 99.0))]
        hub.ingest.roll()
        intake.keep(*row(3))
        await machine.follow(hub, account=False)
    machine.flip(kept[1].lsn)
    async with machine.hub() as hub:
        opening = hub.open(epoch=1, acked=0, first=1, next=4)
        assert (opening.welcome.through, opening.welcome.held) == (1, ((3, 3),))


@pytest.mark.parametrize("stored", [True, False])
async def test_p10_an_epoch_of_which_nothing_is_left_goes_on(tmp_path: Path, stored: bool) -> None:
    """A fresh one would have what the store has a second time, and leave the account with what nobody has."""
    machine = Machine(tmp_path)
    async with machine.hub() as hub:
        kept = hub.open().intake.keep(*row(1))
        await machine.follow(hub, account=not stored, store=stored)
    for lsn in (GIVEN, kept.lsn):
        machine.flip(lsn)
    async with machine.hub() as hub:
        opening = hub.open(epoch=1, acked=1, first=1, next=2)
        assert (opening.welcome.epoch, opening.welcome.through) == (1, int(stored))
        assert machine.account().received == int(stored)


@pytest.mark.parametrize("rolled", [False, True])
async def test_p10_batches_of_a_damaged_birth_are_damaged(tmp_path: Path, rolled: bool) -> None:
    machine = Machine(tmp_path)
    async with machine.hub() as hub:
        intake = hub.open().intake
        for seq in (1, 2, 3):
            intake.keep(*row(seq))
        await machine.follow(hub)
        intake.keep(*row(4))
        await machine.follow(hub, store=False)
        if rolled:
            hub.ingest.roll()
            await hub.journal.wait_durable(hub.journal.appended)
    machine.flip(BORN)
    async with machine.hub() as hub:
        opening = hub.open(epoch=1, acked=0, first=1, next=5)
        assert opening.welcome.through == 3
        opening.intake.keep(*row(4))
        await machine.follow(hub)
    assert machine.account().received == 4 == machine.store.counts()[1]["device", 1]


@pytest.mark.parametrize("record", [Gap, Retried])
async def test_p10_what_is_lost_but_for_what_was_retried_stays_that(tmp_path: Path, record: type) -> None:
    machine = Machine(tmp_path)
    kept = await live(machine, RETRIED)
    machine.flip(kept[1].lsn)
    async with machine.hub() as hub:
        hub.open(epoch=1, acked=0, first=1, next=6)
        await machine.follow(hub)
        (lsn,) = [entry.lsn for entry in await hub.entries() if isinstance(entry, record)]
    machine.flip(lsn)
    for _ in range(2):
        async with machine.hub() as hub:
            assert hub.open(epoch=1, acked=0, first=1, next=6).welcome.through == 5
            await machine.follow(hub)
            assert entry_of(machine)["balanced"]
            assert entry_of(machine)["lost"] == [[2, 2]]


async def test_p10_what_the_store_has_by_a_batch_and_by_its_retry_is_counted(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    async with machine.hub() as hub:
        intake = hub.open().intake
        first, _ = intake.keep(*row(1, NOON, GOOD, TOO_MUCH)), intake.keep(*row(2))
        await machine.follow(hub)
        leave(hub, first, 1, "retried")
        retried = hub.journal.appended
        await machine.follow(hub)
        third, _ = intake.keep(*row(3)), intake.keep(*row(4))
        await machine.follow(hub, store=False)
    for lsn in (first.lsn, retried, third.lsn):
        machine.flip(lsn)
    async with machine.hub() as hub:
        hub.open(epoch=1, acked=0, first=1, next=5).intake.keep(*row(3))
        await machine.follow(hub)
    assert machine.account().received == 5 == machine.store.counts()[1]["device", 1]


async def test_p10_what_was_retried_counts_where_the_record_of_its_epoch_is_lost() -> None:
    marks, freed = Marks(), (Freed(0, DECLARED[0], "out_of_range", NOON, 70.0),)
    marks.apply(Retried(9, "device", "station", 1, 3, NOON, 0, 0, 5, "admin", NOON, freed))
    marks.apply(EpochGiven(10, "device", 1, None, "first", NOON))
    numbering = marks.of("device").current
    assert numbering is not None
    assert (numbering.readings, numbering.rejected, 3 in numbering) == (1, 1, False)


async def test_ledger_what_the_store_has_beyond_the_journals_end_is_told_as_damage(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    async with machine.hub() as hub:
        intake = hub.open().intake
        _, kept = intake.keep(*row(1)), intake.keep(*row(2))
        await machine.follow(hub)
    machine.cut(kept.lsn)
    async with machine.hub() as hub:
        claims = Claims(
            DIRECTORY, hub.journal.durable, [entry_of(machine)], dict(machine.store.stored(1 << 62).rows()), 5, True
        )
        told = verify(claims, machine.files).problems
        assert f"the store alone has 1 readings of record {kept.lsn}, which is damaged" in told
