"""The verdict on readings: the same for rows and columns, and exactly what the records say."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.ingest.times import AHEAD, EARLIEST, Now
from hub.ingest.verdict import Judge, Judged, check_birth
from hub.model import Metric, Model, ValueType
from hub.wire.errors import CloseCode, RemoteProtocolError
from hub.wire.messages import GOOD, TIME_UNKNOWN, Columns, Declared, Offsets, Regular, Row
from hub.wire.rows import UPTIME_END, accepted_mask
from tests.ingest.house import DECLARED, MODEL, NOON, hello

TEMPERATURE, GUST, COUNT, POWER, DOOR, NOTE, STRANGE = range(7)
JUDGE = Judge(MODEL, hello(metrics=(*DECLARED, Declared("strange", "", "int"))))
NOW = Now(NOON, None)


def codes(judged: Judged) -> list[tuple[int, str, int, int]]:
    return [(entry.metric, entry.code, entry.first, entry.readings) for entry in judged.verdict.rejections]


def of_row(values: list[Any], time: int | None = NOON, now: Now = NOW) -> Judged:
    return JUDGE.judge(Row(1, time, values), now)


def of_columns(columns: list[tuple[int, Any]], times: Any = None, now: Now = NOW) -> Judged:
    return JUDGE.judge(Columns(1, times or Regular(NOON, 1000, len(columns[0][1])), columns), now)


@pytest.mark.parametrize(
    ("index", "value", "code"),
    [
        (TEMPERATURE, 20.5, None), (TEMPERATURE, 20, None), (TEMPERATURE, -50.0, None), (TEMPERATURE, 60.0, None),
        (TEMPERATURE, 60.1, "out_of_range"), (TEMPERATURE, -51, "out_of_range"), (TEMPERATURE, math.nan, "not_finite"),
        (TEMPERATURE, -math.inf, "not_finite"), (TEMPERATURE, "20", "wrong_type"), (TEMPERATURE, True, "wrong_type"),
        (GUST, 12.0, None), (GUST, 1e39, "out_of_range"),
        (COUNT, 7, None), (COUNT, -1, "out_of_range"), (COUNT, 2**53 + 1, "out_of_range"), (COUNT, 7.0, "wrong_type"),
        (POWER, 1050, None), (POWER, 1051, "out_of_range"), (POWER, -1000, None), (POWER, 1.5, "wrong_type"),
        (DOOR, True, None), (DOOR, 1, "wrong_type"),
        (NOTE, "open", None), (NOTE, "é" * 128, None), (NOTE, "é" * 129, "too_long"), (NOTE, 3, "wrong_type"),
        (STRANGE, 1, "unknown_metric"), (7, 1, "bad_index"),
    ],
)  # fmt: skip
def test_each_value_has_its_verdict(index: int, value: Any, code: str | None) -> None:
    values: list[Any] = [None] * index + [value]
    judged = of_row(values)
    assert (judged.verdict.received, judged.rows) == (1, 1)
    assert codes(judged) == ([] if code is None else [(index, code, 0, 1)])
    if code is not None:
        assert all(entry.text for entry in judged.verdict.rejections)
    quick = JUDGE.quick(values)
    assert quick is None or (code is None and quick == judged.verdict)


HOUR = 3600 * 1_000_000
UP = Now(NOON, NOON - HOUR)
SHORT = Now(NOON, None, oldest=NOON - HOUR)  # of a hub that keeps readings for an hour


@pytest.mark.parametrize(
    ("time", "now", "base", "code"),
    [
        (NOON, NOW, 0, None), (NOON + AHEAD, NOW, 0, None), (NOON + AHEAD + 1, NOW, 0, "future_time"),
        (EARLIEST, NOW, 0, None), (EARLIEST - 1, NOW, 0, "past_time"), (UPTIME_END, NOW, 0, "past_time"),
        (UPTIME_END - 1, NOW, 0, "clock_unset"), (0, NOW, 0, "clock_unset"), (-1, UP, 0, "clock_unset"),
        (0, UP, NOON - HOUR, None), (HOUR, UP, NOON - HOUR, None), (HOUR + AHEAD + 1, UP, NOON - HOUR, "future_time"),
        (NOON - HOUR, SHORT, 0, None), (NOON - HOUR - 1, SHORT, 0, "past_time"), (EARLIEST - 1, SHORT, 0, "past_time"),
        (NOON + 2 * AHEAD, Now(NOON, None, False), 0, None), (EARLIEST - 1, Now(NOON, None, False), 0, None),
    ],
)  # fmt: skip
def test_time_each_has_its_verdict(time: int, now: Now, base: int, code: str | None) -> None:
    expected = [] if code is None else [(-1, code, 0, 2)]
    rows = of_row([1.0, 2.0], time, now)
    assert (rows.base, codes(rows)) == (base, expected)
    regular = of_columns([(0, np.array([1.0])), (1, np.array([1.0]))], Regular(time, 1000, 1), now)
    offsets = of_columns([(0, np.array([1.0])), (1, np.array([1.0]))], Offsets(time - 5, np.array([5], np.uint8)), now)
    assert (regular.base, codes(regular)) == (offsets.base, codes(offsets)) == (base, expected)


def test_time_that_is_null_is_unknown() -> None:
    for judged in (
        of_row([1.0], None),
        of_columns([(0, np.array([1.0]))], Regular(None, 1000, 1)),
        of_columns([(0, np.array([1.0]))], Offsets(None, np.array([9], np.uint8))),
    ):
        assert (judged.base, judged.verdict) == (NOON, (1, (), TIME_UNKNOWN))


def test_columns_are_rejected_by_runs_of_rows() -> None:
    values = np.full(10, 20.0)
    values[[2, 3, 7]] = 99.0
    values[9] = np.nan
    judged = of_columns([(0, values), (1, np.full(10, 5.0, np.float32)), (9, np.zeros(10))])
    assert judged.verdict.received == 30
    assert judged.verdict.accepted == 16
    assert codes(judged) == [
        (0, "not_finite", 9, 1), (0, "out_of_range", 2, 2), (0, "out_of_range", 7, 1), (9, "bad_index", 0, 10),
    ]  # fmt: skip


def test_late_rows_of_columns_are_rejected_in_every_column_and_once() -> None:
    judged = of_columns(
        [(0, np.array([1.0, 99.0, 99.0])), (NOTE, ["a", None, "c"])], Regular(NOON + AHEAD - 1, 1, 3)
    )  # fmt: skip
    assert codes(judged) == [(0, "future_time", 2, 1), (0, "out_of_range", 1, 1), (NOTE, "future_time", 2, 1)]
    assert (judged.verdict.received, judged.verdict.accepted) == (5, 2)


def test_time_of_columns_whose_clock_is_set_in_the_middle_each_is_judged_by_its_own_clock() -> None:
    said = np.array([-1, HOUR - 1, HOUR + AHEAD + 1, NOON, NOON + AHEAD + 1, -5, 0], np.int64)
    values = [(0, np.arange(7.0))]
    judged = of_columns(values, Offsets(0, said), UP)
    assert judged.base == NOON - HOUR
    unset = [(0, "clock_unset", 0, 1), (0, "clock_unset", 5, 1)]
    assert sorted(codes(judged)) == sorted([*unset, (0, "future_time", 2, 1), (0, "future_time", 4, 1)])
    judged = of_columns(values, Offsets(0, said), NOW)  # hello had no uptime
    assert judged.base == 0
    unset = [(0, "clock_unset", 0, 3), (0, "clock_unset", 5, 2)]
    assert sorted(codes(judged)) == sorted([*unset, (0, "future_time", 4, 1)])


def test_time_of_regular_columns_may_go_from_the_uptime_clock_to_the_other() -> None:
    judged = of_columns([(0, np.array([1.0, 2.0]))], Regular(HOUR, NOON - HOUR, 2), UP)
    assert (codes(judged), judged.base) == ([], NOON - HOUR)
    judged = of_columns([(0, np.array([1.0, 2.0]))], Regular(NOON, -NOON - 1, 2), UP)
    assert (codes(judged), judged.base) == ([(0, "clock_unset", 1, 1)], NOON - HOUR)


@pytest.mark.parametrize(
    ("index", "array", "code"),
    [
        (TEMPERATURE, np.array([1, 2], np.int16), None), (COUNT, np.array([1.0, 2.0]), "wrong_type"),
        (DOOR, np.array([0, 1], np.uint8), "wrong_type"), (NOTE, np.array([0, 1], np.uint8), "wrong_type"),
        (STRANGE, np.array([0, 1], np.uint8), "unknown_metric"), (POWER, np.array([1, 2000], np.int32), "out_of_range"),
        (GUST, np.array([1, 2], np.float16), None), (COUNT, np.array([2**62, 2**62]), "out_of_range"),
    ],
)  # fmt: skip
def test_typed_arrays_must_fit_the_type(index: int, array: Any, code: str | None) -> None:
    assert {entry.code for entry in of_columns([(index, array)]).verdict.rejections} == ({code} - {None})


cells = st.one_of(
    st.none(), st.floats(), st.integers(-(2**60), 2**60), st.booleans(), st.text(max_size=5), st.just("x" * 300),
    st.floats(-60, 70), st.integers(-5, 5),
)  # fmt: skip


@settings(deadline=None, max_examples=200)
@given(
    st.integers(1, 6).flatmap(
        lambda rows: st.lists(st.lists(cells, min_size=8, max_size=8), min_size=rows, max_size=rows)
    )
)
def test_rows_and_columns_get_the_same_verdict(table: list[list[Any]]) -> None:
    judged = of_columns([(index, [row[index] for row in table]) for index in range(8)])
    assert judged.rows == len(table)
    masks = [accepted_mask(judged.verdict, index, len(table)) for index in range(8)]
    rejected = 0
    for number, values in enumerate(table):
        one = of_row(values)
        rejected += one.verdict.rejected
        wrong = {entry.metric for entry in one.verdict.rejections}
        for index, value in enumerate(values):
            mask = masks[index]
            if value is not None:
                assert (mask is None or bool(mask[number])) is (index not in wrong)
        quick = JUDGE.quick(values)
        assert quick is None or quick == one.verdict
    assert judged.verdict.rejected == rejected
    assert judged.verdict.received == sum(value is not None for values in table for value in values)


numbers = st.one_of(st.floats(width=32), st.floats(-60, 70, width=32))


@settings(deadline=None, max_examples=200)
@given(st.lists(numbers, min_size=1, max_size=12), st.sampled_from([np.float32, np.float64]))
def test_typed_arrays_and_lists_get_the_same_verdict(values: list[float], dtype: Any) -> None:
    array = of_columns([(TEMPERATURE, np.array(values, dtype))]).verdict
    listed = of_columns([(TEMPERATURE, list(values))]).verdict
    assert {entry[:4] for entry in array.rejections} == {entry[:4] for entry in listed.rejections}
    assert array.received == listed.received
    assert array.quality == GOOD


# --- births --------------------------------------------------------------------------------------------------------


def refusal(model: Model | None, *metrics: Declared) -> str:
    with pytest.raises(RemoteProtocolError) as refused:
        check_birth(model, hello(metrics=metrics))
    assert refused.value.code == CloseCode.MODEL_REFUSED
    return refused.value.text


def test_a_birth_that_differs_from_the_model_is_refused_and_named() -> None:
    assert "'station'" in refusal(None)
    assert "temperature" in refusal(MODEL, Declared("temperature", "K", "float64"))
    assert "float64, not int" in refusal(MODEL, Declared("temperature", "Cel", "int"))
    assert "float128" in refusal(MODEL, Declared("other", "Cel", "float128"))
    check_birth(MODEL, hello(metrics=(Declared("other", "Cel", "int"),)))


def test_an_open_model_takes_the_birth_as_it_is() -> None:
    model = Model("station", open=True, metrics={"t": Metric("t", "Cel", ValueType("float64"), 0, 1)})
    births = hello(metrics=(Declared("t", "Cel", "float64"), Declared("fresh", "V", "float64")))
    check_birth(model, births)
    judged = Judge(model, births).judge(Row(1, NOON, [2.0, 1e300]), NOW)
    assert codes(judged) == [(0, "out_of_range", 0, 1)]
