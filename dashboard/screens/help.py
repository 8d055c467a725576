"""Help: every key, read from the bindings themselves so that it cannot be out of date."""

from collections.abc import Iterable
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from dashboard.look import SYMBOLS, Look, look_of

NAMES = {
    "question_mark": "?", "slash": "/", "left_square_bracket": "[", "right_square_bracket": "]", "escape": "Esc",
    "space": "Space", "enter": "Enter", "ctrl+p": "Ctrl+P", "ctrl+q": "Ctrl+Q",
}  # fmt: skip
MOVING = (
    ("↑ ↓ j k", "Move"), ("g G", "First, last row"), ("Enter", "Open what is under the cursor"), ("Esc", "Back"),
    ("Ctrl+P", "Palette: everything by name, and every device"),
)  # fmt: skip
MEANINGS = {
    "online": "streams", "stale": "online, but silent for four of its intervals", "offline": "no link",
    "never": "enrolled, never seen", "revoked": "its token is refused",
}  # fmt: skip


class HelpScreen(ModalScreen[None]):
    """Keys and symbols. Any of Esc, ?, q closes it."""

    BINDINGS: ClassVar = [Binding("escape,question_mark,q,enter", "dismiss", "Close")]

    def __init__(self, sections: Iterable[tuple[str, Iterable[BindingType]]]) -> None:
        super().__init__()
        self._sections = list(sections)

    def compose(self) -> ComposeResult:
        with VerticalScroll(id="help-box"):
            yield Static(self._text(look_of(self.app)), markup=False)

    def _text(self, look: Look) -> Text:
        text = Text(end="")
        sections = [("Everywhere", [*MOVING, *_rows(self._sections[0][1])])]
        sections += [(title, list(_rows(bindings))) for title, bindings in self._sections[1:]]
        for at, (title, rows) in enumerate(sections):
            text.append(("\n\n" if at else "") + title.upper(), f"bold {look.accent}")
            for key, meaning in rows:
                text.append(f"\n  {key:<9}", look.strong).append(meaning, look.text)
        text.append("\n\nDEVICES", f"bold {look.accent}")
        for state, meaning in MEANINGS.items():
            text.append(f"\n  {SYMBOLS[state]} ", look.liveness(state)).append(f"{state:<8}", look.text)
            text.append(meaning, look.muted)
        return text


def _rows(bindings: Iterable[BindingType]) -> Iterable[tuple[str, str]]:
    for binding in bindings:
        if isinstance(binding, Binding) and binding.description:
            keys = " ".join(NAMES.get(key, key) for key in binding.key.split(","))
            yield binding.key_display or keys, binding.tooltip or binding.description
