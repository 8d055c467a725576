"""Text that strangers wrote, made safe to show: nothing in it can steer a terminal, reorder a line or hide."""

import json
from typing import Final

from hub.wire.messages import Plain


class _Visible(dict[int, str]):
    """A table for ``str.translate`` that is made as it is used: what does not print becomes its escape."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        if character.isprintable():
            shown = character
        elif character.isspace() and code >= 0xA0 and code not in (0x2028, 0x2029):
            shown = " "  # no-break space and its kin
        elif code <= 0xFF:
            shown = f"\\x{code:02x}"
        else:
            shown = f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
        self[code] = shown
        return shown


class _Json(dict[int, str]):
    """The same in JSON's own escapes, so that a program reads back what was there."""

    def __missing__(self, code: int) -> str:
        shown = chr(code) if chr(code).isprintable() else json.dumps(chr(code))[1:-1]
        self[code] = f"\\u{code:04x}" if shown == chr(code) and not shown.isprintable() else shown
        return self[code]


_VISIBLE: Final = _Visible({9: "\\t", 10: "\\n", 13: "\\r", 27: "\\e"})
_JSON: Final = _Json()


def safe_text(text: object, limit: int | None = None) -> str:
    """``text`` for a terminal: control, ESC, C1, bidi and other unseen characters as visible escapes.

    ``limit`` cuts to that many characters, with an ellipsis. Markup of rich or Textual is not this function's care.
    """
    text = text if isinstance(text, str) else str(text)
    if not text.isprintable():
        text = text.translate(_VISIBLE)
    return text if limit is None or len(text) <= limit else text[: limit - 1] + "…"


def safe_json(value: object, indent: int | None = None) -> str:
    """JSON on one line (or indented) that no terminal is steered by; bytes as hexadecimal."""
    separators = (",", ":") if indent is None else None
    text = json.dumps(value, ensure_ascii=False, separators=separators, indent=indent, default=_plain)
    return "\n".join(line if line.isprintable() else line.translate(_JSON) for line in text.split("\n"))


def _plain(value: object) -> object:
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value).hex()
    if hasattr(value, "tolist"):
        return value.tolist()  # numpy scalars and arrays
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    return str(value)


def safe_value(value: Plain) -> str:
    """A value of a command, event or property for a terminal: texts bare, the rest as JSON."""
    return safe_text(value) if isinstance(value, str) else "" if value is None else safe_json(value)
