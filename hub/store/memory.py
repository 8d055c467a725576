"""A store in memory, for tests and for hubs that are to forget: plain lists, the same answers as the others."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, NamedTuple

import numpy as np

from hub.query.question import Columns, Question
from hub.store.series import Series, SeriesBook
from hub.wire import messages
from hub.wire.kept import Entry, Expired, Kept, Retried
from hub.wire.messages import TIME_UNKNOWN, Row
from hub.wire.rows import accepted_mask, resolved_times


class Reading(NamedTuple):
    """One reading as it is kept; sorts by time, then in the order of arrival."""

    time: int
    lsn: int
    row: int
    series: int
    value: float | str
    quality: int
    received: int
    epoch: int
    seq: int


AGGREGATE: Final[dict[str, Callable[[list[Any]], float]]] = {
    "mean": lambda values: sum(values) / len(values),
    "min": min,
    "max": max,
    "count": len,
    "first": lambda values: values[0],
    "last": lambda values: values[-1],
}


class MemoryStore:
    """All readings in a list. Holds nothing after ``close``."""

    def __init__(self) -> None:
        self.name = "memory"
        self._book = SeriesBook()
        self._readings: list[Reading] = []
        self._cursor = 0

    def open(self) -> int:
        """The cursor."""
        return self._cursor

    def take(self, entries: Sequence[Entry], cursor: int) -> None:
        """Take in what is above the cursor."""
        fresh: list[Reading] = []
        for entry in entries:
            if type(entry) is Kept and entry.lsn > self._cursor:
                fresh += self._accepted(entry)
            elif type(entry) is Retried and entry.lsn > self._cursor:
                fresh += self._retried(entry)
        self._readings += fresh
        if through := max((entry.through for entry in entries if type(entry) is Expired), default=0):
            self._readings = [reading for reading in self._readings if reading.lsn > through]
        self._cursor = max(cursor, self._cursor)

    def ask(self, question: Question, *, rows: int, seconds: float) -> Columns:
        """Answer a question; never takes long enough for ``seconds`` to matter."""
        series = {one.number: one for one in self._book.select(question.devices, question.metrics)}
        since = 0 if question.since is None else question.since
        found = sorted(
            reading
            for reading in self._readings
            if reading.series in series
            and reading.time >= since
            and (question.until is None or reading.time < question.until)
        )
        limit = min(question.limit, rows)
        if question.wanted:
            return _aggregated(question, found, series, limit)
        newest = found[-limit:]
        return _columns([series[reading.series] for reading in newest], newest, len(found) > limit)

    def latest(
        self, devices: Sequence[str] | None = None, *, through: int | None = None, seconds: float = 30.0
    ) -> Columns:
        """The latest reading of each metric of these devices."""
        series = {one.number: one for one in self._book.select(devices, None)}
        newest: dict[int, Reading] = {}
        for reading in self._readings:
            if through is not None and reading.lsn > through:
                continue
            if reading.series in series and reading.quality != TIME_UNKNOWN:
                rival = newest.get(reading.series)
                if rival is None or _lateness(reading) > _lateness(rival):
                    newest[reading.series] = reading
        chosen = [newest[number] for number in sorted(newest)]
        answer = _columns([series[reading.series] for reading in chosen], chosen, False)
        answer.columns["received"] = np.array([reading.received for reading in chosen], dtype=np.int64)
        return answer

    def stored(self, lsn: int) -> Columns:
        """How many readings there are of each batch."""
        counts: dict[int, int] = {}
        for reading in self._readings:
            if reading.lsn <= lsn:
                counts[reading.lsn] = counts.get(reading.lsn, 0) + 1
        lsns = sorted(counts)
        return Columns({"lsn": np.array(lsns, np.int64), "readings": np.array([counts[at] for at in lsns], np.int64)})

    def counts(self, device: str | None = None, through: int | None = None) -> tuple[int, dict[tuple[str, int], int]]:
        """Cursor, and readings by device and epoch."""
        devices = {one.number: one.device for one in self._book.select(None, None)}
        readings = (one for one in self._readings if through is None or one.lsn <= through)
        counts = Counter((devices[reading.series], reading.epoch) for reading in readings)
        return self._cursor, {key: count for key, count in counts.items() if device in (None, key[0])}

    def batches(self, first: int, last: int) -> list[tuple[str, int, int, int]]:
        """Of the records ``first..last``."""
        devices = {one.number: one.device for one in self._book.select(None, None)}
        there = [one for one in self._readings if first <= one.lsn <= last]
        counts = Counter((devices[one.series], one.epoch, one.seq) for one in there)
        return [(*key, count) for key, count in sorted(counts.items())]

    def statistics(self) -> dict[str, Any]:
        """Counters."""
        return {"readings": len(self._readings), "cursor": self._cursor, "series": len(self._book)}

    def interrupt(self) -> None:
        """No answer takes long."""

    def close(self) -> None:
        """Forget everything."""
        self.__init__()  # type: ignore[misc]

    def _retried(self, retried: Retried) -> Iterator[Reading]:
        for row, metric, _, time, value in retried.readings:
            _, series, divisor = self._book.one(retried.device, metric)
            stored = value if isinstance(value, str) else float(value or 0) / divisor
            yield Reading(
                time, retried.lsn, row, series, stored, retried.quality, retried.received, retried.epoch, retried.seq
            )

    def _accepted(self, kept: Kept) -> Iterator[Reading]:
        body = kept.body
        if type(body) is Row:
            columns: list[tuple[int, Any]] = [(index, [value]) for index, value in enumerate(body.values)]
        elif type(body) is messages.Columns:
            columns = body.columns
        else:
            return
        plan = self._book.plan(kept.birth)
        times = resolved_times(kept).tolist()
        for index, values in columns:
            mask = accepted_mask(kept, index, len(times))
            for row, value in enumerate(values):
                if value is None or (mask is not None and not mask[row]):
                    continue
                stored = value if index in plan.shape.texts else float(value) / plan.divisors[index]
                yield Reading(
                    times[row], kept.lsn, row, plan.series[index], stored, kept.verdict.quality, kept.received,
                    kept.epoch, kept.seq,
                )  # fmt: skip


def _lateness(reading: Reading) -> tuple[int, int, int, int]:
    return min(reading.time, reading.received), reading.epoch, reading.seq, reading.row


def _aggregated(question: Question, found: list[Reading], series: dict[int, Series], limit: int) -> Columns:
    groups: dict[tuple[int, str, str, str], list[Reading]] = {}
    for reading in found:
        one = series[reading.series]
        if not one.is_text:
            bucket = 0 if question.every is None else reading.time // question.every * question.every
            groups.setdefault((bucket, one.device, one.metric, one.unit), []).append(reading)
    keys = sorted(groups)
    chosen = keys[:limit] if question.every is None else keys[-limit:]
    columns: dict[str, Any] = {
        name: [key[index] for key in chosen] for index, name in enumerate(("device", "metric", "unit"), 1)
    }
    times = [groups[key][-1].time if question.every is None else key[0] for key in chosen]
    columns["time"] = np.array(times, dtype=np.int64)
    for name in question.wanted:
        columns[name] = np.array([AGGREGATE[name]([one.value for one in groups[key]]) for key in chosen])
    return Columns(columns, len(keys) > limit)


def _columns(heads: list[Series], readings: list[Reading], truncated: bool) -> Columns:
    columns = _heads(heads)
    columns["time"] = np.array([reading.time for reading in readings], dtype=np.int64)
    values = [reading.value for reading in readings]
    texts = any(isinstance(value, str) for value in values)
    columns["value"] = values if texts else np.array(values, dtype=np.float64)
    columns["quality"] = np.array([reading.quality for reading in readings], dtype=np.uint8)
    return Columns(columns, truncated)


def _heads(series: list[Series]) -> dict[str, Any]:
    return {
        "device": [one.device for one in series],
        "metric": [one.metric for one in series],
        "unit": [one.unit for one in series],
    }
