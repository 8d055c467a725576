"""A DataTable for thousands of rows that change all the time: only visible cells that differ are touched."""

from collections.abc import Callable, Sequence
from typing import ClassVar

from rich.text import Text
from textual.binding import Binding
from textual.coordinate import Coordinate
from textual.events import Resize
from textual.widgets import DataTable

from dashboard.look import Cell, Column, assemble


class LiveTable(DataTable[Text]):
    """Rows are slots: the n-th slot shows whatever key is n-th now, so sorting and filtering move no rows about."""

    BINDINGS: ClassVar = [
        Binding("j", "cursor_down", "Down", show=False),
        Binding("k", "cursor_up", "Up", show=False),
        Binding("h", "scroll_left", "Left", show=False),
        Binding("l", "scroll_right", "Right", show=False),
        Binding("g", "scroll_top", "First", show=False),
        Binding("G", "scroll_bottom", "Last", show=False),
    ]

    def __init__(self, id: str | None = None, *, show_header: bool = True, padding: int = 1) -> None:
        super().__init__(
            id=id, cursor_type="row", show_header=show_header, cell_padding=padding,
            cursor_foreground_priority="renderable",
        )  # fmt: skip
        self._columns_now: tuple[Column, ...] = ()
        self._keys: list[str] = []
        self._make: Callable[[str], Sequence[Cell]] = lambda _: ()
        self._shown: dict[int, Sequence[Cell]] = {}

    @property
    def key_at_cursor(self) -> str | None:
        """The key of the row under the cursor."""
        return self._keys[self.cursor_row] if 0 <= self.cursor_row < len(self._keys) else None

    def lay_out(self, columns: Sequence[Column]) -> None:
        """Take these columns; cheap when they are the ones it has."""
        if tuple(columns) == self._columns_now:
            return
        rows, cursor = self.row_count, self.cursor_row
        before, self._columns_now = self._columns_now, tuple(columns)
        self._shown.clear()
        if len(before) == len(columns) and [old.key for old in before] == [new.key for new in columns]:
            for column, (_, title, width, right) in zip(self.ordered_columns, columns, strict=True):
                column.label, column.width, column.content_width = _title(title, right), width, width
            self._clear_caches()
            self._require_update_dimensions = True
            self.refresh(layout=True)
            return
        self.clear(columns=True)
        for key, title, width, right in columns:
            self.add_column(_title(title, right), width=width, key=key)
        self._slots(rows)
        self.move_cursor(row=cursor, animate=False)

    def show(self, keys: list[str], make: Callable[[str], Sequence[Cell]]) -> None:
        """Show these keys in this order; ``make`` gives the cells of one. The cursor stays with its key."""
        held = self.key_at_cursor
        moved = keys != self._keys
        self._keys, self._make = keys, make
        self._slots(len(keys))
        if moved and held is not None and held in keys and keys[self.cursor_row : self.cursor_row + 1] != [held]:
            self.move_cursor(row=keys.index(held), animate=False)
        self._fill()

    def _slots(self, wanted: int) -> None:
        if self.row_count > wanted:
            cursor, offset = self.cursor_row, self.scroll_y
            self.clear()
            self._shown.clear()
            self._grow(wanted)
            self.move_cursor(row=min(cursor, max(0, wanted - 1)), animate=False)
            self.set_scroll(None, min(offset, wanted))
        else:
            self._grow(wanted)

    def _grow(self, wanted: int) -> None:
        empty = [assemble(())] * len(self._columns_now)
        for slot in range(self.row_count, wanted):
            self.add_row(*empty, key=str(slot))

    def _fill(self) -> None:
        if not self._columns_now or len(self.columns) != len(self._columns_now):
            return  # in the middle of a change of columns
        top = int(self.scroll_y)
        for slot in range(top, min(len(self._keys), self.row_count, top + self.size.height + 1)):
            cells = self._make(self._keys[slot])
            before = self._shown.get(slot, ())
            for at, cell in enumerate(cells):
                if at >= len(before) or before[at] != cell:
                    justify = "right" if self._columns_now[at].right else "left"
                    self.update_cell_at(Coordinate(slot, at), assemble(cell, justify), update_width=False)
            self._shown[slot] = cells

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """What comes into sight is filled in before it is painted."""
        super().watch_scroll_y(old_value, new_value)
        if round(old_value) != round(new_value):
            self._fill()

    def on_resize(self, _: Resize) -> None:
        self._fill()


def _title(title: str, right: bool) -> Text:
    return Text(title, justify="right" if right else "left", no_wrap=True, overflow="ellipsis", end="")
