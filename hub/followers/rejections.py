"""Rejected readings one by one, with their values, for quarantine."""

from collections.abc import Iterable, Iterator
from typing import Final

import numpy as np

from hub.state import Rejected
from hub.wire.kept import Kept
from hub.wire.messages import TIME_UNKNOWN, Array, Columns, Malformed, Row, Value
from hub.wire.rows import resolved_times

#: Rejected because of their time: it says nothing, and is not stored.
TIMELESS: Final = frozenset({"clock_unset"})


def rejected_readings(kept: Kept) -> Iterator[Rejected]:
    """Every reading that the verdict on this batch rejects; one entry for a batch that could not be read."""
    birth, body = kept.birth, kept.body
    times = resolved_times(kept) if kept.verdict.quality != TIME_UNKNOWN else None
    for metric, code, first, readings, text in kept.verdict.rejections:
        if isinstance(body, Malformed):
            yield Rejected(
                kept.lsn, birth.device, kept.epoch, kept.seq, -1, "", None, kept.received, code, text or body.why, None,
                birth.model,
            )  # fmt: skip
            continue
        for index, row, value in _values(kept, metric, first, readings):
            name, unit, kind = birth.metrics[index] if index < len(birth.metrics) else (f"#{index}", "", "")
            timed = times is not None and code not in TIMELESS and row < len(times)
            time = int(times[row]) if timed and times is not None else None
            yield Rejected(
                kept.lsn, birth.device, kept.epoch, kept.seq, row, name, time, kept.received, code, text, value,
                birth.model, unit, kind, kept.verdict.quality, kept.rows_before,
            )  # fmt: skip


def _values(kept: Kept, metric: int, first: int, readings: int) -> Iterator[tuple[int, int, Value]]:
    """``(index, row, value)`` of what one rejection means; -1 is the whole batch."""
    body = kept.body
    if isinstance(body, Row):
        indexes: Iterable[int] = range(len(body.values)) if metric == -1 else (metric,)
        for index in indexes:
            if 0 <= index < len(body.values) and body.values[index] is not None:
                yield index, 0, body.values[index]
    elif isinstance(body, Columns):
        for index, column in body.columns:
            if metric == -1:
                yield from ((index, row, value) for row, value in _cells(column, 0, len(column)))
            elif metric == index:
                yield from ((index, row, value) for row, value in _cells(column, first, readings))


def _cells(column: "Array | list[Value]", first: int, count: int) -> Iterator[tuple[int, Value]]:
    cells = column[first : first + count]
    values: list[Value] = cells.tolist() if isinstance(cells, np.ndarray) else cells
    for row, value in enumerate(values, start=first):
        if value is not None:
            yield row, value
