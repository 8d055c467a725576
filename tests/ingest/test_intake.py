"""One link's door to the journal."""

import numpy as np
import pytest
import trio
import trio.testing

from hub.ingest.credit import Credit
from hub.ingest.ingest import Superseded
from hub.ingest.numbering import CHECKED
from hub.wire.errors import CloseCode, RemoteProtocolError
from hub.wire.kept import Born, EpochGiven, Gap, Kept, Marked
from hub.wire.messages import (
    GOOD,
    MAX_FRAME,
    REWOUND,
    TIME_UNKNOWN,
    Columns,
    Declared,
    Dropped,
    Event,
    Malformed,
    Offsets,
)
from hub.wire.rows import resolved_times
from tests.ingest.house import LOG, NOON, HandClock, framed, house, row
from tests.journal.driving import DIRECTORY
from tests.simulation.files import SimulatedFiles

pytestmark = [pytest.mark.trio, pytest.mark.usefixtures("autojump_clock")]


async def test_p1_p2_a_first_hello_and_its_welcome() -> None:
    async with house() as hub:
        opening = hub.open()
        welcome = opening.welcome
        assert (welcome.epoch, welcome.through, welcome.held, welcome.log) == (1, 0, (), LOG)
        assert (welcome.time, welcome.frame) == (NOON, MAX_FRAME)
        assert hub.journal.durable < opening.lsn == hub.journal.appended, "the epoch is a record, durable before"
        _, given, born = await hub.entries()
        assert given == EpochGiven(2, "device", 1, None, "first", NOON, None, 0)
        assert isinstance(born, Born)
        assert born.birth.id == born.lsn == 3
        assert opening.intake.birth.metrics == born.birth.metrics


async def test_p8_what_is_kept_reads_back_as_it_was_handed_on() -> None:
    async with house() as hub:
        intake = hub.open().intake
        live = [
            intake.keep(*row(1)), intake.keep(*row(2, None)), intake.keep(*row(3, NOON, 99.0)),
            intake.keep(*framed(Event(4, NOON, "info", "hello"))),
        ]  # fmt: skip
        read = await hub.kept()
        for ours, theirs in zip(live, read, strict=True):
            assert theirs == ours._replace(birth=theirs.birth, through=0)
        assert [one.rows_before for one in live] == [0, 1, 2, 3]
        assert [one.through for one in live] == [1, 2, 3, 4]
        assert hub.journal.tail(hub.journal.appended - 4, 9) == live
        assert (hub.ingest.frames, hub.ingest.readings, hub.ingest.accepted, hub.ingest.rejected) == (4, 3, 2, 1)


async def test_p2_welcome_waits_for_all_that_was_appended_for_the_device() -> None:
    async with house() as hub:
        first = hub.open().intake
        kept = first.keep(*row(1))
        again = hub.open(epoch=1, first=1, next=2)
        assert again.lsn == kept.lsn > hub.journal.durable
        assert again.welcome.through == 1


async def test_p5_only_the_newest_link_may_append() -> None:
    async with house() as hub:
        old = hub.open().intake
        old.keep(*row(1))
        new = hub.open(epoch=1, acked=0, first=1, next=3).intake
        before = hub.journal.appended
        with pytest.raises(Superseded):
            old.keep(*row(2))
        with pytest.raises(Superseded):
            old.gap(Dropped(2, 2, None, "full"))
        assert hub.journal.appended == before
        new.keep(*row(2))


async def test_p5_the_same_seq_with_other_content_is_a_conflict() -> None:
    async with house() as hub:
        hub.open().intake.keep(*row(1, NOON, 1.0))
        intake = hub.open(epoch=1, first=1, next=2).intake
        intake.duplicate(1, row(1, NOON, 1.0)[1])
        assert hub.ingest.duplicates == 1
        with pytest.raises(RemoteProtocolError) as conflict:
            intake.duplicate(1, row(1, NOON, 2.0)[1])
        assert conflict.value.code == CloseCode.SEQ_CONFLICT


