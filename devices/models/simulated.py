"""A simulated device as a source: physics at one end, batches as the model declares them at the other."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias

import numpy as np

from devices.models.base import Arguments, Physics, Progress
from devices.source import Handler
from devices.spool import Numbered
from hub.model import CommandSpec, Metric, Model, ModelError
from hub.wire.messages import Array, Columns, Declared, Event, Offsets, Plain, Row, Value

LONGEST_PERIOD: Final = 3600.0  # seconds between samples
MOST_ROWS: Final = 500  # in a batch: eight metrics of eight bytes fit half a frame
DTYPES: Final = {"float64": np.float64, "float32": np.float32, "int": np.int64, "decimal": np.int64}

#: Makes readings worse on their way from the physics: sensor faults.
Distort: TypeAlias = Callable[[float, dict[str, Value]], None]


def declared(model: Model) -> tuple[Declared, ...]:
    """What a device that has all of the model's metrics says in its birth."""
    return tuple(Declared(metric.name, metric.unit, str(metric.type)) for metric in model.metrics.values())


class Simulated:
    """A source over physics. With ``batch`` above 1, that many rows travel together as columns."""

    def __init__(
        self, physics: Physics, model: Model, *, period: float = 1.0, batch: int = 1, distort: Distort | None = None
    ) -> None:
        self.physics = physics
        self.model = model.name
        self.metrics = declared(model)
        self.commands: Mapping[str, CommandSpec] = model.commands
        self.period = period
        self.handlers: Mapping[str, Handler] = {
            "set_interval": self._set_interval, "identify": self._identify, **physics.handlers,
        }  # fmt: skip
        self._columns = [(metric, _writer(metric)) for metric in model.metrics.values()]
        self._batch = min(max(1, batch), MOST_ROWS)
        self._rows: list[Row] = []
        self._distort = distort
        self._place = {name: at for at, name in enumerate(model.metrics)}
        self._last: int | None = None
        self._check(model)

    def _check(self, model: Model) -> None:
        bulk = getattr(self.physics, "BULK", ())
        strange = [name for name in (*self.physics.__class__(0).measure(0.0), *bulk) if name not in self._place]
        if strange:
            raise ModelError(
                f"the simulation of {model.name} measures {', '.join(strange)}, which its model does not have; "
                "name them alike"
            )

    @property
    def properties(self) -> Mapping[str, Plain]:
        return {"interval": self.period, **self.physics.properties}

    def set_property(self, name: str, value: Plain) -> bool:
        if name != "interval":
            return self.physics.set_property(name, value)
        if not isinstance(value, int | float) or not 0.1 <= value <= LONGEST_PERIOD:
            return False
        self.period = float(value)
        return True

    async def sample(self, time: int) -> Sequence[Numbered]:
        values = self.physics.measure(time / 1e6)
        if self._distort is not None:
            self._distort(time / 1e6, values)
        messages: list[Numbered] = self._bulk(time)
        self._rows.append(Row(0, time, [write(values.get(metric.name)) for metric, write in self._columns]))
        if len(self._rows) >= self._batch:
            messages += self._flush()
        if self.physics.events:
            messages += [Event(0, time, level, text) for level, text in self.physics.events]
            self.physics.events.clear()
        return messages

    def _bulk(self, time: int) -> list[Numbered]:
        start = time - int(self.period * 1e6) if self._last is None else self._last
        self._last = time
        columns = self.physics.bulk(start, time)
        if columns is None:
            return []
        names: tuple[str, ...] = getattr(self.physics, "BULK", ())
        placed = [(self._place[names[at]], values) for at, values in columns.columns]
        return [columns._replace(columns=placed)]

    def _flush(self) -> Sequence[Numbered]:
        rows, self._rows = self._rows, []
        packed = pack(rows, [metric for metric, _ in self._columns]) if len(rows) > 1 else None
        return rows if packed is None else [packed]

    async def _set_interval(self, args: Arguments, progress: Progress) -> Plain:
        before, self.period = self.period, float(args["seconds"])
        return {"before": before, "now": self.period}

    async def _identify(self, args: Arguments, progress: Progress) -> Plain:
        seconds = args.get("seconds", 10)
        self.physics.event("info", f"here I am, for {seconds} s")
        return {"seconds": seconds}


def pack(rows: Sequence[Row], metrics: Sequence[Metric]) -> Columns | None:
    """Rows as columns; None when a number or a time is missing, because a typed array has no place for nothing."""
    times = [row.time for row in rows]
    columns: list[tuple[int, Array | list[Value]]] = []
    for at, metric in enumerate(metrics):
        values = [row.values[at] for row in rows]
        gaps = values.count(None)
        if gaps == len(values):
            continue
        dtype = DTYPES.get(metric.type.name)
        if dtype is None:
            columns.append((at, values))
        elif gaps:
            return None
        else:
            columns.append((at, np.array(values, dtype=dtype)))
    if None in times or not columns:
        return None
    offsets = np.array(times, dtype=np.int64)
    base = int(offsets[0])
    offsets -= base
    if int(offsets.min()) >= 0 and int(offsets.max()) < 2**32:
        return Columns(0, Offsets(base, offsets.astype(np.uint32)), columns)
    return Columns(0, Offsets(base, offsets), columns)


def _writer(metric: Metric) -> Callable[[Any], Value]:
    """How a physical value travels, by the type of its metric."""
    kind = metric.type.name
    if kind in ("float64", "float32"):
        return lambda value: None if value is None else float(value)
    if kind in ("int", "decimal"):
        factor = 10**metric.type.scale
        return lambda value: None if value is None or not math.isfinite(value) else round(value * factor)
    if kind == "bool":
        return lambda value: None if value is None else bool(value)
    return lambda value: None if value is None else str(value)
