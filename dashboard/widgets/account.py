"""A device's ledger and what is known of it, as text for the side of its page."""

from collections.abc import Sequence
from typing import Any

from rich.text import Text

from dashboard import figures
from dashboard.look import Look
from dashboard.view import Device
from hub.client.text import safe_text
from hub.wire.operator import LedgerEntry


def ledger(entries: Sequence[LedgerEntry], look: Look, width: int) -> Text:
    """Both equations of the newest epoch, and what is wrong with older ones."""
    text = Text(no_wrap=True, overflow="ellipsis", end="")
    newest = max(entries, key=lambda entry: entry["epoch"], default=None)
    if newest is None:
        return text.append("nothing booked yet", look.muted)
    balanced = all(entry["balanced"] for entry in entries)
    verdict = "✓ balanced" if balanced else "✗ not balanced"
    text.append(f"epoch {newest['epoch']}", look.muted)
    text.append(verdict.rjust(max(0, width - text.cell_len)), look.good if balanced else f"bold {look.bad}")
    _line(text, "batches", newest["next"] - 1, look.strong, width, look)
    _line(text, "  kept", figures.counted(newest["kept"]), look.text, width, look)
    _line(text, "  waiting at device", figures.counted(newest["waiting"]), look.text, width, look)
    _line(text, "  dropped at device", figures.counted(newest["dropped"]), look.text, width, look, look.warn)
    _line(text, "  lost at the hub", figures.counted(newest["lost"]), look.text, width, look, f"bold {look.bad}")
    if newest["moved"]:
        _line(text, "  moved", figures.counted(newest["moved"]), look.text, width, look)
    rejected = sum(newest["rejected"].values())
    _line(text, "readings received", newest["received"], look.strong, width, look)
    _line(text, "  stored", newest["stored"], look.text, width, look)
    _line(text, "  pending", newest["pending"], look.text, width, look)
    _line(text, "  rejected", rejected, look.text, width, look, look.warn)
    for reason, count in sorted(newest["rejected"].items()):
        _line(text, f"    {safe_text(reason, 16)}", count, look.muted, width, look)
    for name in ("expired", "removed"):
        if newest[name]:
            _line(text, f"  {name}", newest[name], look.text, width, look)
    for entry in entries:
        if "problem" in entry:
            text.append(f"\n▲ epoch {entry['epoch']}: {safe_text(entry['problem'])}", look.bad)
    return text


def _line(text: Text, title: str, count: int, style: str, width: int, look: Look, alarm: str = "") -> None:
    figure = f"{count:,}"
    text.append("\n" + title, look.muted)
    text.append(figure.rjust(max(1, width - len(title))), alarm if alarm and count else style)


def facts(device: Device, detail: dict[str, Any] | None, now: int, look: Look, width: int) -> Text:
    """Where it is, since when, what runs on it, labels and properties."""
    text = Text(no_wrap=True, overflow="ellipsis", end="")
    rows: list[tuple[str, str]] = [("software", device.software), ("address", device.address or "–")]
    if device.since is not None:
        rows.append((device.state, f"for {figures.age(now - device.since)}"))
    if device.through is not None:
        rows.append(("settled to", f"{device.through:,}"))
    if device.waiting:
        rows.append(("catching up", f"{device.waiting:,} batches"))
    rows += [(key, value) for key, value in sorted(device.labels.items())]
    for title, properties in (("reported", "reported"), ("desired", "desired")):
        for key, value in sorted((detail or {}).get(properties, {}).items()):
            rows.append((f"{safe_text(key, 14)}", f"{safe_text(str(value))} ({title})"))
    for at, (key, value) in enumerate(rows):
        shown = safe_text(key, 16)
        text.append(("\n" if at else "") + shown, look.muted)
        text.append(" " + safe_text(value, max(4, width - len(shown) - 1)).rjust(width - len(shown) - 1), look.text)
    return text
