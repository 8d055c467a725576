"""The fleet's rows: which columns fit, and what stands in them. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from dashboard import figures
from dashboard.look import SYMBOLS, Cell, Column, Look, Part
from dashboard.view import Device, Series, View
from hub.client.text import safe_text
from hub.model import Metric

NAMED: Final = (24, 28)  # cells of a metric that bears its name: least and most
BARE: Final = 15  # cells of a metric whose name stands in the header
TREND: Final = (9, 36)  # cells of a sparkline: least and most
UNIT: Final = 6  # cells of a unit and the space before it
NUMBER: Final = 9  # cells of a value
ROOMY: Final = 72  # cells below which the model is not shown
MOST_SLOTS: Final = 8  # metrics in a row


@dataclass(frozen=True)
class Plan:
    """Columns of the table; ``metrics`` when they stand in the header, as all devices shown are of one model."""

    columns: tuple[Column, ...]
    metrics: tuple[str, ...] | None


def plan(view: View, shown: Sequence[Device], width: int, by: str, reverse: bool, wide: bool) -> Plan:
    """What fits into ``width`` cells, for these devices."""
    metrics = _common(view, shown)
    device = _widest((device.name for device in shown), 12, 26 if wide else 22) + 2
    model = (
        0
        if metrics is not None or width < ROOMY
        else _widest((device.model for device in shown), 6, 24 if wide else 13)
    )
    labels = _widest((described(device) for device in shown), 8, 40) if wide else 0
    room = width - 1 - (device + 2) - (model + 2 if model else 0) - (labels + 2 if labels else 0) - 6
    slot = BARE if metrics is not None else NAMED[0]
    most = len(metrics) if metrics is not None else MOST_SLOTS
    slots = max(1, min((room - TREND[0] - 2) // (slot + 2), most, MOST_SLOTS))
    spare = max(0, room - slots * (slot + 2) - TREND[0] - 2)
    if metrics is None:
        grown = min(NAMED[1] - slot, spare // slots)
        slot, spare = slot + grown, spare - slots * grown
    trend = min(TREND[1], TREND[0] + spare)
    mark = "▾" if reverse else "▴"
    heads = {key: f"{key} {mark}" if key == by else key for key in ("device", "model", "age")}
    columns = [Column("device", "  " + heads["device"], device)]
    if model:
        columns.append(Column("model", heads["model"], model))
    for at in range(slots):
        title = metrics[at] if metrics is not None else "latest values" if at == 0 else ""
        title = safe_text(title, slot - 2) + (f" {mark}" if at == 0 and by == "value" else "")
        columns.append(Column(f"m{at}", title, slot, right=metrics is not None))
    columns += [Column("trend", "trend", trend, right=True), Column("age", heads["age"][:5], 4, right=True)]
    if labels:
        columns.append(Column("labels", "labels", labels + spare + TREND[0] - trend))
    return Plan(tuple(columns), metrics)


def cells(view: View, device: Device, now: int, plan: Plan, look: Look) -> list[Cell]:
    """The row of one device at ``now`` (us, hub time)."""
    state = device.liveness(now)
    there = state in ("online", "stale")
    metrics = plan.metrics if plan.metrics is not None else view.ordered(device)
    first = device.series.get(metrics[0]) if metrics else None
    row: list[Cell] = []
    for key, _, width, _ in plan.columns:
        if key == "device":
            name = Part(safe_text(device.name, width - 2), look.strong if there else look.muted)
            row.append((Part(SYMBOLS[state] + " ", look.liveness(state)), name))
        elif key == "model":
            row.append((Part(safe_text(device.model, width), look.muted),))
        elif key == "trend":
            row.append(_trend(device, first, width, there, look))
        elif key == "age":
            row.append((Part(figures.age(device.age(now)), look.warn if state == "stale" else look.muted),))
        elif key == "labels":
            row.append((Part(safe_text(described(device), width), look.muted),))
        else:
            at = int(key[1:])
            metric = metrics[at] if at < len(metrics) else None
            row.append(_slot(view, device, metric, width, plan.metrics is None, there, look))
    return row


def _trend(device: Device, first: Series | None, width: int, there: bool, look: Look) -> Cell:
    """The sparkline; before it, of a device that catches up, how much is left and how long that takes."""
    left = (figures.catching_up(device.waiting, device.catch_up) + " ")[:width] if device.catching_up else ""
    bars = figures.spark(first.trail, width - len(left)) if first and len(left) < width else ""
    return (Part(left, look.accent), *((Part(bars, look.bars if there else look.muted),) if bars else ()))


def described(device: Device) -> str:
    """Its labels in one line."""
    return " ".join(f"{name}={text}" for name, text in sorted(device.labels.items()))


def beyond(metric: Metric | None, value: object) -> bool:
    """Is the value outside the limits that warn?"""
    if metric is None or isinstance(value, bool) or not isinstance(value, int | float):
        return False
    low, high = metric.warn_min, metric.warn_max
    return (low is not None and value < low) or (high is not None and value > high)


def _common(view: View, shown: Sequence[Device]) -> tuple[str, ...] | None:
    """The metrics of all these devices, if they are of one model and have sent any."""
    if len({device.model for device in shown}) != 1:
        return None
    return tuple(view.ordered(max(shown, key=lambda device: len(device.series)))) or None


def _widest(texts: Iterable[str], least: int, most: int) -> int:
    return min(most, max(least, max(map(len, texts), default=0)))


def _slot(view: View, device: Device, name: str | None, width: int, named: bool, there: bool, look: Look) -> Cell:
    """A metric's last value with its unit, in its place."""
    series = device.series.get(name) if name is not None else None
    if name is None or series is None:
        return ()
    metric = view.metric(device, name)
    alarm = there and beyond(metric, series.value)
    value = figures.value(series.value, metric, NUMBER)
    colour = look.warn if alarm else look.text if there else look.muted
    said = (
        Part("▲" if alarm and len(value) < NUMBER else "", look.warn),
        Part(value.rjust(NUMBER - (alarm and len(value) < NUMBER)), colour),
        Part(f" {figures.unit(view.unit(device, name), UNIT - 1):<{UNIT - 1}}", look.muted),
    )
    if not named:
        return said
    left = width - NUMBER - UNIT - 1
    return (Part(f"{safe_text(name, left):<{left + 1}}", look.muted), *said)
