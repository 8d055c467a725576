"""P10: what is damaged above the store's cursor is open again; what the store has is not asked for again."""

from pathlib import Path

import pytest

from hub.journal.lookback import look_back
from hub.journal.segments import segment_path
from hub.store.base import StoreError
from hub.wire.kept import Gap
from hub.wire.messages import Event
from tests.ingest.house import NOON, framed, row
from tests.journal.driving import DIRECTORY
from tests.upkeep.machine import Machine, lsn_of

pytestmark = [pytest.mark.trio, pytest.mark.usefixtures("autojump_clock")]

BATCHES = [row(seq, NOON, float(seq)) for seq in range(1, 6)]


async def test_p10_what_the_store_has_is_not_asked_for_again(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    async with machine.hub() as hub:
        intake = hub.open().intake
        kept = [intake.keep(*batch) for batch in BATCHES]
        kept.append(intake.keep(*row(6, NOON, 99.0)))  # rejected: the store has nothing of it
        kept.append(intake.keep(*framed(Event(7, NOON, "info", "hello"))))
        intake.keep(*row(8))
        await machine.follow(hub)
    before = machine.account()
    for seq in (3, 6, 7):
        machine.flip(lsn_of(kept, seq))
    async with machine.hub() as hub:
        opening = hub.open(epoch=1, acked=0, first=1, next=9)
        assert (opening.welcome.through, opening.welcome.held) == (8, ())
        assert machine.account() == before


async def test_p10_what_only_the_store_had_come_to_is_booked_by_the_account(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    async with machine.hub() as hub:
        intake = hub.open().intake
        kept = [intake.keep(*batch) for batch in BATCHES]
        machine.store.take(await hub.entries(), hub.journal.durable)
    machine.flip(lsn_of(kept, 3))
    async with machine.hub() as hub:
        assert hub.open(epoch=1, acked=0, first=1, next=6).welcome.through == 5
        await machine.follow(hub)
    assert (machine.account().kept.pairs(), machine.account().received) == ([(1, 5)], 5)
    assert machine.store.counts()[1] == {("device", 1): 5}


async def test_p10_some_are_in_the_store_and_some_above_its_cursor(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    async with machine.hub() as hub:
        intake = hub.open().intake
        kept = [intake.keep(*batch) for batch in BATCHES[:3]]
        await machine.follow(hub)
        kept += [intake.keep(*batch) for batch in BATCHES[3:]]
        intake.keep(*row(6))
        await machine.follow(hub, store=False)
    for seq in (2, 4):
        machine.flip(lsn_of(kept, seq))
    async with machine.hub() as hub:
        opening = hub.open(epoch=1, acked=0, first=1, next=7)
        assert (opening.welcome.through, opening.welcome.held) == (3, ((5, 6),))
        assert (machine.account().kept.pairs(), machine.account().received) == ([(1, 3), (5, 6)], 5)
        opening.intake.keep(*BATCHES[3])
        await machine.follow(hub)
    assert machine.account().received == 6 == machine.store.counts()[1]["device", 1]


async def test_p10_what_the_store_had_not_come_to_is_sent_again_and_counted_once(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    async with machine.hub() as hub:
        intake = hub.open().intake
        kept = [intake.keep(*batch) for batch in BATCHES]
        await machine.follow(hub, store=False)
    machine.flip(lsn_of(kept, 3))
    async with machine.hub() as hub:
        assert machine.account().kept.pairs() == [(1, 2), (4, 5)]
        assert machine.account().received == 4
        opening = hub.open(epoch=1, acked=0, first=1, next=6)
        assert (opening.welcome.through, opening.welcome.held) == (2, ((4, 5),))
        opening.intake.keep(*BATCHES[2])
        await machine.follow(hub)
    assert machine.account().kept.pairs() == [(1, 5)]
    assert machine.account().received == 5
    assert machine.store.counts()[1] == {("device", 1): 5}


async def test_p10_what_nobody_has_any_more_is_booked_as_lost_and_the_ledger_balances(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    async with machine.hub() as hub:
        intake = hub.open().intake
        kept = [intake.keep(*batch) for batch in BATCHES]
        await machine.follow(hub, store=False)
        intake.keep(*row(6))  # the account has not come to it
        await hub.entries()
    machine.flip(lsn_of(kept, 3))
    async with machine.hub() as hub:
        assert hub.open(epoch=1, acked=6, first=7, next=7).welcome.through == 6
        (gap,) = [entry for entry in await hub.entries() if isinstance(entry, Gap)]
        assert (gap.dropped.first, gap.dropped.last, gap.lost) == (3, 3, True)
        await machine.follow(hub)
    booked = machine.account()
    assert (booked.kept.pairs(), booked.lost.pairs()) == ([(1, 2), (4, 6)], [(3, 3)])
    assert booked.received == 5 == machine.store.counts()[1]["device", 1]


async def test_p10_damage_under_newer_marks_is_open_again(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    async with machine.hub() as hub:
        intake = hub.open().intake
        kept = [intake.keep(*batch) for batch in BATCHES]
        hub.ingest.roll()
        intake.keep(*row(6))
        await machine.follow(hub, store=False)
    machine.flip(lsn_of(kept, 3))
    async with machine.hub() as hub:
        assert [(one.first_lsn, one.last_lsn) for one in hub.journal.damage] == [(lsn_of(kept, 3),) * 2]
        opening = hub.open(epoch=1, acked=0, first=1, next=7)
        assert (opening.welcome.through, opening.welcome.held) == (2, ((4, 6),))
        opening.intake.keep(*BATCHES[2])
        await machine.follow(hub)
    assert machine.account().received == 6 == machine.store.counts()[1]["device", 1]
    async with machine.hub() as hub:
        assert hub.open(epoch=1, acked=0, first=1, next=7).welcome.through == 6, "it is here again"


async def test_p10_what_is_open_stays_open_over_another_restart(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    async with machine.hub() as hub:
        intake = hub.open().intake
        kept = [intake.keep(*batch) for batch in BATCHES]
        hub.ingest.roll()
        intake.keep(*row(6))
        await machine.follow(hub, store=False)
    machine.flip(lsn_of(kept, 3))
    async with machine.hub() as hub:
        await machine.follow(hub)  # the store comes past the damage, the device does not come
    async with machine.hub() as hub:
        assert hub.open(epoch=1, acked=0, first=1, next=7).welcome.through == 2


async def test_p10_damage_under_newer_marks_that_the_store_is_past_opens_nothing(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    async with machine.hub() as hub:
        intake = hub.open().intake
        kept = [intake.keep(*batch) for batch in BATCHES]
        hub.ingest.roll()
        intake.keep(*row(6))
        await machine.follow(hub)
    machine.flip(lsn_of(kept, 3))
    async with machine.hub() as hub:
        assert hub.open(epoch=1, acked=0, first=1, next=7).welcome.through == 6


async def test_p10_an_epoch_whose_record_is_lost_is_not_given_again(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    async with machine.hub() as hub:
        hub.open()
        opening = hub.open()  # without an epoch: a fresh one
        assert opening.welcome.epoch == 2
        hub.ingest.roll()
        await hub.entries()
    given = 4  # marks, the first epoch, its birth, the second epoch
    machine.flip(given)
    async with machine.hub() as hub:
        assert [(one.first_lsn, one.last_lsn) for one in hub.journal.damage] == [(given, given)]
        assert hub.open().welcome.epoch == 3


async def test_p10_a_lost_batch_takes_what_was_rejected_of_it_along_and_brings_it_back(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    batch = row(2, NOON, 20.0, 200.0)  # the second reading is out of range
    async with machine.hub() as hub:
        intake = hub.open().intake
        intake.keep(*BATCHES[0])
        kept = intake.keep(*batch)
        intake.keep(*row(3))
        await machine.follow(hub, store=False)
    assert (machine.account().received, machine.account().rejected) == (4, {"out_of_range": 1})
    machine.flip(kept.lsn)
    async with machine.hub() as hub:
        assert (machine.account().received, machine.account().rejected) == (2, {})
        assert machine.state.quarantine.count() == 0
        hub.open(epoch=1, acked=0, first=1, next=4).intake.keep(*batch)
        await machine.follow(hub)
    assert (machine.account().received, machine.account().rejected) == (4, {"out_of_range": 1})
    assert machine.state.quarantine.count() == 1


async def test_p10_damaged_marks_of_an_older_segment_open_nothing(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    async with machine.hub() as hub:
        intake = hub.open().intake
        intake.keep(*BATCHES[0])
        hub.ingest.roll()
        marks = hub.journal.segment
        intake.keep(*BATCHES[1])
        hub.ingest.roll()
        await hub.entries()
    machine.flip(marks)
    assert look_back(DIRECTORY, machine.files, 0) is None


async def test_p10_nothing_is_opened_without_marks_before_the_damage(tmp_path: Path) -> None:
    """The segments before are collected: their numbers would all be open."""
    machine = Machine(tmp_path)
    async with machine.hub() as hub:
        intake = hub.open().intake
        kept = [intake.keep(*batch) for batch in BATCHES[:2]]
        hub.ingest.roll()
        marks = hub.journal.segment
        kept.append(intake.keep(*BATCHES[2]))
        hub.ingest.roll()
        await hub.entries()
    machine.files.remove(segment_path(DIRECTORY, 1))
    machine.flip(marks)
    machine.flip(lsn_of(kept, 3))
    assert look_back(DIRECTORY, machine.files, 0) is None


async def test_p10_a_journal_that_is_cut_cleanly_asks_for_nothing_that_the_store_has(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    async with machine.hub() as hub:
        intake = hub.open().intake
        kept = [intake.keep(*batch) for batch in BATCHES]
        await machine.follow(hub)
    machine.cut(lsn_of(kept, 4))  # a whole number of records is left: nothing looks damaged
    async with machine.hub() as hub:
        assert [(one.first_lsn, one.last_lsn) for one in hub.journal.damage] == [(lsn_of(kept, 4), lsn_of(kept, 5))]
        assert hub.open(epoch=1, acked=0, first=1, next=6).welcome.through == 5
        await machine.follow(hub)
    assert machine.account().received == 5 == machine.store.counts()[1]["device", 1]


@pytest.mark.parametrize("call", ["open", "batches"])
async def test_p10_nothing_that_was_booked_is_asked_for_again_while_the_store_cannot_say(
    tmp_path: Path, call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = Machine(tmp_path)
    async with machine.hub() as hub:
        intake = hub.open().intake
        kept = [intake.keep(*batch) for batch in BATCHES]
        await machine.follow(hub)
    machine.flip(lsn_of(kept, 3))

    def fails(*_: object) -> None:
        raise StoreError("a block cannot be read")

    with monkeypatch.context() as patch:
        patch.setattr(machine.store, call, fails)
        async with machine.hub() as hub:
            assert hub.open(epoch=1, acked=0, first=1, next=6).welcome.through == 5
    assert machine.store.counts()[1] == {("device", 1): 5}


async def test_p10_a_torn_tail_takes_nothing_out_of_quarantine(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    async with machine.hub() as hub:
        intake = hub.open().intake
        intake.keep(*BATCHES[0])
        kept = intake.keep(
            *row(2, NOON, 99.0),
        )  # rejected: the store has nothing of it
        intake.keep(*BATCHES[2])
        await machine.follow(hub)
        torn = intake.keep(*BATCHES[3])  # nobody has come to it
        await hub.entries()
    before = machine.account()
    machine.flip(kept.lsn)
    machine.flip(torn.lsn)
    async with machine.hub() as hub:
        opening = hub.open(epoch=1, acked=0, first=1, next=5)
        assert opening.welcome.through == 3
        assert machine.account() == before
        assert machine.state.quarantine.count() == 1


async def test_p10_what_is_settled_by_the_store_is_counted_at_the_next_damage_too(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    async with machine.hub() as hub:
        intake = hub.open().intake
        kept = [intake.keep(*batch) for batch in BATCHES]
        await machine.follow(hub)
    machine.flip(lsn_of(kept, 2))
    async with machine.hub() as hub:
        intake = hub.open(epoch=1, acked=5, first=6, next=6).intake
        hub.ingest.roll()  # from here on the marks alone say what was received of the damaged record
        kept = [intake.keep(*row(seq)) for seq in (6, 7, 8)]
        await machine.follow(hub, store=False)
    machine.flip(lsn_of(kept, 7))
    async with machine.hub() as hub:
        assert (machine.account().kept.pairs(), machine.account().received) == ([(1, 6), (8, 8)], 7)
        hub.open(epoch=1, acked=6, first=7, next=9).intake.keep(*row(7))
        await machine.follow(hub)
    assert machine.account().received == 8 == machine.store.counts()[1]["device", 1]


async def test_p10_of_a_damaged_batch_that_is_settled_the_rejected_part_is_counted(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    async with machine.hub() as hub:
        intake = hub.open().intake
        kept = [intake.keep(*row(1, NOON, 20.0, 200.0))]  # the second reading is out of range
        kept.append(intake.keep(*row(2, NOON, 99.0)))  # all of it is rejected
        kept.append(intake.keep(*row(3)))
        await machine.follow(hub)
        kept += [intake.keep(*row(seq)) for seq in (4, 5)]
        await machine.follow(hub, store=False)
    for seq in (1, 2, 4):
        machine.flip(lsn_of(kept, seq))
    async with machine.hub() as hub:
        opening = hub.open(epoch=1, acked=0, first=1, next=6)
        assert (opening.welcome.through, opening.welcome.held) == (3, ((5, 5),))
        assert (machine.account().received, machine.account().rejected) == (5, {"out_of_range": 2})
        opening.intake.keep(*row(4))
        await machine.follow(hub)
    assert machine.state.quarantine.count() == 2
    assert machine.account().accepted == 4 == machine.store.counts()[1]["device", 1]
