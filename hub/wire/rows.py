"""The one place that turns what was kept into arrays: which time each row has, and which readings were accepted."""

from typing import Final

import numpy as np
import numpy.typing as npt

from hub.wire.kept import Kept, Verdict
from hub.wire.messages import TIME_UNKNOWN, Batch, Columns, Event, Regular, Row

UPTIME_END: Final = 2**28 * 1_000_000  # us; times in [0, this) are on the device's uptime clock: 8.5 years of uptime


def row_count(body: Batch) -> int:
    """Rows of readings in a batch: 1 for a row, 0 for what carries no readings."""
    if type(body) is Row:
        return 1
    if type(body) is Columns:
        return body.times.rows if isinstance(body.times, Regular) else len(body.times.offsets)
    return 0


def resolved_times(kept: Kept) -> npt.NDArray[np.int64]:
    """Time of each row in us since the Unix epoch; empty for what carries no readings."""
    body = kept.body
    if kept.verdict.quality == TIME_UNKNOWN:  # what the batch says of time is not used: 1 us apart keeps their order
        return np.arange(kept.base, kept.base + row_count(body), dtype=np.int64)
    if type(body) is Row:
        return np.array([kept.base + (body.time or 0)], dtype=np.int64)
    if type(body) is not Columns:
        return np.empty(0, dtype=np.int64)
    return based(said_times(body), kept.base)


def said_times(body: Columns) -> npt.NDArray[np.int64]:
    """Times of the rows as they stand in the batch; the decoder has seen to it that they fit."""
    times = body.times
    if isinstance(times, Regular):
        return np.arange(times.rows, dtype=np.int64) * times.step + (times.start or 0)
    return times.offsets.astype(np.int64) + (times.base or 0)


def based(times: npt.NDArray[np.int64], base: int) -> npt.NDArray[np.int64]:
    """Times as a batch says them, with ``base`` added to those on the uptime clock of the device: its clock may be set
    in the middle of a batch."""
    if not base or not len(times):
        return times
    if times.min() >= 0 and times.max() < UPTIME_END:
        return times + base
    return np.where((times >= 0) & (times < UPTIME_END), times + base, times)


def event_time(kept: Kept) -> int:
    """Time of an event in us since the Unix epoch; the receive time where it has none."""
    body = kept.body
    if type(body) is not Event or body.time is None or kept.verdict.quality == TIME_UNKNOWN:
        return kept.received
    return kept.base + body.time


def accepted_mask(kept: Kept | Verdict, index: int, n: int) -> npt.NDArray[np.bool_] | None:
    """Which of the ``n`` rows of metric ``index`` were accepted; ``None`` means all of them.

    Says nothing of nulls in a column: they are no readings, and neither accepted nor rejected.
    """
    verdict = kept.verdict if type(kept) is Kept else kept
    rejections = verdict.rejections  # type: ignore[union-attr]
    if not rejections:
        return None
    mask: npt.NDArray[np.bool_] | None = None
    for metric, _, first, readings, _ in rejections:
        if metric == -1:
            return np.zeros(n, dtype=np.bool_)
        if metric == index:
            if mask is None:
                mask = np.ones(n, dtype=np.bool_)
            mask[first : first + readings] = False
    return mask
