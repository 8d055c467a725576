"""One typed argument of a command, as a field to fill in."""

from typing import Any

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.widget import Widget
from textual.widgets import Input, Select, Static

from dashboard import figures
from dashboard.look import look_of
from hub.client.text import safe_text
from hub.model import Argument, CommandSpec, parse_arguments

KINDS = {"float64": "number", "float32": "number", "decimal": "number", "int": "integer"}


class Field(Widget):
    """Name, entry, and below it what is allowed or what is wrong."""

    def __init__(self, argument: Argument) -> None:
        super().__init__()
        self.argument = argument

    def compose(self) -> ComposeResult:
        look = look_of(self.app)
        label = Text(safe_text(self.argument.name, 22), look.text, end="")
        if self.argument.required:
            label.append(" *", look.accent)
        with Horizontal():
            yield Static(label, classes="label", markup=False)
            yield self._entry()
            yield Static(Text(figures.unit(self.argument.unit), look.muted), classes="unit", markup=False)
        yield Static(Text(safe_text(self._hint()), look.muted), classes="hint", markup=False)

    def _entry(self) -> Widget:
        argument = self.argument
        choices = ("true", "false") if argument.type.name == "bool" else argument.choices
        default = "" if argument.default is None else _typed(argument.default)
        if choices:
            options = [(Text(safe_text(choice)), choice) for choice in choices]
            chosen = default if default in choices else choices[0] if argument.required else Select.NULL
            return Select(options, value=chosen, allow_blank=not argument.required, compact=True)
        kind: Any = KINDS.get(argument.type.name, "text")
        return Input(default, type=kind, compact=True, select_on_focus=True)

    def _hint(self) -> str:
        argument, words = self.argument, [self.argument.description]
        low, high = argument.min, argument.max
        if low is not None and high is not None:
            words.append(f"{low:g} to {high:g}")
        elif low is not None or high is not None:
            words.append(f"at least {low:g}" if low is not None else f"at most {high:g}")
        if argument.default is not None:
            words.append(f"default {_typed(argument.default)}")
        elif not argument.required:
            words.append("may be left out")
        return " · ".join(word for word in words if word)

    def enter(self) -> None:
        """Put the cursor here."""
        self.query("Input, Select").first().focus()

    def value(self) -> Any:
        """What was entered, typed; None when nothing was. Raises ModelError saying what is allowed."""
        entry = self.query("Input, Select").first()
        text = entry.value if isinstance(entry, Input | Select) else None
        if text is None or text == "" or text is Select.NULL:
            if not self.argument.required:
                return None
            text = ""
        alone = CommandSpec("it", (self.argument,))
        return parse_arguments(alone, [f"{self.argument.name}={text}"]).get(self.argument.name)

    def complain(self, why: str) -> None:
        """Say what is wrong, or with the empty text that nothing is."""
        look = look_of(self.app)
        self.set_class(bool(why), "-wrong")
        hint = Text(f"▲ {safe_text(why)}", look.bad) if why else Text(safe_text(self._hint()), look.muted)
        self.query_one(".hint", Static).update(hint)


def _typed(value: Any) -> str:
    return ("true" if value else "false") if isinstance(value, bool) else f"{value}"
