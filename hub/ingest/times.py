"""Which clock a batch's times are of, and which of them cannot be (decided once, at append)."""

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from hub.ingest.limits import Fault
from hub.wire.messages import GOOD, TIME_UNKNOWN, Columns, Offsets, Regular
from hub.wire.rows import UPTIME_END, based, said_times

SECOND: Final = 1_000_000  # us
EARLIEST: Final = 946_684_800 * SECOND  # 2000-01-01: no clock that was ever set says less
AHEAD: Final = 300 * SECOND  # how far a device's clock may be ahead of the hub's

UNSET: Final = Fault("clock_unset", "the time is on no clock that is set: send uptime in hello, or null")
FUTURE: Final = Fault("future_time", "the time is more than 5 min after the hub's")
PAST: Final = Fault("past_time", "the time is before 2000-01-01")
OLD: Final = Fault("past_time", "the time is older than what the hub keeps (store.retention)")


class Now(NamedTuple):
    """What times are judged against. ``uptime_base``: hub time at which the device booted, null when it did not say.
    ``trusted``: whether the hub's own clock is fit to judge. ``oldest``: us; what is earlier has expired already."""

    received: int
    uptime_base: int | None
    trusted: bool = True
    oldest: int = EARLIEST


class Timed(NamedTuple):
    """``base`` is to be added to those times of the batch that are on the uptime clock, or the time of its first row
    where they are unknown."""

    base: int
    quality: int
    faults: tuple[Fault, ...] = ()


def judge_time(time: int | None, now: Now) -> Timed:
    """One time."""
    if time is None:
        return Timed(now.received, TIME_UNKNOWN)
    base = 0
    if time < UPTIME_END:
        if time < 0 or now.uptime_base is None:
            return Timed(0, GOOD, (UNSET,))
        base = now.uptime_base
        time += base
    if now.trusted:
        if time > now.received + AHEAD:
            return Timed(base, GOOD, (FUTURE,))
        if time < EARLIEST:
            return Timed(base, GOOD, (PAST,))
        if time < now.oldest:
            return Timed(base, GOOD, (OLD,))
    return Timed(base, GOOD)


def judge_times(batch: Columns, now: Now) -> Timed:
    """The times of columns; each fault names its rows."""
    times = batch.times
    if times[0] is None:
        return Timed(now.received, TIME_UNKNOWN)
    first, last = _extent(times)
    base = 0
    if first >= 0 and last < UPTIME_END:
        if now.uptime_base is None:
            return Timed(0, GOOD, (UNSET,))
        base = now.uptime_base
    elif last < 0:
        return Timed(0, GOOD, (UNSET,))
    elif first < UPTIME_END:  # of two clocks, or of one and none
        return Timed(now.uptime_base or 0, GOOD, _faults(said_times(batch), now))
    if not now.trusted or (first + base >= max(EARLIEST, now.oldest) and last + base <= now.received + AHEAD):
        return Timed(base, GOOD)
    return Timed(base, GOOD, _faults(said_times(batch), now))


def _extent(times: Regular | Offsets) -> tuple[int, int]:
    start = times[0] or 0
    if isinstance(times, Regular):
        end = start + times.step * (times.rows - 1)
        return min(start, end), max(start, end)
    return start + int(times.offsets.min()), start + int(times.offsets.max())


def _faults(said: npt.NDArray[np.int64], now: Now) -> tuple[Fault, ...]:
    """The rows that are wrong; ``said``: times as they stand in the batch."""
    rows = based(said, now.uptime_base or 0)
    unset = said < (UPTIME_END if now.uptime_base is None else 0)
    found = [UNSET._replace(rows=unset)]
    if now.trusted:
        found.append(PAST._replace(rows=(rows < EARLIEST) & ~unset))
        found.append(OLD._replace(rows=(rows < now.oldest) & (rows >= EARLIEST) & ~unset))
        found.append(FUTURE._replace(rows=rows > now.received + AHEAD))
    return tuple(fault for fault in found if fault.rows is not None and fault.rows.any())
