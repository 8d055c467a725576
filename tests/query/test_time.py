"""What people type for durations and instants."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.query import QuestionError, format_duration, parse_duration, parse_instant

NOW = 1_790_000_000_000_000
SECOND = 1_000_000


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90), ("15m", 900), ("2h", 7200), ("7d", 604_800), ("500ms", 0.5), ("1h30m", 5400), ("1w", 604_800),
        ("1.5h", 5400), ("250us", 0.00025), ("0.1s", 0.1), (" 10S ", 10), ("1m30s500ms", 90.5),
    ],
)  # fmt: skip
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == round(seconds * SECOND)


@pytest.mark.parametrize("text", ["", "s", "10", "10 s", "-5m", "1y", "5mm", "1e3s", "٣s", "h1"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(QuestionError, match="is no duration: write 90s, 15m, 1h30m, 7d or 500ms"):
        parse_duration(text)


@pytest.mark.parametrize(("text", "word"), [("0s", "short"), ("0.1us", "short"), ("99999999d", "long")])
def test_durations_out_of_bounds(text: str, word: str) -> None:
    with pytest.raises(QuestionError, match=f"too {word} for a duration"):
        parse_duration(text)


@given(st.integers(1, 10**15))
def test_a_duration_is_written_as_it_is_read(us: int) -> None:
    assert parse_duration(format_duration(us)) == us


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-22T10:00:00Z", datetime(2026, 11, 22, 10, tzinfo=UTC)),
        ("2026-11-22T10:00:00", datetime(2026, 11, 22, 10, tzinfo=UTC)),
        ("2026-11-22 10:00", datetime(2026, 11, 22, 10, tzinfo=UTC)),
        ("2026-11-22t10:00:00.25z", datetime(2026, 11, 22, 10, 0, 0, 250_000, tzinfo=UTC)),
        ("2026-11-22T10:00:00+01:30", datetime(2026, 11, 22, 8, 30, tzinfo=UTC)),
        ("2026-11-22", datetime(2026, 11, 22, tzinfo=UTC)),
    ],
)
def test_instants(text: str, expected: datetime) -> None:
    assert parse_instant(text, NOW) == (expected - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def test_instants_from_now() -> None:
    assert parse_instant("now", NOW) == NOW
    assert parse_instant("now-2h", NOW) == NOW - 7200 * SECOND
    assert parse_instant("now + 90s", NOW) == NOW + 90 * SECOND


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yesterday",
        "2026-13-01",
        "2026-11-31T00:00:00Z",
        "now-",
        "now-2",
        "10:00",
        "1969-12-31",
        "2026-1-1",
        "22.11.2026",
    ],
)
def test_what_is_no_instant(text: str) -> None:
    with pytest.raises(QuestionError, match=r"is no (instant|duration)"):
        parse_instant(text, NOW)
