"""What stores answer: the same from all of them."""

from typing import Any

import numpy as np
import pytest

from hub.query import Columns, Question
from hub.store.base import Store
from hub.wire.messages import REWOUND, TIME_UNKNOWN, Declared, Offsets, Rejection
from tests.store.building import (
    FREEZER,
    MINUTE,
    SECOND,
    T0,
    birth,
    columns,
    event,
    every_second,
    floats,
    malformed,
    row,
)

ONE = birth(1, "station-1")
TWO = birth(2, "station-2")
COLD = birth(3, "freezer-1", FREEZER)


def ask(store: Store, **question: Any) -> Columns:
    return store.ask(Question(**question), rows=1000, seconds=10)


def lines(answer: Columns) -> list[tuple[Any, ...]]:
    """Rows of an answer as plain values, without the unit."""
    plain = {
        name: column.tolist() if isinstance(column, np.ndarray) else column
        for name, column in answer.columns.items()
        if name != "unit"
    }
    return list(zip(*plain.values(), strict=True))


def test_an_empty_store_answers_with_empty_columns(store: Store) -> None:
    answer = ask(store)
    assert list(answer.columns) == ["device", "metric", "unit", "time", "value", "quality"]
    assert len(answer) == 0
    assert not answer.truncated
    assert list(ask(store, every=MINUTE).columns) == ["device", "metric", "unit", "time", "mean"]
    assert list(store.stored(100).rows()) == []
    assert len(store.latest()) == 0


def test_rows_come_back_oldest_first_in_the_order_of_their_birth(store: Store) -> None:
    store.take([row(1, ONE, T0 + SECOND, [21.0, 50.0]), row(2, TWO, T0, [5.0, None])], 2)
    answer = ask(store)
    assert lines(answer) == [
        ("station-2", "temperature", T0, 5.0, 0),
        ("station-1", "temperature", T0 + SECOND, 21.0, 0),
        ("station-1", "humidity", T0 + SECOND, 50.0, 0),
    ]
    assert answer.columns["unit"] == ["Cel", "Cel", "%RH"]
    assert isinstance(answer.columns["time"], np.ndarray)
    assert answer.columns["time"].dtype == np.int64
    assert isinstance(answer.columns["value"], np.ndarray)
    assert answer.columns["value"].dtype == np.float64


def test_the_start_is_inside_and_the_end_is_not(store: Store) -> None:
    store.take([row(i, ONE, T0 + i * SECOND, [float(i), None]) for i in range(1, 6)], 5)
    answer = ask(store, since=T0 + 2 * SECOND, until=T0 + 4 * SECOND)
    assert [line[3] for line in lines(answer)] == [2.0, 3.0]


def test_devices_and_metrics_are_chosen_by_name(store: Store) -> None:
    store.take([row(1, ONE, T0, [21.0, 50.0]), row(2, TWO, T0, [5.0, 60.0])], 2)
    assert lines(ask(store, devices=("station-2",), metrics=("humidity",))) == [("station-2", "humidity", T0, 60.0, 0)]
    assert len(ask(store, devices=())) == 0
    assert len(ask(store, devices=("nobody",))) == 0
    assert len(ask(store, metrics=("nothing",), aggregates=("mean",))) == 0


def test_the_limit_keeps_the_newest_and_says_that_it_cut(store: Store) -> None:
    store.take([row(i, ONE, T0 + i * SECOND, [float(i), None]) for i in range(1, 11)], 10)
    answer = ask(store, limit=3)
    assert [line[3] for line in lines(answer)] == [8.0, 9.0, 10.0]
    assert answer.truncated
    assert not ask(store, limit=10).truncated
    buckets = ask(store, every=2 * SECOND, aggregates=("count",), limit=2)
    assert [line[3] for line in lines(buckets)] == [2, 1]
    assert buckets.truncated
    assert store.ask(Question(), rows=4, seconds=10).truncated


