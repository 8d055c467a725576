"""What is known of one device's series, in a form that is cheap to keep up to date."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple, TypeAlias

from hub.model import Model, ValueType
from hub.wire.kept import Birth, Kept
from hub.wire.messages import Declared, Row, Value

#: min(time, receive time), epoch, seq, row.
Order: TypeAlias = tuple[int, int, int, int]
NEVER: Final[Order] = (-1, -1, -1, -1)


class Reading(NamedTuple):
    """A reading as it is shown: ``value`` in the metric's unit (a decimal is divided)."""

    time: int
    value: Value
    quality: int


class Stored(NamedTuple):
    """A reading as a store has it: numbers as floats, in the unit. ``at``: min(time, receive time)."""

    metric: str
    unit: str
    at: int
    time: int
    value: float | str
    quality: int


class Shape:
    """A birth compiled: by index the metrics' names, what to divide raw values by, and the limits to warn of."""

    __slots__ = ("__weakref__", "names", "scales", "units", "warn", "whole")

    def __init__(self, metrics: Sequence[Declared], model: Model | None) -> None:
        self.names = tuple(metric.name for metric in metrics)
        self.units = tuple(metric.unit for metric in metrics)
        self.scales = tuple(_scale(metric.type) for metric in metrics)
        self.whole = tuple(_whole(metric.type) for metric in metrics)
        self.warn: list[tuple[int, float, float]] = []  # index, lowest and highest value nobody needs to look at
        for index, name in enumerate(self.names):
            metric = None if model is None else model.metrics.get(name)
            if metric is not None and (metric.warn_min is not None or metric.warn_max is not None):
                low = float("-inf") if metric.warn_min is None else metric.warn_min
                high = float("inf") if metric.warn_max is None else metric.warn_max
                self.warn.append((index, low, high))

    def shown(self, index: int, value: Value) -> Value:
        """A raw value in the metric's unit."""
        scale = self.scales[index]
        return value if scale == 1 or not isinstance(value, int) else value / scale

    def as_shown(self, index: int, stored: float | str) -> Value:
        """A stored value as ``shown`` had it."""
        return stored if isinstance(stored, str) else self.whole[index](stored)


class Series:
    """One metric of one device: its latest reading where that is not in the track's full row."""

    __slots__ = ("kept", "moved", "order", "reading")

    def __init__(self) -> None:
        self.order = NEVER
        self.reading: Reading | None = None
        self.kept: Kept | None = None  # a row that is newer than ``reading`` and not looked into yet
        self.moved = 0  # readings that moved latest, full rows apart


class Track:
    """One device: its series by index of its birth, and the last row that had a value for every metric."""

    __slots__ = ("birth", "clear", "full", "rows", "series", "shape", "time", "width")

    def __init__(self, birth: Birth, shape: Shape) -> None:
        self.birth = birth
        self.shape = shape
        self.series = [Series() for _ in shape.names]
        self.width = len(shape.names)
        self.full: Kept | None = None
        self.time = -1  # min(time, receive time) of the full row
        self.clear = -1  # a full row of this time or later is ahead of every series
        self.rows = 0  # full rows that moved latest

    @property
    def order(self) -> Order:
        """Of the full row."""
        return NEVER if self.full is None else (self.time, self.full.epoch, self.full.seq, 0)

    def reading(self, index: int) -> Reading | None:
        """The latest of one metric."""
        series = self.series[index]
        kept = series.kept if self.full is None or series.order > self.order else self.full
        if kept is None or type(kept.body) is not Row:
            return series.reading
        time = kept.base + (kept.body.time or 0)
        return Reading(time, self.shape.shown(index, kept.body.values[index]), kept.verdict.quality)

    def reborn(self, birth: Birth, shape: Shape) -> None:
        """The device has a new birth: series go on by name."""
        before: dict[str, Series] = {}
        for index, (name, series) in enumerate(zip(self.shape.names, self.series, strict=True)):
            series.reading, series.kept = self.reading(index), None
            series.order = max(series.order, self.order)
            series.moved += self.rows
            before[name] = series
        self.birth, self.shape, self.width = birth, shape, len(shape.names)
        self.clear = max(self.clear, self.time + 1)
        self.full, self.time, self.rows = None, -1, 0
        self.series = [before.get(name) or Series() for name in shape.names]


class Fresh(NamedTuple):
    """A batch that moved latest. ``before``: of the metrics that it moved, by index, what was latest until then; null
    where it moved all of them, with one row."""

    kept: Kept
    shape: Shape
    before: Mapping[int, Order] | None


@dataclass
class Moved:
    """What moved latest, for those who watch. ``fresh``: the batches whose metrics have limits to warn of, where
    somebody wants to be warned."""

    tracks: set[Track] = field(default_factory=set)
    fresh: list[Fresh] | None = None


def _whole(type_: str) -> type[bool] | type[int] | type[float]:
    """What a stored number of this type is."""
    if type_ == "bool":
        return bool
    return int if type_ in ("int", "decimal(0)") else float


def _scale(type_: str) -> int:
    try:
        return int(10 ** ValueType.parse(type_).scale)
    except ValueError:  # a birth that no model has vouched for
        return 1
