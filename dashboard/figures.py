"""Figures as people read them in narrow columns: numbers, units, ages, sparklines. Pure."""

from collections.abc import Sequence
from datetime import datetime
from math import ceil
from typing import Final

from hub.client.text import safe_text
from hub.model import Metric
from hub.wire.messages import Value

SECOND: Final = 1_000_000  # us
MOST_SECONDS: Final = 99 * 86_400  # of an estimate that is shown: nobody waits longer
BARS: Final = "▁▂▃▄▅▆▇"  # not the full block: bars of neighbouring rows must not touch

#: SenML unit -> what a person expects to see. The others are shown as they are.
UNITS: Final = {
    "Cel": "°C", "deg": "°", "lat": "°N", "lon": "°E", "Ohm": "Ω", "m/s2": "m/s²", "W/m2": "W/m²", "m2": "m²",
    "m3": "m³", "m3/s": "m³/s", "kg/m3": "kg/m³", "ug/m3": "µg/m³", "ug/l": "µg/l", "cd/m2": "cd/m²", "1/min": "/min",
    "1/s": "/s", "/": "", "%EL": "%", "/100": "%", "/1000": "‰", "count": "",
}  # fmt: skip


def unit(text: str, width: int = 8) -> str:
    """A unit as it is shown."""
    return safe_text(UNITS.get(text, text), width)


def number(value: float, scale: int | None = None) -> str:
    """A number in at most nine cells: two digits after the point as long as there is room, so that columns align."""
    if isinstance(value, int) or (scale == 0 and abs(value) < 1e9):
        return f"{value:,.0f}" if abs(value) < 1e7 else si(value)
    size = abs(value)
    if size >= 1e15 or 0 < size < 1e-99:
        return f"{value:.1e}"
    if size >= 1e6:
        return si(value)
    if 0 < size < 0.005:
        return f"{value:.2e}"
    digits = 3 if size < 1 and scale is None else 2
    if scale is not None:
        digits = min(scale, 4)
    if size >= 10_000:
        digits = min(digits, 1 if size < 100_000 else 0)
    return f"{value:,.{digits}f}"


def si(value: float) -> str:
    """A big number with a letter for its thousands: 12.3k, 4.56M."""
    size = abs(value)
    for factor, letter in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if size >= factor:
            scaled = value / factor
            return f"{scaled:.{2 if abs(scaled) < 10 else 1 if abs(scaled) < 100 else 0}f}{letter}"
    return f"{value:,.0f}" if float(value).is_integer() or size >= 100 else f"{value:.1f}"


def value(value: Value, metric: Metric | None = None, width: int = 24) -> str:
    """The value of a reading; texts are made safe for the terminal."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return safe_text(value, width)
    if metric is not None and metric.type.name == "bool":
        return "true" if value else "false"
    scale = metric.type.scale if metric is not None and metric.type.name == "decimal" else None
    if metric is not None and metric.type.name == "int":
        scale = 0
    return number(value, scale)


def age(micros: int | None) -> str:
    """How long ago, in at most four cells."""
    if micros is None:
        return "–"
    seconds = max(0, micros) // SECOND
    for size, letter in ((86_400, "d"), (3_600, "h"), (60, "m")):
        if seconds >= size:
            return f"{seconds // size}{letter}"
    return f"{seconds}s"


def catching_up(waiting: int, seconds: float | None) -> str:
    """How much a device has still to send of what it kept, and how long that takes, in ten cells at most: ``↑12k 3m``;
    ``↑40`` while nobody can tell how long."""
    count = f"{waiting}" if waiting < 1_000 else f"{waiting // 1_000}k" if waiting < 1_000_000 else f"{waiting:.0e}"
    return f"↑{count}" + ("" if seconds is None else f" {age(min(ceil(seconds), MOST_SECONDS) * SECOND)}")


def span(seconds: float) -> str:
    """A length of time in words as short as ``5 min``."""
    for size, word in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.3g} {word}"
    return f"{seconds:.3g} s"


def clock(micros: int, *, day: bool = False) -> str:
    """Time of day here, of an instant in us since the epoch; with ``day`` its date before it."""
    try:
        moment = datetime.fromtimestamp(micros / SECOND).astimezone()
    except (OverflowError, ValueError, OSError):
        return "–"
    return moment.strftime("%Y-%m-%d %H:%M:%S" if day else "%H:%M:%S")


def spark(numbers: Sequence[float], width: int) -> str:
    """The last ``width`` numbers as bars between their own least and most; to the right, so that now stands at the
    edge."""
    shown = numbers[-width:] if width > 0 else ()
    if not shown:
        return " " * max(0, width)
    low, high = min(shown), max(shown)
    steep = (len(BARS) - 1) / (high - low) if high > low else 0.0
    bars = "".join(BARS[round((one - low) * steep)] if steep else BARS[3] for one in shown)
    return bars.rjust(width)


def ranges(pairs: Sequence[Sequence[int]], most: int = 3) -> str:
    """Ranges of seqs in short: ``1–90, 92–100 …``."""
    words = [f"{first:,}" if first == last else f"{first:,}–{last:,}" for first, last in pairs[:most]]
    return ", ".join(words) + (" …" if len(pairs) > most else "")


def counted(pairs: Sequence[Sequence[int]]) -> int:
    """How many numbers are in the ranges."""
    return sum(last - first + 1 for first, last in pairs)
