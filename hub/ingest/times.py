"""Which clock a batch's times are of, and which of them cannot be (decided once, at append)."""

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from hub.ingest.limits import Fault
from hub.wire.messages import GOOD, TIME_UNKNOWN, Offsets, Regular

SECOND: Final = 1_000_000  # us
UPTIME_END: Final = 2**28 * SECOND  # times below it are on the device's uptime clock: 8.5 years of uptime
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
    """``base`` is to be added to the times of the batch, or the time of its first row where they are unknown."""

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


def judge_times(times: Regular | Offsets, now: Now) -> Timed:
    """The times of columns; each fault names its rows."""
    if times[0] is None:
        return Timed(now.received, TIME_UNKNOWN)
    first, last = _extent(times)
    base = 0
    if first >= 0 and last < UPTIME_END:
        if now.uptime_base is None:
            return Timed(0, GOOD, (UNSET,))
        base = now.uptime_base
    elif first < UPTIME_END:
        return Timed(0, GOOD, _faults(_rows(times), now))
    if not now.trusted or (first + base >= max(EARLIEST, now.oldest) and last + base <= now.received + AHEAD):
        return Timed(base, GOOD)
    return Timed(base, GOOD, _faults(_rows(times) + base, now))


def _extent(times: Regular | Offsets) -> tuple[int, int]:
    start = times[0] or 0
    if isinstance(times, Regular):
        end = start + times.step * (times.rows - 1)
        return min(start, end), max(start, end)
    return start + int(times.offsets.min()), start + int(times.offsets.max())


def _rows(times: Regular | Offsets) -> npt.NDArray[np.int64]:
    """Times as they stand in the batch; the decoder has seen to it that they fit."""
    start = times[0] or 0
    if isinstance(times, Regular):
        return np.arange(times.rows, dtype=np.int64) * times.step + start
    return times.offsets.astype(np.int64) + start


def _faults(rows: npt.NDArray[np.int64], now: Now) -> tuple[Fault, ...]:
    """Where a batch mixes clocks, the rows on the uptime clock are on none: one base serves a whole batch."""
    unset = rows < UPTIME_END
    found = [UNSET._replace(rows=unset)]
    if now.trusted:
        found.append(PAST._replace(rows=(rows < EARLIEST) & ~unset))
        found.append(OLD._replace(rows=(rows < now.oldest) & (rows >= EARLIEST) & ~unset))
        found.append(FUTURE._replace(rows=rows > now.received + AHEAD))
    return tuple(fault for fault in found if fault.rows is not None and fault.rows.any())
