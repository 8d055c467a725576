import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dashboard import figures
from hub.model import Metric, ValueType
from tests.dashboard.stage import NOON, SECOND


@pytest.mark.parametrize(
    ("number", "shown"),
    [(21.4312, "21.43"), (-5.0, "-5.00"), (0.5, "0.500"), (1013.25, "1,013.25"), (12345.67, "12,345.7"),
     (0.0, "0.000"), (0.00012, "1.20e-04"), (1_234_567.0, "1.23M"), (7, "7"), (-123_456.7, "-123,457"),
     (123_456, "123,456"), (12_345_678, "12.3M")],
)  # fmt: skip
def test_numbers_are_short_and_keep_two_digits_where_they_can(number: float, shown: str) -> None:
    assert figures.number(number) == shown


@given(st.floats(allow_nan=False, allow_infinity=False))
@settings(deadline=None, max_examples=200)
def test_numbers_fit_their_column(number: float) -> None:
    shown = figures.number(number)
    assert len(shown) <= 9


def test_values_follow_the_type_of_their_metric() -> None:
    def metric(type: str) -> Metric:
        return Metric("m", "Cel", ValueType.parse(type))

    assert figures.value(21.5, metric("decimal(1)")) == "21.5"
    assert figures.value(1.0, metric("bool")) == "true"
    assert figures.value(True) == "true"
    assert figures.value(1200.0, metric("int")) == "1,200"
    assert figures.value(None) == "–"
    assert figures.value("a\x1b[31m") == "a\\e[31m"


def test_ages_and_spans_are_short() -> None:
    ages = [figures.age(seconds * SECOND) for seconds in (0, 59, 60, 3_599, 3_600, 86_400, 9_000_000)]
    assert ages == ["0s", "59s", "1m", "59m", "1h", "1d", "104d"]
    assert figures.age(None) == "–"
    assert [figures.span(seconds) for seconds in (60, 300, 21_600, 604_800)] == ["1 min", "5 min", "6 h", "7 d"]


def test_clock_times_of_any_number_are_a_text() -> None:
    assert figures.clock(NOON) == "12:00:00"
    assert figures.clock(NOON, day=True) == "2026-11-22 12:00:00"
    assert figures.clock(2**62) == "–"


def test_sparklines_go_from_least_to_most_and_end_at_the_right() -> None:
    assert figures.spark([0, 1, 2, 3], 4) == "▁▃▅▇"
    assert figures.spark([5, 5], 4) == "  ▄▄"
    assert figures.spark([], 3) == "   "
    assert figures.spark([1, 2, 3], 0) == ""
    assert figures.spark([9, 9, 0, 1], 2) == "▁▇"


def test_units_as_people_write_them() -> None:
    assert [figures.unit(unit) for unit in ("Cel", "m/s2", "%RH", "W", "\x1b]0;x\x07")] == [
        "°C", "m/s²", "%RH", "W", "\\e]0;x\\…"
    ]  # fmt: skip


def test_ranges_in_short() -> None:
    assert figures.ranges([[1, 90], [92, 92], [100, 2_000], [3_000, 3_001]]) == "1–90, 92, 100–2,000 …"
    assert figures.counted([[1, 90], [92, 92]]) == 91
