"""The latest reading of every series, kept at the price of one comparison a row (DELIVERY, "Time").

Latest is ordered by min(time, receive time), then epoch, seq, row; what has no time of its own is never latest. A row
that has a value for every metric is kept as it is and looked into only when somebody asks.
"""

from collections.abc import Callable, Iterable
from weakref import WeakValueDictionary

import numpy as np
import numpy.typing as npt

from hub.control.tracks import Fresh, Moved, Order, Reading, Series, Shape, Stored, Track
from hub.model import Model
from hub.wire.kept import Birth, Entry, Kept, Retried
from hub.wire.messages import TIME_UNKNOWN, Array, Columns, Declared, Offsets, Regular, Row, Value
from hub.wire.rows import accepted_mask, resolved_times, row_count


class Latest:
    """A track per device."""

    def __init__(self, models: Callable[[str], Model | None]) -> None:
        self._models = models
        #: Those of tracks: fleets share a few, and a device may be born with other metrics as often as it likes.
        self._shapes: WeakValueDictionary[tuple[str, tuple[Declared, ...]], Shape] = WeakValueDictionary()
        self.tracks: dict[str, Track] = {}

    def take(self, entries: Iterable[Entry], moved: Moved | None) -> None:
        """Take these in; what moves is put into ``moved`` when somebody watches."""
        tracks = self.tracks
        fresh = None if moved is None else moved.fresh
        for entry in entries:
            if type(entry) is not Kept:
                if type(entry) is Retried:
                    self._retried(entry, moved)
                continue
            _, birth, epoch, seq, received, base, _, verdict, body, _, _ = entry
            if verdict.quality == TIME_UNKNOWN:
                continue
            before: dict[int, Order] | None = None
            if type(body) is Row:
                track = tracks.get(birth.device)
                if track is None or track.birth is not birth:
                    track = self.track(birth)
                _, time, values = body
                time = received if time is None or base + time > received else base + time
                if (
                    time >= track.clear
                    and not verdict.rejections
                    and len(values) == track.width
                    and None not in values
                    and (time > track.time or _follows(epoch, seq, track.full))
                ):
                    track.time = track.clear = time
                    track.full = entry
                    track.rows += 1
                else:
                    before = None if fresh is None else {}
                    if not _merge_row(track, entry, body, time, before):
                        continue
            elif type(body) is Columns:
                track = self.track(birth)
                before = None if fresh is None else {}
                if not _merge_columns(track, entry, body, before):
                    continue
            else:
                continue
            if moved is not None:
                moved.tracks.add(track)
                if fresh is not None and track.shape.warn:
                    fresh.append(Fresh(entry, track.shape, before))

    def _retried(self, retried: Retried, moved: Moved | None) -> None:
        track = self.tracks.get(retried.device)
        if track is not None and _merge_retried(track, retried) and moved is not None:
            moved.tracks.add(track)

    def track(self, birth: Birth) -> Track:
        """The track of the birth's device, with this as its birth."""
        track = self.tracks.get(birth.device)
        if track is None:
            track = self.tracks[birth.device] = Track(birth, self._shape(birth))
        elif track.birth is not birth:
            track.reborn(birth, self._shape(birth))
        return track

    def _shape(self, birth: Birth) -> Shape:
        key = (birth.model, birth.metrics)
        shape = self._shapes.get(key)
        if shape is None:
            shape = self._shapes[key] = Shape(birth.metrics, self._models(birth.model))
        return shape


def _follows(epoch: int, seq: int, full: Kept | None) -> bool:
    """Whether a row of the same time is later than that one."""
    return full is None or epoch > full.epoch or (epoch == full.epoch and seq > full.seq)


def _merge_row(track: Track, kept: Kept, body: Row, time: int, before: dict[int, Order] | None) -> bool:
    """Value by value: a row with nulls, with rejections, or not the latest of all. Whether any series moved; where each
    was that did is put into ``before``."""
    order = (time, kept.epoch, kept.seq, 0)
    if track.full is not None and order <= track.order:
        return False
    rejections = kept.verdict.rejections
    rejected = {entry.metric for entry in rejections} if rejections else ()
    if -1 in rejected:
        return False
    any_moved = False
    for index, (value, series) in enumerate(zip(body.values, track.series, strict=False)):
        if value is None or order <= series.order or index in rejected:
            continue
        if before is not None:
            before[index] = max(series.order, track.order)
        _move(track, series, order)
        series.kept = kept
        series.moved += 1
        any_moved = True
    return any_moved