async def test_p5_a_conflict_is_seen_under_the_newest_numbers_only() -> None:
    async with house() as hub:
        intake = hub.open().intake
        last = CHECKED + 10
        for seq in range(1, last + 1):
            intake.keep(*row(seq))
        intake = hub.open(epoch=1, first=1, next=last + 1).intake
        for seq in (last, last - CHECKED + 1):
            with pytest.raises(RemoteProtocolError):
                intake.duplicate(seq, row(seq, NOON, 2.0)[1])
        intake.duplicate(last - CHECKED, row(last - CHECKED, NOON, 2.0)[1])


async def test_p5_a_conflict_is_seen_over_a_restart_and_not_where_it_was_a_gap() -> None:
    files, clock = SimulatedFiles(), HandClock()
    async with house(files, clock) as hub:
        intake = hub.open().intake
        intake.keep(*row(1, NOON, 1.0))
        intake.gap(Dropped(2, 3, None, "full"))
        await hub.entries()
    async with house(files, clock) as hub:
        intake = hub.open(epoch=1, first=1, next=4).intake
        intake.duplicate(1, row(1, NOON, 1.0)[1])
        intake.duplicate(2, row(2, NOON, 1.0)[1])
        with pytest.raises(RemoteProtocolError):
            intake.duplicate(1, row(1, NOON, 2.0)[1])


async def test_p10_through_stops_before_a_lost_record_until_it_is_sent_again() -> None:
    files, clock = SimulatedFiles(), HandClock()
    async with house(files, clock) as hub:
        intake = hub.open().intake
        kept = [intake.keep(*row(seq, NOON, float(seq))) for seq in range(1, 6)]
        await hub.entries()
    (path,) = [DIRECTORY / name for name in files.list(DIRECTORY)]
    content = bytearray(files.content(path))
    content[content.index(row(3, NOON, 3.0)[1]) + 1] ^= 1
    files.damage(path, bytes(content))
    async with house(files, clock) as hub:
        opening = hub.open(epoch=1, acked=5, first=3, next=6)
        assert (opening.welcome.through, opening.welcome.held) == (2, ((4, 5),)), "the device has it still"
        assert opening.intake.keep(*row(3, NOON, 3.0)).through == 5
        assert sorted(entry.seq for entry in await hub.kept()) == [1, 2, 3, 4, 5]
        assert len(kept) == 5
    files.damage(path, bytes(content))
    async with house(files, clock) as hub:
        opening = hub.open(epoch=1, acked=5, first=6, next=6)
        (gap,) = [entry for entry in await hub.entries() if isinstance(entry, Gap)]
        assert (gap.dropped.first, gap.dropped.last, gap.lost) == (3, 3, True), "the device has it no more"
        assert opening.welcome.through == 5


@pytest.mark.parametrize("seq", [1, 3])
async def test_p4_a_seq_that_is_not_expected_is_refused_and_named(seq: int) -> None:
    async with house() as hub:
        intake = hub.open().intake
        intake.keep(*row(1))
        with pytest.raises(RemoteProtocolError, match="expected seq 2") as refused:
            intake.keep(*row(seq))
        assert refused.value.code == CloseCode.SEQ_JUMP
        assert len(await hub.kept()) == 1


async def test_p4_dropped_numbers_are_a_gap_and_the_next_one_follows() -> None:
    async with house() as hub:
        intake = hub.open().intake
        intake.gap(Dropped(1, 4, 12, "spool full"))
        kept = intake.keep(*row(5))
        assert kept.through == 5
        gap = next(entry for entry in await hub.entries() if isinstance(entry, Gap))
        assert (gap.epoch, gap.dropped, gap.lost) == (1, Dropped(1, 4, 12, "spool full"), False)


