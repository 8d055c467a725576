"""A device's ledger and what is known of it, as text for the side of its page."""

from collections.abc import Sequence
from math import ceil
from typing import Any, Final

from rich.text import Text

from dashboard import figures
from dashboard.look import Look
from dashboard.view import Device
from hub.client.text import safe_text
from hub.wire.shapes import LedgerEntry

MOST_EPOCHS: Final = 5  # shown in full: a device without a spool has one for each of its boots


def ledger(entries: Sequence[LedgerEntry], look: Look, width: int) -> Text:
    """Both equations of each epoch, the newest first, and what is wrong with any."""
    text = Text(no_wrap=True, overflow="ellipsis", end="")
    if not entries:
        return text.append("nothing booked yet", look.muted)
    newest_first = sorted(entries, key=lambda entry: entry["epoch"], reverse=True)
    for entry in newest_first[:MOST_EPOCHS]:
        text.append("\n\n" if text.plain else "")
        _epoch(text, entry, look, width)
    older = newest_first[MOST_EPOCHS:]
    if older:
        sound = all(entry["balanced"] and not entry["lost"] for entry in older)
        verdict = "all balanced, nothing lost" if sound else "▲ not all balanced, or with losses"
        text.append(f"\n\n{len(older):,} older: {verdict}", look.muted if sound else look.bad)
        text.append("\nall of them: telemetrio ledger DEVICE", look.muted)
    return text


def _epoch(text: Text, entry: LedgerEntry, look: Look, width: int) -> None:
    title = f"epoch {entry['epoch']}" + (" (closed)" if entry["closed"] else "")
    verdict = "✓ balanced" if entry["balanced"] else "✗ not balanced"
    text.append(title, look.muted)
    text.append(verdict.rjust(max(1, width - len(title))), look.good if entry["balanced"] else f"bold {look.bad}")
    if "problem" in entry:
        text.append(f"\n▲ {safe_text(entry['problem'])}", look.bad)
    _line(text, "batches", entry["next"] - 1, look.strong, width, look)
    _line(text, "  kept", figures.counted(entry["kept"]), look.text, width, look)
    _line(text, "  waiting at device", figures.counted(entry["waiting"]), look.text, width, look)
    _line(text, "  dropped at device", figures.counted(entry["dropped"]), look.text, width, look, look.warn)
    _line(text, "  lost at the hub", figures.counted(entry["lost"]), look.text, width, look, f"bold {look.bad}")
    if entry["moved"]:
        target = f" to epoch {entry['moved_to']}" if "moved_to" in entry else ""
        _line(text, f"  moved{target}", figures.counted(entry["moved"]), look.text, width, look)
    if entry["unknown_above"]:
        text.append("\n  above: unknown", look.muted)
    _readings(text, entry, look, width)


def _readings(text: Text, entry: LedgerEntry, look: Look, width: int) -> None:
    _line(text, "readings received", entry["received"], look.strong, width, look)
    _line(text, "  stored", entry["stored"], look.text, width, look)
    _line(text, "  pending", entry["pending"], look.text, width, look)
    _line(text, "  rejected", sum(entry["rejected"].values()), look.text, width, look, look.warn)
    for reason, count in sorted(entry["rejected"].items()):
        _line(text, f"    {safe_text(reason, 16)}", count, look.muted, width, look)
    for title, count in (("expired", entry["expired"]), ("removed", sum(entry["removed"].values()))):
        if count:
            _line(text, f"  {title}", count, look.text, width, look)


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
    through = (detail or {}).get("through", device.through)  # the device's own is as old as its link
    if through is not None:
        rows.append(("settled to", f"{through:,}"))
    if device.catching_up:
        waiting = (detail or {}).get("waiting", device.waiting)
        rows += _catching_up(waiting, (detail or {}).get("catch_up", device.catch_up))
    rows += [(key, value) for key, value in sorted(device.labels.items())]
    for title, properties in (("reported", "reported"), ("desired", "desired")):
        for key, value in sorted((detail or {}).get(properties, {}).items()):
            rows.append((f"{safe_text(key, 14)}", f"{safe_text(str(value))} ({title})"))
    for at, (key, value) in enumerate(rows):
        shown = safe_text(key, 16)
        text.append(("\n" if at else "") + shown, look.muted)
        text.append(" " + safe_text(value, max(4, width - len(shown) - 1)).rjust(width - len(shown) - 1), look.text)
    return text


def _catching_up(waiting: int, seconds: float | None) -> list[tuple[str, str]]:
    """What it has still to send, and how long that takes."""
    if not waiting:
        return []
    left = "unknown" if seconds is None else figures.span(min(max(1, ceil(seconds)), figures.MOST_SECONDS))
    return [("catching up", f"{waiting:,} batches"), ("caught up in", left)]
