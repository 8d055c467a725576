"""Line protocol by hand: what influxdb-client's ``Point`` would write, many times quicker.

One line a row: the model is the measurement, the device a tag, each metric a field. Numbers are always floats, so that
a field never changes its type. What is not of good quality carries its quality as a tag. The last three digits of the
nanoseconds are the row's number in its epoch: a line sent twice overwrites itself, and rows of one microsecond stand
beside each other.
"""

import re
from typing import Any, Final, NamedTuple

import numpy as np

from hub.model import ModelError, ValueType
from hub.wire.kept import Birth, Kept, Retried
from hub.wire.messages import GOOD, QUALITIES, Columns, Row
from hub.wire.rows import accepted_mask, resolved_times

METRICS_REMEMBERED: Final = 1_000_000  # of births whose heads and fields are kept at hand, 150 bytes each
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9._-]")


class _Field(NamedTuple):
    key: str  # with its equals sign
    divisor: float
    kind: str


class _Plan(NamedTuple):
    head: str
    fields: dict[int, _Field]


class Line(NamedTuple):
    """One row as a line. ``series`` and ``time`` (ns): what InfluxDB takes for the same point."""

    series: str
    time: int
    text: bytes


class LineEncoder:
    """Makes lines of batches; remembers what it worked out for each birth."""

    def __init__(self) -> None:
        self._plans: dict[int, _Plan] = {}
        self._planned = 0  # metrics in them

    def lines(self, kept: Kept) -> list[Line]:
        """A line for each row with accepted readings."""
        plan = self._plans.get(kept.birth.id)
        if plan is None:
            if self._planned >= METRICS_REMEMBERED:
                self._plans.clear()
                self._planned = 0
            self._planned += len(kept.birth.metrics) + 1
            plan = self._plans[kept.birth.id] = _plan(kept.birth)
        body = kept.body
        if type(body) is Row:
            columns: list[tuple[int, list[Any]]] = [(index, [value]) for index, value in enumerate(body.values)]
        elif type(body) is Columns:
            columns = [(i, values.tolist() if isinstance(values, np.ndarray) else values) for i, values in body.columns]
        else:
            return []
        rows = _rows(kept, plan, columns)
        quality = kept.verdict.quality
        head = plan.head if quality == GOOD else f"{plan.head},quality={QUALITIES[quality]}"
        times = resolved_times(kept).tolist()
        before = kept.rows_before
        found = []
        for row, fields in enumerate(rows):
            if fields:
                time = times[row] * 1000 + (before + row) % 1000
                found.append(Line(head, time, f"{head} {','.join(fields)} {time}".encode()))
        return found


def retried_lines(retried: Retried) -> list[Line]:
    """A line for each reading out of quarantine: a field more at the point that its row has, or would have had."""
    head = f"{_safe(retried.model)},device={_safe(retried.device)}"
    if retried.quality != GOOD:
        head = f"{head},quality={QUALITIES[retried.quality]}"
    found = []
    for row, metric, _, at, value in retried.readings:
        kind = ValueType.parse(metric.type)
        (text,) = _render(_Field(f"{_safe(metric.name)}=", float(10**kind.scale), kind.name), [value])
        time = at * 1000 + (retried.rows_before + row) % 1000
        found.append(Line(head, time, f"{head} {text} {time}".encode()))
    return found


def _plan(birth: Birth) -> _Plan:
    ordered = sorted((metric.name, index) for index, metric in enumerate(birth.metrics))
    fields = {}
    for name, index in ordered:
        try:
            kind = ValueType.parse(birth.metrics[index].type)
        except ModelError:
            kind = ValueType("float64")  # its readings were rejected, or are plain numbers
        fields[index] = _Field(f"{_safe(name)}=", float(10**kind.scale), kind.name)
    return _Plan(f"{_safe(birth.model)},device={_safe(birth.device)}", fields)


def _rows(kept: Kept, plan: _Plan, columns: list[tuple[int, list[Any]]]) -> list[list[str]]:
    """The fields of each row, sorted by name."""
    content = dict(columns)
    n = len(columns[0][1]) if columns else 0
    rows: list[list[str]] = [[] for _ in range(n)]
    for index, field in plan.fields.items():
        values = content.get(index)
        if values is None:
            continue
        mask = accepted_mask(kept, index, n)
        accepted = values if mask is None else [v if good else None for v, good in zip(values, mask, strict=True)]
        for fields, text in zip(rows, _render(field, accepted), strict=True):
            if text is not None:
                fields.append(text)
    return rows


def _render(field: _Field, values: list[Any]) -> list[str | None]:
    key, divisor = field.key, field.divisor
    if field.kind == "text":
        return [None if value is None else f'{key}"{_quoted(value)}"' for value in values]
    if field.kind == "bool":
        return [None if value is None else f"{key}true" if value else f"{key}false" for value in values]
    if divisor != 1.0:
        return [None if value is None else f"{key}{_number(value / divisor)}" for value in values]
    return [None if value is None else f"{key}{_number(float(value))}" for value in values]


def _number(value: float) -> str:
    text = repr(value)
    return text[:-2] if text.endswith(".0") else text


def _quoted(text: str) -> str:
    """A text value. Line breaks become two characters: not every server waits for the closing quote."""
    text = text.replace("\\", "\\\\").replace('"', '\\"')
    return text.replace("\n", "\\n").replace("\r", "\\r") if "\n" in text or "\r" in text else text


def _safe(name: str) -> str:
    """Names are checked where they come in; what slips through must not be able to write to other series."""
    return _UNSAFE.sub("_", name) or "_"