async def test_p4_dropped_covers_nothing_that_is_here() -> None:
    async with house() as hub:
        intake = hub.open().intake
        intake.keep(*row(1))
        hub.marks.of("device").current.settle(3, 4)  # type: ignore[union-attr]
        intake.keep(*row(2))
        intake.gap(Dropped(3, 6, 12, "spool full"))
        gap = next(entry for entry in await hub.entries() if isinstance(entry, Gap))
        assert gap.dropped == Dropped(5, 6, None, "spool full")
        intake.gap(Dropped(5, 6, None, "spool full"))
        assert len([entry for entry in await hub.entries() if isinstance(entry, Gap)]) == 1


async def test_p1_an_epoch_far_above_what_was_given_costs_the_device_no_epoch() -> None:
    async with house() as hub:
        with pytest.raises(RemoteProtocolError, match="say hello without one") as refused:
            hub.open(epoch=2**53 - 1)
        assert refused.value.code == CloseCode.PROTOCOL
        assert hub.open().welcome.epoch == 1


async def test_p4_an_epoch_with_very_many_gaps_goes_on_in_a_fresh_one(
    autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its row of the account would grow without bound."""
    monkeypatch.setattr("hub.ingest.numbering.MAX_GAPS", 3)
    files = SimulatedFiles()
    async with house(files) as hub:
        opening = hub.open()
        for seq in (1, 3, 5):
            opening.intake.keep(*row(seq))
            opening.intake.gap(Dropped(seq + 1, seq + 1, 1, "full"))
        opening.intake.keep(*row(7))
        with pytest.raises(RemoteProtocolError) as crowded:
            opening.intake.gap(Dropped(8, 8, 1, "full"))
        assert crowded.value.code == CloseCode.OVERLOAD
        before = opening.welcome.epoch
        await hub.journal.wait_durable(hub.journal.appended)
    async with house(files) as hub:
        welcome = hub.open(epoch=before, acked=5, first=6, next=10).welcome
        assert (welcome.epoch, welcome.through, welcome.held) == (before + 1, 7, ())
        given = [entry for entry in await hub.entries() if isinstance(entry, EpochGiven)][-1]
        assert (given.previous, given.reason, given.next, given.continues) == (before, "gaps", 10, True)
        assert hub.open(epoch=before, acked=5, first=6, next=10).welcome.through == 7  # that welcome may be lost
        assert hub.open(epoch=hub.marks.of("device").highest_epoch).welcome.epoch == before + 2


async def test_p4_what_hello_shows_to_be_missing_is_recorded_before_welcome() -> None:
    async with house() as hub:
        hub.open().intake.keep(*row(1))
        opening = hub.open(epoch=1, acked=3, first=6, next=9)
        assert opening.welcome.through == 5
        gaps = [entry for entry in await hub.entries() if isinstance(entry, Gap)]
        assert [(gap.dropped.first, gap.dropped.last, gap.lost) for gap in gaps] == [(2, 3, True), (4, 5, False)]
        assert gaps[-1].lsn <= opening.lsn
        opening.intake.keep(*row(6))


async def test_p2_readings_of_a_rewound_device_say_so_as_far_as_they_may_be_double() -> None:
    files, clock = SimulatedFiles(), HandClock()
    async with house(files, clock) as hub:
        intake = hub.open().intake
        for seq in range(1, 8):
            intake.keep(*row(seq))
        intake = hub.open(epoch=1, acked=2, first=3, next=6).intake  # holds 3, 4 and 5: 1 to 3 from now on
        assert intake.epoch == 2
        assert intake.keep(*row(1)).verdict.quality == REWOUND
        await hub.entries()
    async with house(files, clock) as hub:
        intake = hub.open(epoch=2, first=1, next=9).intake
        qualities = [intake.keep(*row(seq)).verdict.quality for seq in range(2, 5)]
        assert qualities == [REWOUND, REWOUND, GOOD]


async def test_p9_each_segment_has_marks_and_the_births_that_are_used_in_it() -> None:
    async with house(segment_bytes=600) as hub:
        intake = hub.open().intake
        for seq in range(1, 30):
            intake.keep(*row(seq))
        entries = await hub.entries()
        known = False
        segments = 0
        for entry in entries:
            if isinstance(entry, Marked):
                known, segments = False, segments + 1
            elif isinstance(entry, Born):
                known = True
                assert entry.birth.id == intake.birth.id
            elif isinstance(entry, Kept):
                assert known
        assert segments > 3
        assert [entry.seq for entry in entries if isinstance(entry, Kept)] == list(range(1, 30))


async def test_a_birth_that_has_not_changed_is_not_written_again() -> None:
    async with house() as hub:
        first = hub.open().intake
        second = hub.open(epoch=1).intake
        other = hub.open(epoch=1, software="newer").intake
        assert first.birth is second.birth
        assert other.birth.id == hub.journal.appended != first.birth.id


async def test_no_judge_is_kept_that_no_link_uses() -> None:
    """A device may say hello with other metrics as often as it likes."""
    async with house() as hub:
        for number in range(5):
            hub.open(metrics=(Declared(f"m{number}", "Cel", "float64"),)).intake.close()
        one, other = hub.open("one").intake, hub.open("other").intake
        assert len(hub.ingest._judges) == 1
        assert one._judge is other._judge


async def test_p11_a_malformed_batch_is_kept_and_wholly_rejected() -> None:
    async with house() as hub:
        intake = hub.open().intake
        kept = intake.keep(Malformed(1, "values must be an array"), b"\x84\x02\x01\xf6\x00")
        assert [entry.code for entry in kept.verdict.rejections] == ["malformed"]
        assert kept.through == 1
        (read,) = await hub.kept()
        assert isinstance(read.body, Malformed)


async def test_times_on_the_uptime_clock_are_resolved_once() -> None:
    async with house() as hub:
        intake = hub.open(uptime=60_000_000).intake  # booted a minute before noon
        hub.clock.time += 5_000_000
        kept = intake.keep(*row(1, 61_000_000))
        assert resolved_times(kept).tolist() == [NOON + 1_000_000]
        unknown = intake.keep(*row(2, None))
        assert (unknown.verdict.quality, resolved_times(unknown).tolist()) == (TIME_UNKNOWN, [NOON + 5_000_000])


async def test_time_of_a_clock_that_is_set_in_the_middle_of_a_batch_is_resolved_for_each_row() -> None:
    async with house() as hub:
        intake = hub.open(uptime=60_000_000).intake
        times = Offsets(0, np.array([60_000_000, 61_000_000, NOON + 2_000_000, -1], np.int64))
        kept = intake.keep(*framed(Columns(1, times, [(0, np.array([20.5, 21.0, 21.5, 22.0]))])))
        (rejection,) = kept.verdict.rejections
        assert (rejection.code, rejection.first, rejection.readings) == ("clock_unset", 3, 1)
        (read,) = await hub.kept()
        for entry in (kept, read):
            assert resolved_times(entry).tolist()[:3] == [NOON, NOON + 1_000_000, NOON + 2_000_000]


async def test_no_time_is_rejected_while_the_hubs_own_clock_is_behind_its_newest_record() -> None:
    async with house() as hub:
        intake = hub.open().intake
        intake.keep(*row(1))
        hub.clock.time -= 3600 * 1_000_000
        assert intake.keep(*row(2, NOON)).verdict.rejections == ()
        hub.clock.time += 3600 * 1_000_000
        late = intake.keep(*row(3, NOON + 3600 * 1_000_000))
        assert [entry.code for entry in late.verdict.rejections] == ["future_time"]


async def test_a_model_that_is_not_known_is_refused_by_name() -> None:
    async with house() as hub:
        with pytest.raises(RemoteProtocolError, match="'tractor'") as refused:
            hub.open(model="tractor")
        assert refused.value.code == CloseCode.MODEL_REFUSED
        assert hub.journal.appended == 1


async def test_a_link_beyond_the_budget_is_sent_away_and_credit_comes_back() -> None:
    async with house(credit=Credit(0, 2)) as hub:
        one, two = hub.open("one").intake, hub.open("two").intake
        assert one.window.bytes == two.window.bytes == MAX_FRAME
        with pytest.raises(RemoteProtocolError) as refused:
            hub.open("three")
        assert refused.value.code == CloseCode.OVERLOAD
        one.close()
        one.close()
        hub.open("three")
        assert hub.credit.links == 2


async def test_a_hello_that_needs_a_record_is_sent_away_while_the_disk_is_full() -> None:
    async with house(ahead_bytes=300) as hub:
        known = hub.open().intake
        await hub.journal.wait_durable(hub.journal.appended)
        hub.files.capacity = hub.files.used()
        seq = 0
        while not hub.journal.stalled:  # what was preallocated is still to be had
            seq += 1
            known.keep(*row(seq))
            await trio.sleep(1)
        with pytest.raises(RemoteProtocolError) as refused:
            hub.open("another")
        assert refused.value.code == CloseCode.OVERLOAD
        assert hub.credit.links == 1
        assert hub.open(epoch=1, first=1, next=seq + 1).welcome.through == seq  # to be sent once that is durable


async def test_marks_survive_a_restart_and_a_hub_that_lost_a_record_asks_for_it_again() -> None:
    files, clock = SimulatedFiles(), HandClock()
    async with house(files, clock) as hub:
        intake = hub.open().intake
        for seq in range(1, 6):
            intake.keep(*row(seq))
        await hub.entries()
        frame = row(3)[1]
    path = next(iter(files._names))
    content = files.content(path)
    content[content.index(frame) + 1] ^= 1
    async with house(files, clock) as hub:
        opening = hub.open(epoch=1, acked=2, first=3, next=6)
        assert (opening.welcome.through, opening.welcome.held) == (2, ((4, 5),))
        assert opening.intake.keep(*row(3)).through == 5
        assert opening.intake.keep(*row(6)).through == 6


async def test_what_has_expired_when_it_comes_is_rejected() -> None:
    async with house() as hub:
        hub.ingest.kept_for = 3_600_000_000
        intake = hub.open().intake
        assert intake.keep(*row(1, NOON - 3_600_000_000)).verdict.rejected == 0
        (rejection,) = intake.keep(*row(2, NOON - 3_600_000_001)).verdict.rejections
        assert (rejection.code, rejection.readings) == ("past_time", 1)
        assert "store.retention" in rejection.text


async def test_time_a_clock_behind_the_newest_record_rejects_none_until_it_is_confirmed() -> None:
    hour = 3_600_000_000
    files, clock = SimulatedFiles(), HandClock()
    async with house(files, clock) as hub:
        clock.time = NOON + hour  # it was ahead
        hub.open().intake.keep(*row(1, NOON + hour))
        await hub.entries()
        clock.time = NOON
        assert hub.ingest.trust.behind(NOON) == hour
    async with house(files, clock) as hub:
        assert hub.ingest.trust.behind(NOON) == hour, "over a restart"
        intake = hub.open(epoch=1, acked=0, first=1, next=2).intake
        assert intake.keep(*row(2, NOON + hour)).verdict.rejected == 0
        hub.ingest.confirm_clock("admin")
        assert hub.ingest.trust.behind(NOON) == 0
        (rejection,) = intake.keep(*row(3, NOON + hour)).verdict.rejections
        assert rejection.code == "future_time"
        hub.ingest.roll()
        await hub.entries()
    for _ in range(2):  # by the records, then by the marks
        async with house(files, clock) as hub:
            assert hub.ingest.trust.behind(NOON) == 0
            hub.ingest.roll()
            await hub.entries()


async def test_time_a_clock_that_was_never_set_is_not_trusted() -> None:
    clock = HandClock()
    clock.time = 5_000_000
    async with house(clock=clock) as hub:
        assert hub.ingest.trust.behind(clock.time) > 0
        assert hub.open().intake.keep(*row(1, NOON)).verdict.rejected == 0
