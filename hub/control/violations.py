"""What operators should look at: rejected readings and values outside a metric's warning limits.

One violation per device, metric and code, counted up: however fast a sensor goes mad, a viewer gets one update now and
then that says how often.
"""

from collections import OrderedDict
from collections.abc import Iterable
from typing import Final

import numpy as np
import numpy.typing as npt

from hub.control.tracks import Fresh, Order, Shape
from hub.wire.kept import Kept
from hub.wire.messages import Columns, Row
from hub.wire.rows import accepted_mask, resolved_times
from hub.wire.shapes import ViolationInfo

KEYS: Final = 10_000  # violations that are remembered; the one that was not seen for longest goes first


class Violation:
    """How often it was seen so far, and what was said of it last."""

    __slots__ = ("code", "count", "device", "metric", "text", "time")

    def __init__(self, device: str, metric: str, code: str) -> None:
        self.device = device
        self.metric = metric
        self.code = code
        self.count = 0
        self.text = ""
        self.time = 0

    def info(self, count: int) -> ViolationInfo:
        return ViolationInfo(
            device=self.device, metric=self.metric, code=self.code, count=count, text=self.text, time=self.time
        )


class Violations:
    """Those of all devices."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[str, str, str], Violation] = OrderedDict()

    def take(self, kepts: Iterable[Kept], fresh: Iterable[Fresh]) -> set[Violation]:
        """Those of these batches. Late readings are never warned of: only ``fresh`` ones are looked at."""
        seen: set[Violation] = set()
        for kept in kepts:
            for metric, code, _, readings, text in kept.verdict.rejections:
                declared = kept.birth.metrics
                name = declared[metric].name if 0 <= metric < len(declared) else ""
                seen.add(self._note(kept, name, code, readings, text))
        for one in fresh:
            self._warn(one, seen)
        return seen

    def _warn(self, fresh: Fresh, seen: set[Violation]) -> None:
        kept, shape, before = fresh
        body = kept.body
        if type(body) is Row:
            for index, low, high in shape.warn:
                value = body.values[index] if before is None or index in before else None
                if value is None or isinstance(value, str):
                    continue
                shown = float(shape.shown(index, value) or 0)
                if not low <= shown <= high:
                    seen.add(self._outside(kept, shape, index, shown, 1))
        elif type(body) is Columns and before:
            limits = {index: (low, high) for index, low, high in shape.warn}
            later: _Later | None = None
            for index, column in body.columns:
                if index not in limits or index not in before or isinstance(column, list):
                    continue
                low, high = limits[index]
                values = np.asarray(column, dtype=np.float64) / shape.scales[index]
                outside = (values < low) | (values > high)
                if not outside.any():  # nearly always
                    continue
                later = later or _Later(kept)
                outside &= later.than(before[index])
                mask = accepted_mask(kept, index, len(values))
                if mask is not None:
                    outside &= mask
                count = int(np.count_nonzero(outside))
                if count:
                    seen.add(self._outside(kept, shape, index, float(values[outside][-1]), count))

    def _outside(self, kept: Kept, shape: Shape, index: int, value: float, count: int) -> Violation:
        _, low, high = next(limit for limit in shape.warn if limit[0] == index)
        metric = kept.birth.metrics[index]
        below = value < low
        text = f"{value:.12g} {metric.unit} is {'below' if below else 'above'} {low if below else high:.12g}"
        return self._note(kept, metric.name, "warn_min" if below else "warn_max", count, text)

    def _note(self, kept: Kept, metric: str, code: str, count: int, text: str) -> Violation:
        key = (kept.birth.device, metric, code)
        violation = self._known.get(key)
        if violation is None:
            violation = self._known[key] = Violation(*key)
            if len(self._known) > KEYS:
                self._known.popitem(last=False)
        else:
            self._known.move_to_end(key)
        violation.count += count
        violation.text, violation.time = text, kept.received
        return violation


class _Later:
    """Which rows of a batch are later than what was latest before it, and not earlier than a row before them. Metrics
    mostly were at the same order before, so the answers are kept."""

    def __init__(self, kept: Kept) -> None:
        self._times = np.minimum(resolved_times(kept), kept.received)
        self._rising = self._times == np.maximum.accumulate(self._times)
        self._at = kept.epoch, kept.seq
        self._known: dict[Order, npt.NDArray[np.bool_]] = {}

    def than(self, before: Order) -> npt.NDArray[np.bool_]:
        known = self._known.get(before)
        if known is None:
            later = self._times >= before[0] if self._at > before[1:3] else self._times > before[0]
            known = self._known[before] = later & self._rising
        return known
