"""The log: commands, events of devices, limit violations, and devices that came and went."""

from typing import ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.widgets import DataTable, Input, Tab, Tabs

from dashboard import figures
from dashboard.look import COMMANDS, KINDS, Cell, Column, Look, Part
from dashboard.messages import OpenDevice
from dashboard.screens.page import Page
from dashboard.view import Line, View, lines
from dashboard.widgets.live_table import LiveTable
from dashboard.widgets.words import Words
from hub.client.text import safe_text

TABS = (("", "All"), ("command", "Commands"), ("event", "Events"), ("violation", "Limits"), ("link", "Links"))
CORNER_LINES = 100  # of the log in a corner of another page


class LogPage(Page):
    """What happened, newest first."""

    BINDINGS: ClassVar = [
        Binding("escape", "back", "Back", tooltip="Drop the search, then back to the fleet"),
        Binding("slash", "find", "Find", key_display="/", tooltip="Show only lines that contain these words"),
        Binding("v", "kind", "Kind", tooltip="Show the next kind of line only"),
    ]

    def __init__(self) -> None:
        super().__init__(id="log")
        self.words = ""
        self._lines: dict[str, Line] = {}

    def body(self) -> ComposeResult:
        yield Tabs(*(Tab(title, id=f"kind-{kind or 'all'}") for kind, title in TABS), id="kinds")
        yield LiveTable(id="lines")
        yield Words("whole")
        yield Input(placeholder="device or words of the text", id="find", compact=True)

    def on_mount(self) -> None:
        self.query_one("#find").display = False
        self.query_one(Tabs).can_focus = False
        self.query_one(LiveTable).focus()
        super().on_mount()

    @property
    def kind(self) -> str:
        """The kind of line that is shown, empty for all."""
        active = self.query_one(Tabs).active.removeprefix("kind-")
        return "" if active in ("", "all") else active

    def target(self) -> str | None:
        line = self._at_cursor()
        return line.device if line else None

    def _at_cursor(self) -> Line | None:
        return self._lines.get(self.query_one(LiveTable).key_at_cursor or "")

    def paint(self, view: View, now: int) -> None:
        self._lines = {str(line.number): line for line in lines(view, self.kind, self.words)}
        table = self.query_one(LiveTable)
        table.lay_out(columns_for(self.size.width))
        table.show(list(self._lines), lambda key: cells_of(self._lines[key], self.look))
        self.query_one("#whole", Words).say(self._whole())

    def _whole(self) -> Text:
        """All of the line under the cursor, which the table may cut."""
        line = self._at_cursor()
        if line is None:
            return Text("Nothing has happened yet." if not self.words else "No line matches.", self.look.muted)
        text = Text(end="")
        text.append(f"{figures.clock(line.time, day=True)}  {safe_text(line.device)}  ", self.look.muted)
        return text.append(safe_text(line.text), self.look.text)

    async def action_back(self) -> None:
        find = self.query_one("#find", Input)
        if not find.display and not self.words:
            await self.dashboard.action_show_page("fleet")
            return
        find.value = self.words = ""
        find.display = False
        self.query_one(LiveTable).focus()
        self.repaint()

    def action_find(self) -> None:
        find = self.query_one("#find", Input)
        find.display = True
        find.focus()

    def action_kind(self) -> None:
        self.query_one(Tabs).action_next_tab()

    @on(Tabs.TabActivated)
    def another_kind(self) -> None:
        """Another tab was chosen."""
        self.query_one(LiveTable).move_cursor(row=0)
        self.repaint()

    @on(Input.Changed, "#find")
    def filter(self, event: Input.Changed) -> None:
        """Search as one types."""
        self.words = event.value
        self.repaint()

    @on(Input.Submitted, "#find")
    def found(self) -> None:
        """Enter goes back to the lines, with the search in force."""
        self.query_one("#find").display = bool(self.words)
        self.query_one(LiveTable).focus()

    @on(DataTable.RowHighlighted)
    def moved(self) -> None:
        """Show all of the line that the cursor is on now."""
        self.query_one("#whole", Words).say(self._whole())

    @on(DataTable.RowSelected)
    def open(self) -> None:
        """Enter opens the line's device."""
        line = self._at_cursor()
        if line is not None:
            self.post_message(OpenDevice(line.device))


def columns_for(width: int) -> list[Column]:
    """Columns of a log that is ``width`` cells wide."""
    device = 24 if width >= 100 else 16
    kind = 14
    return [
        Column("time", "time", 8),
        Column("kind", "kind", kind),
        Column("device", "device", device),
        Column("text", "what", max(10, width - 8 - kind - device - 9)),
    ]


def show_lines(table: LiveTable, view: View, look: Look, device: str = "") -> None:
    """The newest lines in a corner of another page, of one device or of all."""
    found = {str(line.number): line for line in lines(view, "", "", device, CORNER_LINES)}
    table.display = bool(found)
    columns = columns_for(table.size.width)
    table.lay_out([column for column in columns if not device or column.key != "device"])
    skipped = 2 if device else None
    table.show(list(found), lambda key: [c for at, c in enumerate(cells_of(found[key], look)) if at != skipped])


def cells_of(line: Line, look: Look) -> list[Cell]:
    """A line as cells: time, kind with its symbol, device, text."""
    colour = look.level(line.level)
    symbol = COMMANDS.get(line.level, KINDS["command"]) if line.kind == "command" else KINDS[line.kind]
    word = line.level if line.kind in ("command", "event") else {"violation": "limit", "link": "link"}[line.kind]
    return [
        (Part(figures.clock(line.time), look.muted),),
        (Part(f"{symbol} ", colour), Part(safe_text(word, 12), colour)),
        (Part(safe_text(line.device), look.text),),
        (
            Part(
                safe_text(line.text),
                look.text if colour == look.text else colour if line.kind != "command" else look.text,
            ),
        ),
    ]
