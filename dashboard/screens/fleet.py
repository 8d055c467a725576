"""The fleet: every device in a row, searched with ``/`` and sorted by any column."""

from collections.abc import Sequence
from typing import ClassVar, Final

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.widgets import DataTable, Input, Static

from dashboard import figures
from dashboard.look import SYMBOLS, Cell, Look, Part
from dashboard.messages import OpenDevice
from dashboard.screens.page import Page
from dashboard.view import SORTS, Device, View, in_order, matching
from dashboard.widgets.live_table import Column, LiveTable
from hub.client.text import safe_text
from hub.model import Metric

SLOT: Final = 24  # cells of a metric with its name
BARE: Final = 15  # cells of a metric whose name stands in the header
REORDER: Final = 3_000_000  # us between two sortings by what changes all the time: rows must not dance


class FleetPage(Page):
    """A table of devices with their last values, a sparkline each, and the age of what is shown."""

    BINDINGS: ClassVar = [
        Binding("slash", "find", "Find", key_display="/", tooltip="Show only devices that match"),
        Binding("o", "sort", "Sort", tooltip="Sort by the next column"),
        Binding("O", "reverse", "Reverse", show=False, tooltip="Turn the order round"),
        Binding("escape", "clear", "All devices", show=False, tooltip="Show all devices again"),
    ]

    def __init__(self) -> None:
        super().__init__(id="fleet")
        self.words = ""
        self.by = "device"
        self.reverse = False
        self.names: list[str] = []
        self._ordered = 0
        self._asked: tuple[object, ...] = ()

    def body(self) -> ComposeResult:
        yield Static(id="summary", markup=False)
        yield LiveTable(id="devices")
        yield Static(id="nothing", markup=False)
        yield Input(placeholder="name, model, state or label, e.g.  pump offline site=north", id="find", compact=True)

    def on_mount(self) -> None:
        self.query_one("#find").display = False
        self.query_one(LiveTable).focus()
        super().on_mount()

    def target(self) -> str | None:
        return self.query_one(LiveTable).key_at_cursor

    def paint(self, view: View, now: int) -> None:
        self._order(view, now)
        shown = [view.devices[name] for name in self.names]
        table = self.query_one(LiveTable)
        columns, metrics = self._columns(view, shown)
        table.lay_out(columns)
        widths = {column.key: column.width for column in columns}
        look = self.look
        table.show(self.names, lambda name: self._cells(view, view.devices[name], now, widths, metrics, look))
        table.display = bool(shown)
        self._nothing(view, bool(shown))
        self.query_one("#summary", Static).update(self._summary(view, len(shown), now))

    def _order(self, view: View, now: int) -> None:
        """Decide which devices are shown in which order; by what changes all the time only now and then."""
        found = matching(view, self.words, now)
        asked = (self.words, self.by, self.reverse, len(found), {device.name for device in found} - set(self.names))
        steady = self.by in ("device", "model")
        if steady or asked != (*self._asked[:4], set()) or now - self._ordered >= REORDER:
            self.names = [device.name for device in in_order(view, found, self.by, self.reverse, now)]
            self._asked, self._ordered = asked, now
        self.names = [name for name in self.names if name in view.devices]

    def _columns(self, view: View, shown: Sequence[Device]) -> tuple[list[Column], list[str] | None]:
        """Columns for this width. When all devices shown are of one model its metrics become columns, else (None) each
        row names its own."""
        models = {device.model for device in shown}
        uniform = view.ordered(max(shown, key=lambda device: len(device.series))) if len(models) == 1 else None
        wide = self.wide
        fixed = {"device": 26 if wide else 19, "model": 18 if wide else 15, "trend": 24 if wide else 10, "age": 4}
        if uniform is not None:
            fixed["model"] = 0
        labels = 14 if wide else 0
        room = self.size.width - 1 - sum(size + 2 for size in fixed.values() if size) - (labels + 2 if labels else 0)
        slot = BARE if uniform is not None else SLOT
        slots = max(1, min(room // (slot + 2), len(uniform) if uniform is not None else 6))
        slot = min(slot, room // slots - 2) if slots == 1 else slot
        spare = max(0, room - slots * (slot + 2))
        if labels:
            labels += spare // 2
            fixed["trend"] = min(48, fixed["trend"] + spare - spare // 2)
        else:
            fixed["trend"] += spare
        titles = [safe_text(name, slot) for name in uniform[:slots]] if uniform is not None else ["latest values"]
        columns = [Column("device", self._title("device", "  device"), fixed["device"])]
        if fixed["model"]:
            columns.append(Column("model", self._title("model", "model"), fixed["model"]))
        for at in range(slots):
            title = titles[at] if at < len(titles) else ""
            title = self._title("value", title) if at == 0 else title
            columns.append(Column(f"m{at}", title, slot, right=uniform is not None))
        columns += [
            Column("trend", "trend", fixed["trend"], right=True),
            Column("age", self._title("age", "age"), 4, True),
        ]
        if labels:
            columns.append(Column("labels", "labels", labels))
        return columns, uniform

    def _title(self, key: str, title: str) -> str:
        return f"{title} {'▾' if self.reverse else '▴'}" if key == self.by and key != "age" else title

    def _cells(
        self, view: View, device: Device, now: int, widths: dict[str, int], uniform: list[str] | None, look: Look
    ) -> list[Cell]:
        state = device.liveness(now)
        metrics = uniform if uniform is not None else view.ordered(device)
        first = device.series.get(metrics[0]) if metrics else None
        dim = state not in ("online", "stale")
        cells: list[Cell] = []
        for key, width in widths.items():
            if key == "device":
                name = Part(safe_text(device.name, width - 2), look.muted if dim else look.strong)
                cells.append((Part(SYMBOLS[state] + " ", look.liveness(state)), name))
            elif key == "model":
                cells.append((Part(safe_text(device.model, width), look.muted),))
            elif key == "trend":
                cells.append(
                    (Part(figures.spark(first.trail, width) if first else "", look.muted if dim else look.primary),)
                )
            elif key == "age":
                cells.append((Part(figures.age(device.age(now)), look.warn if state == "stale" else look.muted),))
            elif key == "labels":
                words = " ".join(f"{name}={text}" for name, text in sorted(device.labels.items()))
                cells.append((Part(safe_text(words, width), look.muted),))
            else:
                at = int(key[1:])
                metric = metrics[at] if at < len(metrics) else None
                cells.append(_slot(view, device, metric, width, uniform is None, dim, look))
        return cells

    def _summary(self, view: View, shown: int, now: int) -> Text:
        look = self.look
        text = Text(no_wrap=True, overflow="ellipsis", end="")
        text.append(
            f"{shown:,} devices" if shown == len(view.devices) else f"{shown:,} of {len(view.devices):,} devices"
        )
        for state, count in view.count(now).items():
            if count:
                text.append(f"  {SYMBOLS[state]} ", look.liveness(state)).append(f"{count:,} {state}", look.muted)
        if self.words:
            text.append("  / ", look.accent).append(safe_text(self.words, 30), look.accent)
        order = f"by {self.by} {'▾' if self.reverse else '▴'}"
        return text.append(order.rjust(max(2, self.size.width - text.cell_len - 2)), look.muted)

    def _nothing(self, view: View, any_shown: bool) -> None:
        nothing = self.query_one("#nothing", Static)
        nothing.display = not any_shown
        if any_shown:
            return
        if view.devices:
            nothing.update(Text("No device matches. Esc shows all of them again.", self.look.muted))
        elif view.status is None:
            nothing.update(Text("Waiting for the hub …", self.look.muted))
        else:
            nothing.update(Text("No devices yet. Start some:  telemetrio devices host   or   fleet", self.look.muted))

    def action_find(self) -> None:
        find = self.query_one("#find", Input)
        find.display = True
        find.focus()

    def action_clear(self) -> None:
        find = self.query_one("#find", Input)
        find.value = self.words = ""
        find.display = False
        self.query_one(LiveTable).focus()
        self.repaint()

    def action_sort(self) -> None:
        self.by = SORTS[(SORTS.index(self.by) + 1) % len(SORTS)]
        self.reverse = False
        self.repaint()

    def action_reverse(self) -> None:
        self.reverse = not self.reverse
        self.repaint()

    @on(Input.Changed, "#find")
    def filter(self, event: Input.Changed) -> None:
        """Search as one types."""
        self.words = event.value
        self.repaint()

    @on(Input.Submitted, "#find")
    def found(self) -> None:
        """Enter goes back to the table, with the search in force."""
        self.query_one("#find").display = bool(self.words)
        self.query_one(LiveTable).focus()

    @on(DataTable.RowSelected, "#devices")
    def open(self) -> None:
        """Enter, or a click on the row under the cursor, opens the device."""
        name = self.target()
        if name is not None:
            self.post_message(OpenDevice(name))

    @on(DataTable.HeaderSelected, "#devices")
    def sort_by(self, event: DataTable.HeaderSelected) -> None:
        """A click on a title sorts by it, a second one turns the order round."""
        key = str(event.column_key.value)
        by = "value" if key == "m0" else key
        if by in SORTS:
            self.reverse = by == self.by and not self.reverse
            self.by = by
            self.repaint()


def _slot(view: View, device: Device, name: str | None, width: int, named: bool, dim: bool, look: Look) -> Cell:
    """A metric's last value with its unit, in its place."""
    series = device.series.get(name) if name is not None else None
    if name is None or series is None:
        return ()
    metric = view.metric(device, name)
    unit = figures.unit(view.unit(device, name), 5)
    room = min(10, width - 6)
    value = figures.value(series.value, metric, room)
    colour = look.muted if dim else look.warn if beyond(metric, series.value) else look.text
    said = (Part(value.rjust(room), colour), Part(f" {unit:<5}", look.muted))
    if not named:
        return said
    left = width - room - 6
    return (Part(f"{safe_text(name, left):<{left}}" if left > 2 else " " * left, look.muted), *said)


def beyond(metric: Metric | None, value: object) -> bool:
    """Is the value outside the limits that warn?"""
    if metric is None or isinstance(value, bool) or not isinstance(value, int | float):
        return False
    low, high = metric.warn_min, metric.warn_max
    return (low is not None and value < low) or (high is not None and value > high)
