"""Turns entries into arrays for a columnar store: rows in bulk, one matrix for all births of a shape; columns as they
are. Nothing here runs once per reading, and little once per row."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from operator import itemgetter
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from hub.store.pieces import Arrays, counting, join, number_array, text_array, times_of_rows, to_store
from hub.store.series import Plan, SeriesBook, Shape
from hub.wire.kept import Entry, Kept, Retried
from hub.wire.messages import Columns, Row
from hub.wire.rows import accepted_mask, resolved_times

READINGS_A_PART: Final = 500_000  # about 17 MB of arrays: what one insert is handed at most, and a frame more


@dataclass
class Part:
    """What goes into the three tables; ``None`` where there is nothing for one."""

    readings: Arrays | None
    texts: Arrays | None
    batches: Arrays | None
    count: int  # readings, texts among them


READING_COLUMNS: Final = {
    "series": np.uint32, "time": np.int64, "value": np.float64, "quality": np.uint8, "lsn": np.uint64,
    "row": np.uint32,
}  # fmt: skip
TEXT_COLUMNS: Final = {**READING_COLUMNS, "value": np.object_}
BATCH_COLUMNS: Final = {
    "lsn": np.uint64, "device": np.uint32, "epoch": np.uint64, "seq": np.uint64, "received": np.int64,
    "readings": np.uint32,
}  # fmt: skip


def gather(entries: Sequence[Entry], book: SeriesBook) -> Iterator[Part]:
    """The accepted readings of these entries, in parts that bound the memory."""
    rows: dict[Shape, tuple[list[int], list[Kept]]] = {}
    part = _Builder()
    plan_of = book.plan
    for entry in entries:
        if type(entry) is not Kept:
            if type(entry) is Retried:
                part.retried(entry, book)
            continue
        body = entry.body
        if type(body) is Row:
            plan = plan_of(entry.birth)
            if entry.verdict.rejections or len(body.values) != plan.shape.width:
                part.odd_row(entry, plan)
                continue
            lists = rows.get(plan.shape)
            if lists is None:
                lists = rows[plan.shape] = ([], [])
            lists[0].append(plan.slot)
            lists[1].append(entry)
            part.count += plan.shape.width
        elif type(body) is Columns:
            part.columns(entry, plan_of(entry.birth))
        if part.count >= READINGS_A_PART:
            yield part.finish(rows)
            rows, part = {}, _Builder()
    if part.count:
        yield part.finish(rows)


class _Builder:
    """Pieces of columns, joined at the end."""

    def __init__(self) -> None:
        self.count = 0
        # Pieces in the order of the columns: of many rows at once, and of one batch each.
        self._bulk_readings: list[tuple[Any, ...]] = []
        self._bulk_texts: list[tuple[Any, ...]] = []
        self._bulk_batches: list[tuple[Any, ...]] = []
        self._readings: list[tuple[Any, ...]] = []
        self._texts: list[tuple[Any, ...]] = []
        self._batches: list[tuple[Any, ...]] = []

    def finish(self, rows: dict[Shape, tuple[list[int], list[Kept]]]) -> Part:
        for shape, (slots, kepts) in rows.items():
            self._rows(shape, slots, kepts)
        readings = join(self._bulk_readings, self._readings, READING_COLUMNS)
        texts = join(self._bulk_texts, self._texts, TEXT_COLUMNS)
        count = sum(0 if table is None else len(table["series"]) for table in (readings, texts))
        return Part(readings, texts, join(self._bulk_batches, self._batches, BATCH_COLUMNS), count)

    def _rows(self, shape: Shape, slots: list[int], kepts: list[Kept]) -> None:
        """Rows without rejections of births of one shape."""
        lsns, _, epochs, seqs, received, bases, _, verdicts, bodies, _, _ = zip(*kepts, strict=True)
        _, row_times, row_values = zip(*bodies, strict=True)
        n = len(kepts)
        lsn = np.fromiter(lsns, np.uint64, n)
        quality = np.fromiter(map(itemgetter(2), verdicts), np.uint8, n)
        time = times_of_rows(row_times, bases, quality)
        series, divisors, devices = shape.tables()
        slot = np.fromiter(slots, np.intp, n)
        stored = np.zeros(n, dtype=np.uint32)
        if shape.numbers:
            if shape.texts:
                values = np.array(list(map(itemgetter(*shape.numbers), row_values)), dtype=np.float64).reshape(n, -1)
                series, divisors = series[:, shape.numbers], divisors[:, shape.numbers]
            else:
                flat = list(chain.from_iterable(row_values))
                values = np.array(flat, dtype=np.float64).reshape(n, shape.width)  # null becomes NaN
            if shape.scaled:
                values /= divisors[slot]
            stored += self._matrix(values, series[slot], time, quality, lsn)
        for index in sorted(shape.texts):
            column = text_array(list(map(itemgetter(index), row_values)))
            there = column != None  # noqa: E711  (element by element)
            if there.any():
                numbers = shape.tables()[0][slot[there], index]
                self._bulk_texts.append((numbers, time[there], column[there], quality[there], lsn[there], 0))
                stored += there
        some = stored > 0
        self._bulk_batches.append(
            (
                lsn[some], devices[slot][some], np.fromiter(epochs, np.uint64, n)[some],
                np.fromiter(seqs, np.uint64, n)[some], np.fromiter(received, np.int64, n)[some], stored[some],
            )
        )  # fmt: skip

    def _matrix(
        self,
        values: npt.NDArray[np.float64],
        series: npt.NDArray[np.uint32],
        time: npt.NDArray[np.int64],
        quality: npt.NDArray[np.uint8],
        lsn: npt.NDArray[np.uint64],
    ) -> npt.NDArray[np.uint32]:
        """A matrix of values, a line a row; returns how many of each line are stored."""
        width = values.shape[1]
        columns: list[npt.NDArray[Any]] = [
            series.ravel(), np.repeat(time, width), values.ravel(), np.repeat(quality, width), np.repeat(lsn, width),
        ]  # fmt: skip
        missing = np.isnan(values)
        if missing.any():
            there = ~missing.ravel()
            columns = [column[there] for column in columns]
        self._bulk_readings.append((*columns, 0))
        stored: npt.NDArray[np.uint32] = (width - missing.sum(axis=1)).astype(np.uint32)
        return stored

    def odd_row(self, kept: Kept, plan: Plan) -> None:
        """A row that is partly rejected, or not as wide as its birth."""
        body: Any = kept.body
        singles = [(index, [value]) for index, value in enumerate(body.values) if value is not None]
        self._pieces(kept, plan, singles, 1)

    def columns(self, kept: Kept, plan: Plan) -> None:
        """A batch of columns."""
        body: Any = kept.body
        if body.columns:
            self._pieces(kept, plan, body.columns, len(body.columns[0][1]))

    def retried(self, retried: Retried, book: SeriesBook) -> None:
        """Readings out of quarantine, under the number of the record that let them out."""
        device = 0
        for row, metric, _, time, value in retried.readings:
            device, series, divisor = book.one(retried.device, metric)
            is_text = metric.type == "text"
            cell = text_array([value]) if is_text else np.array([float(value or 0) / divisor])
            pieces = self._texts if is_text else self._readings
            at, rows = np.array([time], dtype=np.int64), np.array([row], dtype=np.uint32)
            pieces.append((series, at, cell, retried.quality, retried.lsn, rows))
        if count := len(retried.readings):
            self.count += count
            self._batches.append((retried.lsn, device, retried.epoch, retried.seq, retried.received, count))

    def _pieces(self, kept: Kept, plan: Plan, columns: Sequence[tuple[int, Any]], n: int) -> None:
        times = resolved_times(kept)
        rows = counting(n)
        rejections = kept.verdict.rejections
        stored = 0
        for index, values in columns:
            if not 0 <= index < plan.shape.width:
                continue  # rejected as bad_index
            mask = accepted_mask(kept, index, n) if rejections else None
            if mask is not None and not mask.any():
                continue
            is_text = index in plan.shape.texts
            array = text_array(values) if is_text else number_array(values, mask)
            there = to_store(array, mask, holes=not isinstance(values, np.ndarray))
            time, row = times, rows
            if there is not None:
                array, time, row = array[there], times[there], rows[there]
            if not is_text and plan.divisors[index] != 1.0:
                array = array / plan.divisors[index]
            pieces = self._texts if is_text else self._readings
            pieces.append((plan.series[index], time, array, kept.verdict.quality, kept.lsn, row))
            stored += len(array)
        if stored:
            self.count += stored
            self._batches.append((kept.lsn, plan.device, kept.epoch, kept.seq, kept.received, stored))
