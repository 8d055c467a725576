"""The one place that turns what was kept into arrays: which time each row has, and which readings were accepted."""

import numpy as np
import numpy.typing as npt

from hub.wire.kept import Kept, Verdict
from hub.wire.messages import TIME_UNKNOWN, Batch, Columns, Event, Regular, Row


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
    times = body.times
    if isinstance(times, Regular):
        steps = np.arange(times.rows, dtype=np.int64) * times.step
        return steps + (kept.base + (times.start or 0))
    return times.offsets.astype(np.int64) + (kept.base + (times.base or 0))


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
