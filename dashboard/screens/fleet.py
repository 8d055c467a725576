"""The fleet: every device in a row, searched with ``/`` and sorted by any column."""

from typing import ClassVar, Final

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.widgets import DataTable, Input

from dashboard import rows
from dashboard.look import SYMBOLS
from dashboard.messages import OpenDevice
from dashboard.screens.log import show_lines
from dashboard.screens.page import Page
from dashboard.view import SORTS, View, in_order, matching
from dashboard.widgets.live_table import LiveTable
from dashboard.widgets.words import Words
from hub.client.text import safe_text

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
        yield Words("summary")
        yield LiveTable(id="devices")
        yield Words("nothing")
        yield LiveTable(id="recent", show_header=False)
        yield Input(placeholder="name, model, state or label, e.g.  pump offline site=north", id="find", compact=True)

    def on_mount(self) -> None:
        self.query_one("#find").display = False
        recent = self.query_one("#recent", LiveTable)
        recent.can_focus = recent.show_cursor = False
        self.query_one("#devices", LiveTable).focus()
        super().on_mount()

    def target(self) -> str | None:
        return self.query_one("#devices", LiveTable).key_at_cursor

    def paint(self, view: View, now: int) -> None:
        self._order(view, now)
        shown = [view.devices[name] for name in self.names]
        table = self.query_one("#devices", LiveTable)
        layout = rows.plan(view, shown, self.size.width, self.by, self.reverse, self.wide)
        table.lay_out(layout.columns)
        look = self.look
        table.show(self.names, lambda name: rows.cells(view, view.devices[name], now, layout, look))
        table.display = bool(shown)
        self.keep_focus(table)
        self._nothing(view, bool(shown))
        self.query_one("#summary", Words).say(self._summary(view, len(shown), now))
        if self.wide and self.tall:
            show_lines(self.query_one("#recent", LiveTable), view, self.look)

    def _order(self, view: View, now: int) -> None:
        """Decide which devices are shown in which order; by what changes all the time only now and then."""
        found = matching(view, self.words, now)
        asked = (self.words, self.by, self.reverse, len(found), {device.name for device in found} - set(self.names))
        steady = self.by in ("device", "model")
        if steady or asked != (*self._asked[:4], set()) or now - self._ordered >= REORDER:
            self.names = [device.name for device in in_order(view, found, self.by, self.reverse, now)]
            self._asked, self._ordered = asked, now
        self.names = [name for name in self.names if name in view.devices]

    def _summary(self, view: View, shown: int, now: int) -> Text:
        look = self.look
        text = Text(no_wrap=True, overflow="ellipsis", end="")
        everyone = len(view.devices)
        of_all = "" if shown == everyone else f" of {everyone:,}"
        text.append(f"{shown:,}{of_all} {'device' if everyone == 1 else 'devices'}")
        for state, count in view.count(now).items():
            if count:
                text.append(f"  {SYMBOLS[state]} ", look.liveness(state)).append(f"{count:,} {state}", look.muted)
        if self.words:
            text.append("  / ", look.accent).append(safe_text(self.words, 30), look.accent)
        order = f"by {self.by} {'▾' if self.reverse else '▴'}"
        return text.append(order.rjust(max(2, self.size.width - text.cell_len - 2)), look.muted)

    def _nothing(self, view: View, any_shown: bool) -> None:
        nothing = self.query_one("#nothing", Words)
        nothing.display = not any_shown
        if any_shown:
            return
        if view.devices:
            nothing.say(Text("No device matches. Esc shows all of them again.", self.look.muted))
        elif view.status is None:
            nothing.say(Text("Waiting for the hub …", self.look.muted))
        else:
            nothing.say(Text("No devices yet. Start some:  telemetrio devices host   or   fleet", self.look.muted))

    def action_find(self) -> None:
        find = self.query_one("#find", Input)
        find.display = True
        find.focus()

    def action_clear(self) -> None:
        find = self.query_one("#find", Input)
        find.value = self.words = ""
        find.display = False
        self.query_one("#devices", LiveTable).focus()
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
        self.query_one("#devices", LiveTable).focus()

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
