"""The row of clocks that jump or are wrong, on injected clocks. Everything is in UTC: DST changes no clock of ours."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import trio

from hub.ingest.intake import Intake
from hub.ports import SystemClock
from hub.wire.kept import Kept, Verdict
from hub.wire.messages import GOOD, TIME_UNKNOWN, Batch, Columns, Regular, Row
from hub.wire.rows import resolved_times
from tests.edge.house import house as edge_house
from tests.edge.house import tank
from tests.faults.damaged_journal import in_virtual_time
from tests.faults.disturbed import first_of
from tests.faults.lab import Failed, Figures, Lab
from tests.faults.lab import Row as LabRow
from tests.ingest.house import NOON, HandClock, framed, house
from tests.simulation.files import SimulatedFiles

SECOND = 1_000_000
MINUTE, HOUR, DAY = 60 * SECOND, 3_600 * SECOND, 86_400 * SECOND
UPTIME = 600 * SECOND  # what devices on their uptime clock say in hello


class Case(NamedTuple):
    """``hub``: by how much the hub's clock jumps from noon, while a link is open. ``device``: the time it sends (us).
    ``code``: why it is rejected (empty: accepted), and where it is not, its quality and the time that is stored."""

    name: str
    hub: int
    device: int | None
    code: str = ""
    quality: int = GOOD
    stored: int | None = None  # null: as the device said


CASES = [
    Case("nothing jumps", 0, NOON),
    Case("hub an hour on", HOUR, NOON),
    Case("hub an hour back: it rejects no time until it has passed its newest record", -HOUR, NOON),
    Case("hub an hour back, device two hours on from there", -HOUR, NOON + HOUR),
    Case("hub a day back", -DAY, NOON),
    Case("hub at 1970 (no battery)", -NOON, NOON),
    Case("device an hour behind", 0, NOON - HOUR),
    Case("device an hour ahead", 0, NOON + HOUR, "future_time"),
    Case("device five minutes ahead", 0, NOON + 5 * MINUTE),
    Case("device just beyond five minutes ahead", 0, NOON + 5 * MINUTE + 1, "future_time"),
    Case("device an hour ahead, so is the hub", HOUR, NOON + HOUR),
    Case("device in the year 1999", 0, 946_684_799 * SECOND, "past_time"),
    Case("device in the year 2100", 0, 4_102_444_800 * SECOND, "future_time"),
    Case("device before 1970", 0, -1, "clock_unset"),
    Case("device without a clock", 0, None, quality=TIME_UNKNOWN, stored=NOON),
    Case("device without a clock, hub an hour back", -HOUR, None, quality=TIME_UNKNOWN, stored=NOON - HOUR),
]
UPTIMES = [
    Case("uptime", 0, UPTIME + MINUTE, stored=NOON + MINUTE),
    Case("uptime, hub an hour on after hello", HOUR, UPTIME + MINUTE, stored=NOON + MINUTE),
    Case("uptime, hub an hour back after hello", -HOUR, UPTIME + MINUTE, stored=NOON + MINUTE),
    Case("uptime of an hour to come", 0, UPTIME + HOUR, "future_time"),
    Case("uptime of the boot before", 0, 0, stored=NOON - UPTIME),
]


def clocks(lab: Lab) -> Figures:
    """F22: each case as a row and as columns, kept, judged once, and the same over a restart at another time; then
    jumps under a link whose timers are monotonic."""
    try:
        cases, lasting = in_virtual_time(_judged), in_virtual_time(_over_restart)
        acked = in_virtual_time(_links, lab.scratch)
    except* (Failed, trio.TooSlowError) as group:
        raise first_of(group) from group
    return {"cases": cases + lasting + 1, "acked": acked, "lost": 0, "duplicated": 0}


async def _judged() -> int:
    """Each on a hub of its own, whose newest record is of noon."""
    count = 0
    for uptime, cases in ((None, CASES), (UPTIME, UPTIMES), (None, UPTIMES)):
        for case in cases:
            if uptime is None and cases is UPTIMES:
                case = case._replace(code="clock_unset", name=f"{case.name}, which hello did not say")
            for columns in (False, True):
                await _one(case, uptime, columns)
                count += 1
    return count


async def _one(case: Case, uptime: int | None, columns: bool) -> None:
    files, clock = SimulatedFiles(), HandClock()
    async with house(files, clock) as hub:
        hub.open("newest").intake.keep(*framed(Row(1, NOON, [20.5])))
        intake = hub.open("device", uptime=uptime).intake
        clock.time += case.hub
        kept = _keep(intake, case.device, columns)
        _check(case, kept)
        before = await hub.kept()
        ends = hub.journal.appended
    clock.time += DAY
    async with house(files, clock) as hub:  # the verdict is of then, whatever the time is now (P8)
        again = await hub.kept()
        if [(one.seq, one.base, one.verdict) for one in again] != [(one.seq, one.base, one.verdict) for one in before]:
            raise Failed(f"{case.name}: judged anew")
        if hub.journal.appended != ends or len(again) != 2:
            raise Failed(f"{case.name}: {len(again)} of 2 batches are here")
        if hub.open("device", epoch=1, first=1, next=2).welcome.through != 1:
            raise Failed(f"{case.name}: the batch is not settled")


def _keep(intake: Intake, time: int | None, columns: bool) -> Kept:
    batch: Batch = Row(1, time, [20.5])
    if columns:
        batch = Columns(1, Regular(time, 1, 1), [(0, np.array([20.5]))])
    return intake.keep(*framed(batch))


def _check(case: Case, kept: Kept) -> None:
    verdict: Verdict = kept.verdict
    codes = [entry.code for entry in verdict.rejections]
    if codes != ([case.code] if case.code else []):
        raise Failed(f"{case.name}: {codes or 'accepted'}, and not {case.code or 'accepted'}")
    stored = case.device if case.stored is None else case.stored
    if not codes and (verdict.quality, resolved_times(kept).tolist()) != (case.quality, [stored]):
        raise Failed(f"{case.name}: stored at {resolved_times(kept).tolist()} as {verdict.quality}")


async def _over_restart() -> int:
    """A hub that starts an hour before its newest record does not judge times, until it has passed that."""
    files, clock = SimulatedFiles(), HandClock()
    async with house(files, clock) as hub:
        hub.open().intake.keep(*framed(Row(1, NOON, [20.5])))
        await hub.kept()
    count = 0
    for shift, code in ((-HOUR, ""), (-2 * SECOND, ""), (-SECOND, "future_time"), (MINUTE, "future_time")):
        clock.time = NOON + shift
        async with house(files, clock) as hub:
            seq = count + 2
            intake = hub.open(epoch=1, acked=seq - 1, first=seq, next=seq).intake
            kept = intake.keep(*framed(Row(seq, NOON + HOUR, [20.5])))
            found = [entry.code for entry in kept.verdict.rejections]
            if found != ([code] if code else []):
                raise Failed(f"started {shift / SECOND:g} s from its newest record: {found}")
            clock.time = NOON  # so that its newest record stays of noon
            await hub.kept()
        count += 1
    return count


class Jumping(SystemClock):
    """The wall clock jumps, the monotonic one does not."""

    jump = 0

    def now(self) -> int:
        return super().now() + self.jump


async def _links(folder: Path) -> int:
    """Jumps under an open link: nothing times out, nothing is lost. Rows acked."""
    clock, rows = Jumping(), 0
    async with edge_house(folder, clock=clock) as hub, tank(hub, await hub.token()) as device:
        with trio.fail_after(600):  # virtual
            for jump in (HOUR, 0, -HOUR, 0, 7 * DAY, -7 * DAY, 0):
                clock.jump = jump
                await trio.sleep(5)  # in which nothing is said
                await device.rows(20)  # fails where the link was closed
                rows += 20
        seqs = [kept.seq for kept in hub.kept]
        if seqs != list(range(1, rows + 1)):
            raise Failed(f"{rows} rows were sent, {len(seqs)} are here")
    return rows


ROWS = [LabRow("F22 clocks jump", clocks)]
