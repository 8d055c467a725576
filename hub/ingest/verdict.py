"""The verdict on a batch: per reading, accepted or rejected with a reason. Given once, when it is appended (P8)."""

from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from hub.ingest.limits import Fault, Limits, Mask
from hub.ingest.times import Now, judge_time, judge_times
from hub.model.model import Model, ModelError
from hub.wire.errors import CloseCode, RemoteProtocolError
from hub.wire.kept import Verdict
from hub.wire.messages import GOOD, REWOUND, Array, Batch, Columns, Event, Hello, Malformed, Rejection, Row, Value
from hub.wire.rows import row_count

_CLEAN: Final = tuple(Verdict(readings, (), GOOD) for readings in range(1_025))  # nothing rejected, by readings


class Judged(NamedTuple):
    """``base`` as in ``Kept``; ``rows`` of readings in the batch."""

    verdict: Verdict
    base: int
    rows: int


def check_birth(model: Model | None, hello: Hello) -> None:
    """Refuse what cannot be stored under this model: RemoteProtocolError (MODEL_REFUSED) that names it. A metric that
    the model does not have is let in; its readings are rejected."""
    if model is None:
        raise _refused(f"model {hello.model!r} is not known here: add its file to the hub's models")
    for declared in hello.metrics:
        metric = model.metrics.get(declared.name)
        try:
            Limits(declared, True, metric)
        except ModelError as wrong:
            raise _refused(f"metric {declared.name}: {wrong}") from None
        if metric is None:
            continue
        if metric.unit != declared.unit:
            raise _refused(f"metric {declared.name} of model {model.name} is in {metric.unit!r}, not {declared.unit!r}")
        if str(metric.type) != declared.type:
            raise _refused(f"metric {declared.name} of model {model.name} is {metric.type}, not {declared.type}")


def _refused(text: str) -> RemoteProtocolError:
    return RemoteProtocolError(CloseCode.MODEL_REFUSED, text)


class Judge:
    """Judges the batches of one birth."""

    def __init__(self, model: Model, hello: Hello) -> None:
        self._limits = [
            Limits(declared, model.open or declared.name in model.metrics, model.metrics.get(declared.name))
            for declared in hello.metrics
        ]
        self._quick = [(limits.quick, limits.low, limits.high) for limits in self._limits]
        self._floats = next((at for at, (kind, _, _) in enumerate(self._quick) if kind is not float), len(self._quick))
        self._low, self._high = (
            np.array([limits[side] for limits in self._quick[: self._floats]], np.float64) for side in (1, 2)
        )
        self.model = model
        self._hello = hello

    def again(self, model: Model) -> None:
        """Judge by this model from now on, for every link that has this judge; RemoteProtocolError (MODEL_REFUSED) when
        the birth does not fit it, and then nothing has changed."""
        check_birth(model, self._hello)
        self.__init__(model, self._hello)  # type: ignore[misc]

    def judge(self, batch: Batch, now: Now) -> Judged:
        """The verdict on any batch."""
        kind = type(batch)
        if kind is Row:
            return self._row(batch, now)  # type: ignore[arg-type]
        if kind is Columns:
            return self._columns(batch, now)  # type: ignore[arg-type]
        if kind is Malformed:  # how many readings it meant to bring, nobody can tell: it counts as one
            why = batch.why  # type: ignore[union-attr]
            return Judged(Verdict(1, (Rejection(-1, "malformed", 0, 1, why),), GOOD), 0, 0)
        if isinstance(batch, Event):
            timed = judge_time(batch.time, now)
            return Judged(Verdict(0, (), timed.quality), timed.base, 0)
        return Judged(_CLEAN[0], 0, 0)

    def quick(self, values: list[Value]) -> Verdict | None:
        """The verdict on the values of a row whose time is good, when a glance is enough: all accepted, none text."""
        if len(values) > len(self._quick):
            return None
        readings = 0
        for value, (kind, low, high) in zip(values, self._quick):  # noqa: B905  (a row may be shorter)
            if type(value) is kind:
                if not low <= value <= high:  # type: ignore[operator]
                    return None
                readings += 1
            elif value is not None:
                return None
        return _CLEAN[readings]

    def quick_run(self, values: npt.NDArray[np.float64]) -> Verdict | None:
        """``quick`` for many rows of floats, a line each: the verdict on every one of them, if it is the same."""
        width = values.shape[1]
        if width > self._floats:
            return None
        inside = (values >= self._low[:width]) & (values <= self._high[:width])
        return _CLEAN[width] if inside.all() else None

    def _row(self, row: Row, now: Now) -> Judged:
        base, quality, faults = judge_time(row.time, now)
        readings = len(row.values) - row.values.count(None)
        if faults:
            return Judged(_wholly(readings, faults[0]), base, 1)
        rejections = []
        for index, value in enumerate(row.values):
            fault = None if value is None else self._fault(index, value)
            if fault is not None:
                rejections.append(Rejection(index, fault.code, 0, 1, fault.text))
        return Judged(Verdict(readings, tuple(rejections), quality), base, 1)

    def _fault(self, index: int, value: Value) -> Fault | None:
        return self._limits[index].fault(value) if index < len(self._limits) else self._bad_index(index)

    def _bad_index(self, index: int) -> Fault:
        return Fault("bad_index", f"index {index}: hello declared {len(self._limits)} metrics")

    def _columns(self, batch: Columns, now: Now) -> Judged:
        base, quality, late = judge_times(batch, now)
        rows = row_count(batch)
        readings = sum(_present(values) for _, values in batch.columns)
        if len(late) == 1 and (late[0].rows is None or late[0].rows.all()):
            return Judged(_wholly(readings, late[0]), base, rows)
        rejections: list[Rejection] = []
        for index, values in batch.columns:
            known = index < len(self._limits)
            faults = self._limits[index].column(values) if known else [self._bad_index(index)]
            if late or faults:
                rejections.extend(_rejections(index, values, (*late, *faults)))
        return Judged(Verdict(readings, tuple(rejections), quality), base, rows)


def rewound(verdict: Verdict) -> Verdict:
    """The same verdict on a batch that may have come before, in an earlier epoch. An unknown time stays one."""
    return verdict._replace(quality=REWOUND) if verdict.quality == GOOD else verdict


def _wholly(readings: int, fault: Fault) -> Verdict:
    rejections = (Rejection(-1, fault.code, 0, readings, fault.text),) if readings else ()
    return Verdict(readings, rejections, GOOD)


def _present(values: Array | list[Value]) -> int:
    return len(values) - values.count(None) if isinstance(values, list) else len(values)


def _rejections(index: int, values: Array | list[Value], faults: tuple[Fault, ...]) -> Iterator[Rejection]:
    """A rejection for each unbroken run of rows; no row twice, and no nulls: they are no readings."""
    free: Mask = np.ones(len(values), np.bool_)
    if isinstance(values, list):
        free = np.fromiter((value is not None for value in values), np.bool_, len(values))
    for fault in faults:
        bad = free if fault.rows is None else free & fault.rows
        free = free & ~bad
        edges = np.flatnonzero(np.diff(bad.astype(np.int8), prepend=0, append=0)).tolist()
        text = fault.text
        for first, end in zip(edges[::2], edges[1::2], strict=True):
            yield Rejection(index, fault.code, first, end - first, text)
            text = ""  # said once: a column may alternate between good and bad
