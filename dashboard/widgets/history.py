"""The plot of a metric over time."""

from collections.abc import Sequence
from datetime import datetime
from math import ceil
from typing import Final

import numpy as np
from textual_plot import HiResMode, PlotWidget
from textual_plot.axis_formatter import AxisFormatter

from dashboard.look import Look
from dashboard.points import Floats

#: Seconds between two ticks of the axis of time.
STEPS: Final = (
    1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 10_800, 21_600, 43_200, 86_400, 172_800
)  # fmt: skip
TICK_CELLS: Final = 10  # a label of eight cells and air
HALF_LABEL: Final = 4  # cells: a label nearer to the right edge would be cut
MARGIN: Final = 0.08  # of the height of the curve, left free above and below it
NEAR: Final = 0.6  # a limit is drawn when it is this near to the curve, in heights of the curve


class Clock(AxisFormatter):
    """Ticks at round times of this machine's day."""

    def __init__(self) -> None:
        self.cells = 80  # of the axis

    def get_ticks(self, min_: float, max_: float, max_ticks: int = 8) -> list[float]:
        wanted = max(1, min(max_ticks, self.cells // TICK_CELLS))
        step = next((step for step in STEPS if (max_ - min_) / step <= wanted), STEPS[-1])
        offset = datetime.fromtimestamp(min_).astimezone().utcoffset()
        shift = offset.total_seconds() if offset else 0.0
        half = (max_ - min_) / max(1, self.cells) * HALF_LABEL
        first = ceil((min_ + shift) / step) * step - shift
        return [float(tick) for tick in np.arange(first, max_ - half, step)]

    def get_labels_for_ticks(self, ticks: Sequence[float]) -> list[str]:
        step = ticks[1] - ticks[0] if len(ticks) > 1 else 1
        pattern = "%H:%M:%S" if step < 60 else "%H:%M" if step < 86_400 else "%d %b"
        return [datetime.fromtimestamp(tick).astimezone().strftime(pattern) for tick in ticks]


class History(PlotWidget):
    """A curve that moves on with time. It takes no focus: keys belong to the page."""

    can_focus = False
    ALLOW_SELECT = False

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id, allow_pan_and_zoom=False)
        self._clock = Clock()
        self.set_x_formatter(self._clock)

    def on_mount(self) -> None:
        """Leave the margins to what is in them: labels of the values to the left, of the times below."""
        self.margin_left, self.margin_top, self.margin_bottom = 9, 0, 2
        super().on_mount()

    @property
    def columns(self) -> int:
        """Pixels across: a braille cell has two."""
        return max(2, 2 * (self.size.width - self.margin_left - 2))

    def show(
        self, times: Floats, values: Floats, band: tuple[Floats, Floats, Floats], since: float, until: float,
        limits: Sequence[tuple[float, bool]], look: Look,
    ) -> None:  # fmt: skip
        """Draw the curve, the ``band`` (times, least, most) around it, and the ``limits`` near it (value, and whether
        beyond it readings are rejected)."""
        self._clock.cells = max(10, self.size.width - self.margin_left)
        self.clear()
        self.set_xlimits(since, until)
        low, high = _extent(values, *band[1:])
        height = high - low
        for limit, hard in limits:
            if low - NEAR * height <= limit <= high + NEAR * height:
                low, high = min(low, limit), max(high, limit)
                self.plot([since, until], [limit, limit], look.bad if hard else look.warn, HiResMode.BRAILLE)
        room = MARGIN * (high - low)
        self.set_ylimits(low - room, high + room)
        for edge in band[1:]:
            if len(edge):
                self.plot(band[0], edge, look.muted, HiResMode.BRAILLE)
        if len(times):
            self.plot(times, values, look.primary, HiResMode.BRAILLE)


def _extent(*curves: Floats) -> tuple[float, float]:
    known = [curve[np.isfinite(curve)] for curve in curves]
    known = [curve for curve in known if len(curve)]
    if not known:
        return 0.0, 1.0
    low, high = min(float(curve.min()) for curve in known), max(float(curve.max()) for curve in known)
    least = max(abs(high), abs(low), 1.0) * 1e-3  # a constant is a line in the middle, not noise blown up
    return (low, high) if high - low > least else (low - least, high + least)