def test_equal_times_stand_in_the_order_they_were_kept(store: Store) -> None:
    store.take([row(1, ONE, T0, [1.0, None]), row(2, ONE, T0, [2.0, None]), row(3, TWO, T0, [3.0, None])], 3)
    assert [line[3] for line in lines(ask(store))] == [1.0, 2.0, 3.0]
    assert [line[3] for line in lines(ask(store, limit=2))] == [2.0, 3.0]
    found = ask(store, devices=("station-1",), aggregates=("first", "last"))
    assert lines(found) == [("station-1", "temperature", T0, 1.0, 2.0)]


def test_buckets_are_aligned_to_the_epoch(store: Store) -> None:
    start = T0 - T0 % MINUTE
    store.take(
        [
            row(1, ONE, start + 59 * SECOND, [1.0, None]),
            row(2, ONE, start + 60 * SECOND, [2.0, None]),
            row(3, ONE, start + 119 * SECOND, [6.0, 40.0]),
        ],
        3,
    )
    answer = ask(store, every=MINUTE, aggregates=("mean", "min", "max", "count", "first", "last"))
    assert list(answer.columns) == ["device", "metric", "unit", "time", "mean", "min", "max", "count", "first", "last"]
    assert lines(answer) == [
        ("station-1", "temperature", start, 1.0, 1.0, 1.0, 1, 1.0, 1.0),
        ("station-1", "humidity", start + MINUTE, 40.0, 40.0, 40.0, 1, 40.0, 40.0),
        ("station-1", "temperature", start + MINUTE, 4.0, 2.0, 6.0, 2, 2.0, 6.0),
    ]


def test_buckets_come_by_time_then_device_then_metric_whoever_was_here_first(store: Store) -> None:
    start = T0 - T0 % MINUTE
    store.take([row(i, each, start + i, [float(i), 50.0]) for i, each in enumerate((TWO, ONE, TWO, ONE), 1)], 4)
    store.take([row(5, TWO, start + MINUTE, [5.0, None]), row(6, ONE, start + MINUTE, [6.0, None])], 6)
    expected = [
        ("station-1", "humidity", start, 2), ("station-1", "temperature", start, 2),
        ("station-2", "humidity", start, 2), ("station-2", "temperature", start, 2),
        ("station-1", "temperature", start + MINUTE, 1), ("station-2", "temperature", start + MINUTE, 1),
    ]  # fmt: skip
    assert lines(ask(store, every=MINUTE, aggregates=("count",))) == expected
    assert lines(ask(store, every=MINUTE, aggregates=("count",), limit=3)) == expected[-3:], "the newest"


def test_first_and_last_go_by_time_and_not_by_arrival(store: Store) -> None:
    store.take(
        [row(1, ONE, T0 + 2, [2.0, None]), row(2, ONE, T0 + 3, [3.0, None]), row(3, ONE, T0 + 1, [1.0, None])], 3
    )
    assert lines(ask(store, aggregates=("last", "first"))) == [("station-1", "temperature", T0 + 3, 3.0, 1.0)]


def test_without_buckets_an_aggregate_has_one_row_a_metric_by_device_and_metric(store: Store) -> None:
    store.take([row(1, TWO, T0, [1.0, 2.0]), row(2, ONE, T0 + 5, [3.0, None]), row(3, TWO, T0 + 9, [5.0, None])], 3)
    expected = [
        ("station-1", "temperature", T0 + 5, 3.0),
        ("station-2", "humidity", T0, 2.0),
        ("station-2", "temperature", T0 + 9, 3.0),
    ]
    assert lines(ask(store, aggregates=("mean",))) == expected
    assert lines(ask(store, aggregates=("mean",), limit=2)) == expected[:2]


