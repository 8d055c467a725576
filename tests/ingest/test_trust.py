"""Time: when the hub's own clock is fit to judge by."""

import re
from datetime import UTC, datetime
from pathlib import Path
from unittest.mock import Mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.ingest.trust import BUILT, DAY, FIRST, LEAP, newer
from hub.standing import Standing
from hub.wire.messages import Dropped
from tests.ingest.house import NOON, HandClock, house, row
from tests.journal.driving import simulate
from tests.simulation.files import SimulatedFiles

CHANGELOG = Path(__file__).parents[2] / "CHANGELOG.md"
YEARS = 3_650 * DAY
HOUR = DAY // 24


def test_time_the_build_date_is_that_of_the_newest_release() -> None:
    built = datetime.fromtimestamp(BUILT / 1e6, UTC)
    assert built <= datetime.now(UTC), "a hub that is built tomorrow trusts no clock of today"
    if released := re.findall(r"^## .* - (\d{4}-\d\d-\d\d)$", CHANGELOG.read_text(), re.MULTILINE):
        assert built.date().isoformat() == max(released)


@pytest.mark.parametrize(
    ("newest", "received", "then"),
    [
        (0, NOON, NOON),
        (5_000_000, NOON, NOON),  # the clock was set since
        (NOON, NOON + HOUR, NOON + HOUR),
        (NOON, NOON - HOUR, NOON),
        (NOON, NOON + LEAP, NOON + LEAP),
        (NOON, NOON + LEAP + 1, NOON),
        (FIRST, FIRST + YEARS, FIRST),
        (FIRST - 1, FIRST + YEARS, FIRST + YEARS),
    ],
)
def test_time_a_record_after_a_leap_says_nothing_of_the_time(newest: int, received: int, then: int) -> None:
    assert newer(newest, received) == then


@pytest.mark.trio
async def test_time_a_clock_that_leapt_ahead_rejects_nothing_as_too_old() -> None:
    files, clock = SimulatedFiles(), HandClock()
    async with house(files, clock) as hub:
        hub.ingest.kept_for = 30 * DAY
        hub.open().intake.keep(*row(1))
        clock.time = NOON + YEARS
        intake = hub.open(epoch=1, acked=1, first=2, next=2).intake
        assert intake.keep(*row(2, NOON + HOUR)).verdict.rejected == 0
        assert intake.keep(*row(3, NOON - 30 * DAY)).verdict.rejected == 0
        assert intake.keep(*row(4, NOON - 30 * DAY - 1)).verdict.rejected == 1
        assert (hub.ingest.trust.now(), hub.ingest.trust.ahead(clock.time)) == (NOON, YEARS)
        hub.ingest.roll()
        await hub.entries()
    for _ in range(2):  # by the records, then by the marks
        async with house(files, clock) as hub:
            assert hub.ingest.trust.ahead(clock.time) == YEARS
            clock.time = NOON + HOUR
            assert (hub.ingest.trust.ahead(clock.time), hub.ingest.trust.behind(clock.time)) == (0, 0)
            clock.time = NOON + YEARS
            hub.ingest.roll()
            await hub.entries()


@pytest.mark.trio
async def test_time_a_clock_that_is_ahead_is_trusted_once_it_is_confirmed() -> None:
    files, clock = SimulatedFiles(), HandClock()
    async with house(files, clock) as hub:
        hub.ingest.kept_for = 30 * DAY
        hub.open().intake.keep(*row(1))
        clock.time = NOON + YEARS
        hub.ingest.confirm_clock("admin")
        assert (hub.ingest.trust.now(), hub.ingest.trust.ahead(clock.time)) == (clock.time, 0)
        assert hub.open(epoch=1, acked=1, first=2, next=2).intake.keep(*row(2)).verdict.rejected == 1
        await hub.entries()
    async with house(files, clock) as hub:
        assert hub.ingest.trust.ahead(clock.time) == 0


@pytest.mark.trio
async def test_time_a_leap_that_costs_nothing_is_written_down_so_that_a_clock_that_is_behind_later_is_noticed() -> None:
    files, clock = SimulatedFiles(), HandClock()
    async with house(files, clock) as hub:
        hub.open().intake.keep(*row(1))
        clock.time = NOON + 10 * DAY  # the hub was off; nothing expires in it
        hub.ingest.note_clock()
        intake = hub.open(epoch=1, acked=1, first=2, next=2).intake
        clock.time = NOON + 150 * DAY
        hub.ingest.note_clock()
        intake.keep(*row(2, clock.time))
        clock.time = NOON + 60 * DAY
        assert hub.ingest.trust.behind(clock.time) == 90 * DAY
        late = hub.open(epoch=1, acked=2, first=3, next=3).intake
        assert late.keep(*row(3, NOON + 150 * DAY)).verdict.rejected == 0, "that is the right time"


@pytest.mark.trio
@pytest.mark.parametrize("unset", [False, True])
async def test_time_a_clock_that_is_set_for_the_first_time_is_no_leap(unset: bool) -> None:
    """It said the day of an image before, as a machine without a battery does."""
    files, clock = SimulatedFiles(), HandClock()
    async with house(files, clock) as hub:
        hub.ingest.kept_for = 30 * DAY
        clock.time = BUILT - 20 * DAY if unset else BUILT + DAY
        hub.ingest.note_clock()
        hub.open().intake.keep(*row(1))
        clock.time = NOON
        hub.ingest.note_clock()
        assert bool(hub.ingest.trust.ahead(NOON)) is not unset


@pytest.mark.trio
async def test_time_health_says_what_is_wrong_with_the_clock() -> None:
    clock = HandClock()
    async with house(clock=clock) as hub:
        standing = Standing(hub.journal, hub.ingest, Mock(), Mock(), clock, list)
        standing.damage, standing.copies = Mock(cautions=list), Mock(problem=None)
        assert standing.cautions() == []
        hub.open().intake.keep(*row(1))
        clock.time = NOON + YEARS
        assert standing.cautions() == [], "nothing expires in this hub anyway"
        hub.ingest.kept_for = 30 * DAY
        (ahead,) = standing.cautions()
        assert "3650 days ahead of its newest record, so nothing expires by it" in ahead
        clock.time = NOON - HOUR
        (behind,) = standing.cautions()
        assert "3600 s behind its newest record" in behind
        clock.time = 0
        (unset,) = standing.cautions()
        assert "was never set" in unset


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.booleans(), st.integers(-LEAP, 3 * LEAP)), max_size=20))
def test_time_the_newest_time_is_the_same_live_by_the_records_and_by_the_marks(steps: list[tuple[bool, int]]) -> None:
    files, clock = SimulatedFiles(), HandClock()

    async def lives() -> None:
        async with house(files, clock) as hub:
            for at, (rolls, step) in enumerate(steps, 1):
                clock.time += step
                hub.ingest.gap(f"device-{at}", 1, Dropped(1, 1, None, "full"), lost=False)
                if rolls:
                    hub.ingest.roll()
                await hub.entries()
            newest = hub.marks.newest
        async with house(files, clock) as hub:
            assert hub.marks.newest == newest

    simulate(lives)
