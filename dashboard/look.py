"""Colours with a meaning, and the symbol that says the same without colour."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Final, NamedTuple

from rich.text import Text
from textual.app import App
from textual.color import Color, ColorParseError
from textual.theme import Theme

DARK: Final = Theme(
    name="telemetrio-dark", dark=True, primary="#5ab0f6", secondary="#7d8fa3", accent="#f2a65a", success="#4fd18b",
    warning="#f5c451", error="#ff6f6f", foreground="#d9e2ec", background="#0c1117", surface="#10161d", panel="#1a232d",
    variables={"block-cursor-background": "#214a6b", "block-cursor-foreground": "#ffffff", "footer-key-foreground":
               "#f2a65a", "block-cursor-text-style": "none", "input-selection-background": "#5ab0f6 35%",
               "scrollbar": "#2b4a63", "scrollbar-background": "#10161d"},
)  # fmt: skip
LIGHT: Final = Theme(
    name="telemetrio-light", dark=False, primary="#0b66b5", secondary="#66788a", accent="#a8560a", success="#147a45",
    warning="#8f6400", error="#c22f2f", foreground="#1c2630", background="#fbfcfd", surface="#f2f5f8", panel="#e3e9ef",
    variables={"block-cursor-background": "#bfdcf5", "block-cursor-foreground": "#0c1117", "footer-key-foreground":
               "#a8560a", "block-cursor-text-style": "none", "input-selection-background": "#0b66b5 30%",
               "scrollbar": "#9dbfdc", "scrollbar-background": "#f2f5f8"},
)  # fmt: skip

SYMBOLS: Final = {"online": "●", "stale": "◐", "offline": "○", "never": "·", "revoked": "✕"}
KINDS: Final = {"command": "▸", "event": "✦", "violation": "▲", "link": "⇄"}
COMMANDS: Final = {
    "queued": "…", "sent": "→", "acknowledged": "↔", "succeeded": "✓", "failed": "✗", "rejected": "✗",
    "timed_out": "◷", "unreachable": "⊘", "expired": "◷", "cancelled": "⊖",
}  # fmt: skip


class Part(NamedTuple):
    """A piece of text and its style."""

    text: str
    style: str = ""


Cell = tuple[Part, ...]


class Column(NamedTuple):
    """A column of a table: its key, what stands over it, and its width in cells."""

    key: str
    title: str
    width: int
    right: bool = False


def assemble(cell: Cell, justify: str = "left") -> Text:
    """A cell as rich takes it; nothing in it is read as markup."""
    text = Text.assemble(*cell, no_wrap=True, overflow="ellipsis", end="")
    text.justify = justify  # type: ignore[assignment]
    return text


@dataclass(frozen=True)
class Look:
    """Styles of the theme in use, as rich takes them."""

    text: str
    strong: str
    muted: str
    accent: str
    primary: str
    good: str
    warn: str
    bad: str
    bars: str

    def liveness(self, state: str) -> str:
        """The colour of how alive a device is."""
        return {"online": self.good, "stale": self.warn, "offline": self.bad, "revoked": self.bad}.get(
            state, self.muted
        )

    def level(self, level: str) -> str:
        """The colour of a line of the log, by its level or its command's state."""
        if level in ("error", "failed", "rejected"):
            return self.bad
        if level in ("warning", "timed_out", "unreachable", "expired", "cancelled"):
            return self.warn
        if level in ("debug", "queued", "sent", "acknowledged"):
            return self.muted
        return self.good if level == "succeeded" else self.text


def look_of(app: App[object]) -> Look:
    """The styles of the app's theme."""
    variables = app.theme_variables
    names = ("foreground", "background", "accent", "primary", "success", "warning", "error")
    return _look(*(variables.get(name, "") for name in names))


@lru_cache(maxsize=8)
def _look(foreground: str, background: str, accent: str, primary: str, good: str, warn: str, bad: str) -> Look:
    try:
        ground = Color.parse(background)
        muted = Color.parse(foreground).blend(ground, 0.45).hex
        bars = Color.parse(primary).blend(ground, 0.35).hex  # a column of them must not outshine the figures
    except ColorParseError:  # the terminal's own colours: nothing to mix
        return Look("", "bold", "dim", "cyan", "blue", "green", "yellow", "red", "blue")
    return Look(foreground, f"bold {foreground}", muted, accent, primary, good, warn, bad, bars)