def test_texts_bools_and_decimals_come_back_as_they_are_meant(store: Store) -> None:
    store.take(
        [
            row(1, COLD, T0, [-1850, True, "cooling"]),
            row(2, COLD, T0 + SECOND, [-1849, False, None]),
            columns(3, COLD, every_second(2, T0 + 2 * SECOND), [(2, ["idle", None]), (1, [None, True])]),
        ],
        3,
    )
    assert [line[1:4] for line in lines(ask(store))] == [
        ("temperature", T0, -18.5),
        ("door_open", T0, 1.0),
        ("state", T0, "cooling"),
        ("temperature", T0 + SECOND, -18.49),
        ("door_open", T0 + SECOND, 0.0),
        ("state", T0 + 2 * SECOND, "idle"),
        ("door_open", T0 + 3 * SECOND, 1.0),
    ]
    assert [line[3] for line in lines(ask(store, metrics=("state",)))] == ["cooling", "idle"]
    assert [line[1] for line in lines(ask(store, aggregates=("count",)))] == ["door_open", "temperature"]
    assert [line[3] for line in lines(ask(store, limit=2))] == ["idle", 1.0]


def test_columns_come_back_row_by_row(store: Store) -> None:
    store.take([columns(1, ONE, every_second(3), [(0, floats(1, 2, 3)), (1, floats(4, 5, 6))])], 1)
    assert [line[1:4] for line in lines(ask(store))] == [
        ("temperature", T0, 1.0), ("humidity", T0, 4.0),
        ("temperature", T0 + SECOND, 2.0), ("humidity", T0 + SECOND, 5.0),
        ("temperature", T0 + 2 * SECOND, 3.0), ("humidity", T0 + 2 * SECOND, 6.0),
    ]  # fmt: skip


def test_columns_of_any_number_type_are_stored(store: Store) -> None:
    kinds = ("f4", "f8", "i1", "u1", "i2", "u4", "i8", ">f4", ">i4")
    offsets = Offsets(T0, np.array([0, 7], dtype="<u2"))
    entries = [columns(i, ONE, offsets, [(0, np.array([3, 4], dtype=kind))]) for i, kind in enumerate(kinds, 1)]
    store.take(entries, len(kinds))
    answer = ask(store)
    assert [line[3] for line in lines(answer)] == [3.0] * len(kinds) + [4.0] * len(kinds)
    assert {line[2] for line in lines(answer)} == {T0, T0 + 7}


def test_rejected_readings_are_left_out(store: Store) -> None:
    out_of_range = Rejection(0, "out_of_range", 0, 1, "too hot")
    whole = Rejection(-1, "future_time", 0, 3, "next year")
    middle = Rejection(0, "out_of_range", 1, 1, "too hot")
    wrong = Rejection(0, "wrong_type", 0, 1, "a text")
    store.take(
        [
            row(1, ONE, T0, [900.0, 50.0], rejections=(out_of_range,)),
            columns(2, ONE, every_second(3), [(0, floats(1, 900, 3))], rejections=(middle,)),
            columns(3, ONE, every_second(3), [(0, floats(1, 2, 3))], rejections=(whole,)),
            row(4, ONE, T0, ["hot", 51.0], rejections=(wrong,)),
            columns(5, ONE, every_second(2), [(0, ["hot", True])], rejections=(wrong,)),
            columns(6, ONE, every_second(2), [(7, floats(1, 2))], rejections=(Rejection(7, "bad_index", 0, 2, "7"),)),
            row(7, ONE, T0, [1.0, 2.0, 3.0], rejections=(Rejection(2, "bad_index", 0, 1, "2"),)),
            malformed(8, ONE),
            event(9, ONE),
        ],
        9,
    )
    assert list(store.stored(9).rows()) == [(1, 1), (2, 2), (4, 1), (5, 1), (7, 2)]
    assert [line[3] for line in lines(ask(store, metrics=("temperature",)))] == [1.0, 1.0, 1.0, 3.0]
    assert [line[3] for line in lines(ask(store, metrics=("humidity",)))] == [50.0, 51.0, 2.0]


