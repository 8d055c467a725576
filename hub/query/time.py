"""The time grammar: what people type for a duration or an instant. All results are whole microseconds."""

import re
from datetime import UTC, datetime, timedelta
from typing import Final

from hub.query.question import QuestionError

UNITS: Final[dict[str, int]] = {
    "us": 1, "ms": 1_000, "s": 1_000_000, "m": 60_000_000, "h": 3_600_000_000, "d": 86_400_000_000,
    "w": 604_800_000_000,
}  # fmt: skip
_PART: Final = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,9})?)(us|ms|s|m|h|d|w)")
_DURATION: Final = re.compile(rf"(?:{_PART.pattern})+")
_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_INSTANT: Final = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d(?::\d\d(?:\.\d{1,6})?)?)\s?([Zz]|[+-]\d\d:\d\d)?", re.ASCII
)
_NOW: Final = re.compile(r"now\s*(?:([+-])\s*(.+))?")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MOST: Final = 2**53  # us; what a double holds exactly


def parse_duration(text: str) -> int:
    """``90s``, ``15m``, ``1h30m``, ``7d``, ``500ms``, ``1.5h``: us. QuestionError says what to write instead."""
    word = text.strip().lower()
    if not _DURATION.fullmatch(word):
        raise QuestionError(f"{text!a} is no duration: write 90s, 15m, 1h30m, 7d or 500ms")
    total = 0
    for number, unit in _PART.findall(word):
        whole, _, part = number.partition(".")
        total += int(whole) * UNITS[unit] + (int(part) * UNITS[unit] // 10 ** len(part) if part else 0)
    if not 0 < total <= _MOST:
        raise QuestionError(f"{text!a} is too {'short' if total == 0 else 'long'} for a duration")
    return total


def format_duration(us: int) -> str:
    """The other way: ``5400000000`` is ``1h30m``."""
    words = ""
    for unit in ("d", "h", "m", "s", "ms", "us"):
        count, us = divmod(us, UNITS[unit])
        words += f"{count}{unit}" if count else ""
    return words or "0s"


def parse_instant(text: str, now: int) -> int:
    """``2026-11-22T10:00:00Z`` (without an offset it is UTC), ``2026-11-22`` (its midnight, UTC), ``now``, ``now-2h``:
    us since the Unix epoch. ``now``: what the clock says."""
    word = text.strip()
    relative = _NOW.fullmatch(word)
    if relative:
        sign, rest = relative.groups()
        return now if sign is None else now + (parse_duration(rest) if sign == "+" else -parse_duration(rest))
    try:
        if _DATE.fullmatch(word):
            return _us(datetime.fromisoformat(word).replace(tzinfo=UTC))
        found = _INSTANT.fullmatch(word)
        if found:
            date, clock, offset = found.groups()
            return _us(datetime.fromisoformat(f"{date}T{clock}{(offset or 'Z').upper()}"))
    except (ValueError, OverflowError) as error:
        raise QuestionError(f"{text!a} is no instant: {error}") from error
    raise QuestionError(f"{text!a} is no instant: write 2026-11-22T10:00:00Z, 2026-11-22, now or now-2h")


def _us(instant: datetime) -> int:
    us = (instant - _EPOCH) // timedelta(microseconds=1)
    if us < 0:
        raise ValueError("it is before 1970")
    if us > _MOST:
        raise ValueError("it is after 2255")
    return us