def _merge_retried(track: Track, retried: Retried) -> bool:
    """What left quarantine is ordered by when it was measured, not by when it was let out. Whether any series moved."""
    if retried.quality == TIME_UNKNOWN:
        return False
    any_moved = False
    for row, metric, _, time, value in retried.readings:
        if metric.name not in track.shape.names:
            continue
        index = track.shape.names.index(metric.name)
        series = track.series[index]
        order = (min(time, retried.received), retried.epoch, retried.seq, row)
        if order <= series.order or order <= track.order:
            continue
        _move(track, series, order)
        series.reading, series.kept = Reading(time, track.shape.shown(index, value), retried.quality), None
        series.moved += 1
        any_moved = True
    return any_moved


def merge_stored(track: Track, readings: Iterable[Stored]) -> bool:
    """What a store has: newer is what came as late. Whether any series moved."""
    shape, any_moved = track.shape, False
    indexes = {name: index for index, name in enumerate(shape.names)}
    for metric, unit, at, time, value, quality in readings:
        index = indexes.get(metric)
        if index is None or shape.units[index] != unit:
            continue
        series, order = track.series[index], (at, 0, 0, 0)
        if order <= series.order or order <= track.order:
            continue
        _move(track, series, order)
        series.reading, series.kept = Reading(time, shape.as_shown(index, value), quality), None
        series.moved += 1
        any_moved = True
    return any_moved


def _merge_columns(track: Track, kept: Kept, body: Columns, before: dict[int, Order] | None) -> bool:
    """The last row in time of each column. Whether any series moved; ``before`` as above."""
    times = resolved_times(kept) if kept.base else None  # it may be of two clocks: its times do not tell which is ahead
    last = _last_row(kept, body, times)
    any_moved = False
    for index, column in body.columns:
        if not 0 <= index < track.width:
            continue
        at = last
        if kept.verdict.rejections or type(column) is list:
            at = _last_accepted(kept, index, column)
        if at < 0:
            continue
        time = _time_at(body, at) if times is None else int(times[at])
        order = (min(time, kept.received), kept.epoch, kept.seq, at)
        series = track.series[index]
        if order <= series.order or order <= track.order:
            continue
        value = column[at]
        raw: Value = value.item() if isinstance(value, np.generic) else value
        if before is not None:
            before[index] = max(series.order, track.order)
        _move(track, series, order)
        series.reading, series.kept = Reading(time, track.shape.shown(index, raw), kept.verdict.quality), None
        series.moved += len(column)
        any_moved = True
    return any_moved


def _move(track: Track, series: Series, order: Order) -> None:
    """The series is there now, ahead of the full row."""
    series.order = order
    track.clear = max(track.clear, order[0] + 1)


def _last_row(kept: Kept, body: Columns, resolved: npt.NDArray[np.int64] | None) -> int:
    """Index of the row that is latest by min(time, receive time), then row; -1 when there is none."""
    times, rows = body.times, row_count(body)
    rising = times.step >= 0 if isinstance(times, Regular) else not rows or times.offsets[-1] == times.offsets.max()
    if rows and (resolved is not None or not rising):
        return _last_of(np.minimum(resolved_times(kept) if resolved is None else resolved, kept.received))
    return rows - 1


def _last_accepted(kept: Kept, index: int, column: "Array | list[Value]") -> int:
    """The same among the rows of one column that have an accepted value."""
    length = len(column)
    mask = accepted_mask(kept, index, length)
    there = np.ones(length, dtype=np.bool_) if mask is None else mask.copy()
    if isinstance(column, list):
        there &= np.fromiter((value is not None for value in column), np.bool_, length)
    if not there.any():
        return -1
    times = np.minimum(resolved_times(kept), kept.received)
    times[~there] = np.iinfo(np.int64).min
    return _last_of(times)


def _last_of(times: npt.NDArray[np.int64]) -> int:
    """Index of the highest, the last one of equals."""
    return len(times) - 1 - int(times[::-1].argmax())


def _time_at(body: Columns, row: int) -> int:
    """As the batch says it."""
    times = body.times
    if isinstance(times, Offsets):
        return (times.base or 0) + int(times.offsets[row])
    return (times.start or 0) + row * times.step