def test_nan_that_was_rejected_is_not_stored(store: Store) -> None:
    not_finite = (Rejection(1, "not_finite", 0, 1, "NaN"),)
    store.take([row(1, ONE, T0, [1.0, float("nan")], rejections=not_finite)], 1)
    assert lines(ask(store)) == [("station-1", "temperature", T0, 1.0, 0)]


def test_quality_stands_beside_the_value(store: Store) -> None:
    store.take(
        [
            row(1, ONE, None, [1.0, None], quality=TIME_UNKNOWN, base=T0),
            row(2, ONE, T0 + 1, [2.0, None], quality=REWOUND),
            columns(3, ONE, every_second(2, None), [(0, floats(3, 4))], quality=TIME_UNKNOWN, base=T0 + 2),
        ],
        3,
    )
    assert [line[2:] for line in lines(ask(store))] == [
        (T0, 1.0, 1),
        (T0 + 1, 2.0, 2),
        (T0 + 2, 3.0, 1),
        (T0 + 3, 4.0, 1),
    ]


def test_times_on_the_uptime_clock_are_resolved(store: Store) -> None:
    store.take(
        [row(1, ONE, 5 * SECOND, [1.0, None], base=T0), columns(2, ONE, every_second(1, 0), [(0, floats(2))], base=T0)],
        2,
    )
    assert [line[2:4] for line in lines(ask(store))] == [(T0, 2.0), (T0 + 5 * SECOND, 1.0)]


def test_another_unit_is_another_line_and_another_type_is_not(store: Store) -> None:
    kelvin = birth(7, "station-1", (Declared("temperature", "K", "float64"),))
    single = birth(8, "station-1", (Declared("temperature", "Cel", "float32"),))
    store.take([row(1, ONE, T0, [20.0, None]), row(2, kelvin, T0, [293.15]), row(3, single, T0, [22.0])], 3)
    answer = ask(store, metrics=("temperature",), aggregates=("mean", "count"))
    assert answer.columns["unit"] == ["Cel", "K"]
    assert lines(answer) == [("station-1", "temperature", T0, 21.0, 2), ("station-1", "temperature", T0, 293.15, 1)]


@pytest.mark.parametrize("late", [False, True])
def test_latest_is_ordered_by_the_smaller_of_time_and_receive_time(store: Store, late: bool) -> None:
    ahead = row(1, ONE, T0 + 200 * SECOND, [1.0, None], received=T0)  # its clock is ahead
    newer = row(2, ONE, T0 + 60 * SECOND, [2.0, None], received=T0 + 60 * SECOND)
    history = row(3, ONE, T0 - MINUTE, [3.0, None], received=T0 + 90 * SECOND)
    unknown = row(4, ONE, None, [4.0, None], quality=TIME_UNKNOWN, base=T0 + 300 * SECOND)
    entries = [ahead, newer, history, unknown] if late else [ahead, newer]
    store.take(entries, entries[-1].lsn)
    assert lines(store.latest()) == [("station-1", "temperature", T0 + 60 * SECOND, 2.0, 0, T0 + 60 * SECOND)]
    assert lines(store.latest(through=1)) == [("station-1", "temperature", T0 + 200 * SECOND, 1.0, 0, T0)]
    assert len(store.latest(["station-2"])) == 0


def test_of_equally_late_readings_the_higher_epoch_seq_and_row_is_latest(store: Store) -> None:
    store.take(
        [
            row(1, ONE, T0, [1.0, None], epoch=2, seq=1),
            row(2, ONE, T0, [2.0, None], epoch=1, seq=9),
            row(3, TWO, T0, [3.0, None], seq=4),
            row(4, TWO, T0, [4.0, None], seq=3),
            row(5, COLD, T0, [None, None, "idle"]),
            columns(6, COLD, Offsets(T0, np.array([0, 0], dtype="<u1")), [(0, floats(5, 6))]),
        ],
        6,
    )
    assert [line[3] for line in lines(store.latest())] == [1.0, 3.0, 0.06, "idle"]
    assert [line[3] for line in lines(store.latest(through=2))] == [1.0]
