"""One device: its curve from stored history on, latest values, ledger, labels, and what its log says."""

from typing import ClassVar

from rich.text import Text
from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.widgets import DataTable, Static

from dashboard import figures
from dashboard.bridge import NotConnected
from dashboard.look import SYMBOLS, Cell, Column, Part
from dashboard.points import RAW_SPAN, SECOND, SPANS, Points
from dashboard.rows import beyond
from dashboard.screens.log import show_lines
from dashboard.screens.page import Page
from dashboard.view import Device, View
from dashboard.widgets import account
from dashboard.widgets.history import History
from dashboard.widgets.live_table import LiveTable
from dashboard.widgets.words import Words
from hub.client.errors import HubFailure
from hub.client.text import safe_text
from hub.wire.shapes import DeviceDetail

DETAIL_SECONDS = 2.0  # between two looks at the ledger
RECALL_PARTS = 30  # the history is asked for again when this part of its span has gone by: it is the truth


class DevicePage(Page):
    """All about the device that was opened last."""

    BINDINGS: ClassVar = [
        Binding("escape", "app.show_page('fleet')", "Back", tooltip="Back to the fleet"),
        Binding("left_square_bracket", "span(-1)", "Span", key_display="[ ]", tooltip="Plot a shorter or longer time"),
        Binding("right_square_bracket", "span(1)", show=False),
        Binding("h,left", "span(-1)", show=False, priority=True),
        Binding("l,right", "span(1)", show=False, priority=True),
        Binding("pagedown", "aside(1)", "Aside", show=False, priority=True, key_display="PgUp/Dn",
                tooltip="Scroll the ledger and what is below it"),
        Binding("pageup", "aside(-1)", show=False, priority=True),
        Binding("n", "neighbour(1)", "Next", show=False, tooltip="The next device"),
        Binding("p", "neighbour(-1)", "Previous", show=False, tooltip="The device before"),
    ]  # fmt: skip

    def __init__(self) -> None:
        super().__init__(id="device")
        self.name_of_device: str | None = None
        self.span = SPANS[1]
        self._points: Points | None = None
        self._asked = 0  # us, when the history was asked for
        self._detail: DeviceDetail | None = None
        self._trouble = ""

    def body(self) -> ComposeResult:
        yield Words("title")
        with Horizontal(id="columns"):
            with Vertical(id="left"):
                yield Words("caption")
                yield History(id="history")
                yield LiveTable(id="device-log", show_header=False)
            with VerticalScroll(id="side", can_focus=False):
                yield LiveTable(id="metrics", show_header=False, padding=0)
                yield Static("LEDGER", classes="heading", markup=False)
                yield Words("ledger")
                yield Static("DEVICE", classes="heading", markup=False)
                yield Words("facts")
        yield Words("nothing")

    def on_mount(self) -> None:
        log = self.query_one("#device-log", LiveTable)
        log.can_focus = log.show_cursor = False
        self.query_one("#metrics").focus()
        self.set_interval(DETAIL_SECONDS, self._look_up)
        super().on_mount()

    def on_screen_resume(self) -> None:
        self._asked = 0
        self._look_up()
        super().on_screen_resume()

    def open(self, name: str) -> None:
        """Turn to this device."""
        if name != self.name_of_device:
            self.name_of_device, self._points, self._detail, self._trouble = name, None, None, ""
            if self.is_mounted:
                self.query_one("#metrics", LiveTable).move_cursor(row=0)
        if self.is_mounted:
            self._look_up()
            self.repaint()

    def target(self) -> str | None:
        return self.name_of_device

    def paint(self, view: View, now: int) -> None:
        device = view.devices.get(self.name_of_device or "")
        self.query_one("#columns").display = self.query_one("#title").display = device is not None
        nothing = self.query_one("#nothing", Words)
        nothing.display = device is None
        if device is None:
            nothing.say(
                Text("No device is open. 1 shows the fleet, Enter opens the one under the cursor.", self.look.muted)
            )
            return
        self.query_one("#title", Words).say(self._title(view, device, now))
        self._paint_metrics(view, device)
        self.keep_focus(self.query_one("#metrics"))
        self._paint_curve(view, device, now)
        self._paint_side(device, now)
        if self.wide:
            show_lines(self.query_one("#device-log", LiveTable), view, self.look, device.name)

    def _title(self, view: View, device: Device, now: int) -> Text:
        look, state = self.look, device.liveness(now)
        text = Text(no_wrap=True, overflow="ellipsis", end="")
        text.append(f"{SYMBOLS[state]} ", look.liveness(state)).append(safe_text(device.name, 40), look.strong)
        text.append(f"  {safe_text(device.model, 24)}", look.muted).append(f"  {state}", look.liveness(state))
        text.append(
            f"  {figures.age(device.age(now))} ago" if device.seen is not None else "  no reading yet", look.muted
        )
        model = view.models.get(device.model)
        if self.wide and model is not None and model.description:
            text.append(f"  {safe_text(model.description, 100)}", look.muted)
        return text

    def _paint_metrics(self, view: View, device: Device) -> None:
        look, names = self.look, view.ordered(device)
        table = self.query_one("#metrics", LiveTable)
        width = max(20, self.query_one("#side").size.width - 1)
        value, unit = 10, 7
        trend = min(48, width - 39) if width > 48 else 0
        name = width - value - unit - trend - 1
        columns = [Column("metric", "", name), Column("value", "", value, True), Column("unit", "", unit)]
        table.lay_out(columns + ([Column("trend", "", trend, True)] if trend else []))
        table.styles.height = min(max(1, len(names)), 14 if self.wide else 8)

        def cells(metric: str) -> list[Cell]:
            series = device.series[metric]
            spec = view.metric(device, metric)
            style = look.warn if beyond(spec, series.value) else look.strong
            row: list[Cell] = [
                (Part(" " + safe_text(metric, name - 2), look.text),),
                (Part(figures.value(series.value, spec, value), style),),
                (Part(" " + figures.unit(view.unit(device, metric), unit - 2), look.muted),),
            ]
            return [*row, (Part(figures.spark(series.trail, trend), look.bars),)] if trend else row

        table.show(names, cells)

    def _paint_curve(self, view: View, device: Device, now: int) -> None:
        metric = self.query_one("#metrics", LiveTable).key_at_cursor
        plot = self.query_one(History)
        if metric is None:
            return
        points = self._points
        if points is None or (points.metric, points.span) != (metric, self.span):
            points = self._points = Points(device.name, metric, self.span)
            self._asked, self._trouble = 0, ""
        if now - self._asked > max(5, self.span / RECALL_PARTS) * SECOND:
            self._asked = now
            self._recall(points)
        series = device.series.get(metric)
        if series is not None:
            points.hear(series.time, series.value)
        pixel = self.span / plot.columns
        until = now / SECOND // pixel * pixel + pixel  # moves by whole pixels: a curve that shimmers is hard to read
        times, values = points.curve(until - self.span, plot.columns // 2)
        spec = view.metric(device, metric)
        limits = [(limit, hard) for limit, hard in (
            (spec.min, True), (spec.warn_min, False), (spec.warn_max, False), (spec.max, True)
        ) if limit is not None] if spec else []  # fmt: skip
        band = (
            (points.times, points.low, points.high)
            if self.span > RAW_SPAN and self.wide
            else (points.times, times[:0], times[:0])
        )
        plot.show(times, values, band, until - self.span, until, limits, self.look)
        self.query_one("#caption", Words).say(self._caption(view, device, metric, values.size))

    def _caption(self, view: View, device: Device, metric: str, shown: int) -> Text:
        look, series = self.look, device.series[metric]
        spec = view.metric(device, metric)
        text = Text(no_wrap=True, overflow="ellipsis", end="")
        text.append(safe_text(metric, 24), f"bold {look.primary}")
        text.append("  " + figures.value(series.value, spec, 24), look.strong)
        text.append(" " + figures.unit(view.unit(device, metric)), look.muted)
        text.append(f"  last {figures.span(self.span)}", look.muted)
        if self._trouble:
            text.append(f"  ▲ {safe_text(self._trouble)}", look.warn)
        elif not shown:
            text.append(
                "  nothing to plot" if isinstance(series.value, str) else "  no readings in this time", look.muted
            )
        return text

    def _paint_side(self, device: Device, now: int) -> None:
        width = max(16, self.query_one("#side").size.width - 4)
        detail = self._detail
        if detail is None:
            self.query_one("#ledger", Words).say(Text("…", self.look.muted))
        else:
            self.query_one("#ledger", Words).say(account.ledger(detail["ledger"], self.look, width))
        self.query_one("#facts", Words).say(
            account.facts(device, dict(detail) if detail else None, now, self.look, width)
        )

    @on(DataTable.RowHighlighted, "#metrics")
    def metric_chosen(self) -> None:
        """Plot what is under the cursor."""
        self.call_after_refresh(self.repaint)

    def action_span(self, by: int) -> None:
        at = SPANS.index(self.span) + by
        self.span = SPANS[min(max(at, 0), len(SPANS) - 1)]
        self.repaint()

    def action_aside(self, by: int) -> None:
        """The ledger and what stands below it take no focus: these keys reach what a small terminal cuts."""
        side = self.query_one("#side", VerticalScroll)
        side.scroll_relative(y=by * max(1, side.size.height // 2), animate=False)

    def action_neighbour(self, by: int) -> None:
        names = self.dashboard.fleet_order()
        if self.name_of_device in names:
            self.open(names[(names.index(self.name_of_device) + by) % len(names)])

    @work(exclusive=True, group="history", exit_on_error=False)
    async def _recall(self, points: Points) -> None:
        """Ask the store for the curve; what comes too late for another curve is dropped."""
        try:
            answer = await self.dashboard.feed.ask(points.question(self.dashboard.hub_now()))
        except (HubFailure, NotConnected) as error:
            self._trouble = str(error)
        else:
            points.recall(answer)
            self._trouble = ""
        if points is self._points:
            self.repaint()

    @work(exclusive=True, group="detail", exit_on_error=False)
    async def _look_up(self) -> None:
        """Fetch ledger and properties, while somebody is looking."""
        name = self.name_of_device
        if name is None or not self.is_current:
            return
        try:
            detail = await self.dashboard.feed.call("devices.show", device=name)
        except (HubFailure, NotConnected):
            return  # the strip tells that the link is down; what was here last stays
        if name == self.name_of_device:
            self._detail = detail
            self.repaint()
