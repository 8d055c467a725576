"""The curve of one metric: stored history first, live readings after it. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import ceil, isfinite
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from hub.query import Columns, Question

SECOND: Final = 1_000_000  # us
SPANS: Final = (60, 300, 900, 3_600, 21_600, 86_400, 604_800)  # seconds that the plot may show
RAW_SPAN: Final = 60  # seconds up to which the readings themselves are asked for, beyond it means of buckets
RAW_ROWS: Final = 20_000  # of them at most: a minute of 100 Hz is 6,000
BUCKETS: Final = 300  # points of a longer span: about two for each cell of a wide plot
LIVE: Final = 4_000  # live points kept after the history; it is asked for again long before

Floats = npt.NDArray[np.float64]


def _empty() -> Floats:
    return np.empty(0)


@dataclass
class Points:
    """Times (seconds since the epoch) and values, oldest first; ``low`` and ``high`` of each bucket where there are
    buckets."""

    device: str
    metric: str
    span: int
    times: Floats = field(default_factory=_empty)
    values: Floats = field(default_factory=_empty)
    low: Floats = field(default_factory=_empty)
    high: Floats = field(default_factory=_empty)
    live: list[tuple[float, float]] = field(default_factory=list)

    def question(self, now: int) -> Question:
        """What to ask the store for at ``now`` (us)."""
        since = now - self.span * SECOND
        if self.span <= RAW_SPAN:
            return Question((self.metric,), (self.device,), since=since, limit=RAW_ROWS)
        every = ceil(self.span / BUCKETS) * SECOND
        return Question(
            (self.metric,), (self.device,), since=since - since % every, every=every, aggregates=("mean", "min", "max")
        )

    def recall(self, answer: Columns) -> None:
        """Take in the store's answer; live points that are newer than it stay."""
        times = np.asarray(answer.columns.get("time", ()), dtype=np.float64) / SECOND
        values = _floats(answer.columns.get("mean", answer.columns.get("value", ())), len(times))
        self.times, self.values = times, values
        self.low = _floats(answer.columns.get("min", ()), len(times))
        self.high = _floats(answer.columns.get("max", ()), len(times))
        newest = float(times[-1]) if len(times) else 0.0
        self.live = [point for point in self.live if point[0] > newest]

    def hear(self, time: int, value: Any) -> None:
        """Take in a live reading (``time`` in us), unless it is no number or not newer than what is here."""
        at = time / SECOND
        newest = self.live[-1][0] if self.live else float(self.times[-1]) if len(self.times) else 0.0
        if isinstance(value, int | float) and isfinite(value) and at > newest:
            self.live.append((at, float(value)))
            del self.live[:-LIVE]

    def curve(self, since: float, columns: int) -> tuple[Floats, Floats]:
        """Times and values from ``since`` (s) on, thinned so that each of ``columns`` keeps its least and most."""
        live = np.array(self.live, dtype=np.float64).reshape(-1, 2)
        times, values = np.concatenate([self.times, live[:, 0]]), np.concatenate([self.values, live[:, 1]])
        wanted = (times >= since) & np.isfinite(values)
        return thin(times[wanted], values[wanted], columns)

    def newest(self) -> float | None:
        """The value at the end of the curve."""
        return self.live[-1][1] if self.live else float(self.values[-1]) if len(self.values) else None


def thin(times: Floats, values: Floats, columns: int) -> tuple[Floats, Floats]:
    """At most two points for each column: its least and its most, in their order."""
    if len(times) <= 2 * columns or columns < 1:
        return times, values
    edges = np.linspace(0, len(times), columns + 1).astype(np.int64)
    starts = edges[:-1]
    lows = [start + int(np.argmin(values[start:end])) for start, end in zip(starts, edges[1:], strict=True)]
    highs = [start + int(np.argmax(values[start:end])) for start, end in zip(starts, edges[1:], strict=True)]
    kept = np.unique(np.array([lows, highs]))
    return times[kept], values[kept]


def _floats(values: Sequence[Any] | npt.NDArray[Any], rows: int) -> Floats:
    """A column as floats; texts and nothing become NaN, which no curve shows."""
    try:
        found = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        found = np.array([one if isinstance(one, int | float) else np.nan for one in values], dtype=np.float64)
    return found if len(found) == rows else np.full(rows, np.nan)
