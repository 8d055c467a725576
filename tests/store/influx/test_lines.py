"""Lines made by hand are those that influxdb-client would make."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from influxdb_client import Point

from hub.store.influx.lines import LineEncoder, retried_lines
from hub.wire.kept import Birth, Freed, Retried
from hub.wire.messages import REWOUND, TIME_UNKNOWN, Declared, Offsets, Rejection
from tests.store.building import FREEZER, SECOND, T0, birth, columns, event, every_second, floats, malformed, row

METRICS = (
    Declared("zeta", "", "float64"), Declared("alpha", "V", "decimal(2)"), Declared("pm2.5", "", "int"),
    Declared("on", "", "bool"), Declared("note", "", "text"),
)  # fmt: skip
NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,15}", fullmatch=True)
VALUES = st.tuples(
    st.none() | st.floats(allow_nan=False, allow_infinity=False),
    st.none() | st.integers(-(2**53), 2**53),
    st.none() | st.integers(-(2**53), 2**53),
    st.none() | st.booleans(),
    st.none() | st.text(max_size=20).filter(lambda text: "\n" not in text and "\r" not in text),
)


def lines(*kepts: object) -> list[str]:
    encoder = LineEncoder()
    return [line.text.decode() for kept in kepts for line in encoder.lines(kept)]  # type: ignore[arg-type]


@settings(max_examples=300, deadline=None)
@given(NAMES, NAMES, VALUES, st.integers(0, 2**50), st.integers(0, 10**6))
def test_a_row_is_the_line_that_point_makes(
    device: str, model: str, values: tuple[object, ...], time: int, n: int
) -> None:
    kept = row(1, Birth(1, device, model, METRICS, ""), time, list(values))._replace(rows_before=n)
    zeta, alpha, small, on, note = values
    point = Point(model).tag("device", device).time(time * 1000 + n % 1000)
    point.field("zeta", zeta).field("on", on).field("note", note)
    point.field("alpha", None if alpha is None else alpha / 100)  # type: ignore[operator]
    point.field("pm2.5", None if small is None else float(small))  # type: ignore[arg-type]
    expected = point.to_line_protocol()
    assert lines(kept) == ([expected] if expected else [])


def test_columns_are_a_line_a_row() -> None:
    kept = columns(1, birth(1, "d"), every_second(2), [(1, floats(40, 41)), (0, floats(20.5, 21))])._replace(
        rows_before=998
    )
    assert lines(kept) == [
        f"model,device=d humidity=40,temperature=20.5 {T0 * 1000 + 998}",
        f"model,device=d humidity=41,temperature=21 {(T0 + SECOND) * 1000 + 999}",
    ]


def test_rows_of_one_microsecond_stand_beside_each_other() -> None:
    times = Offsets(T0, floats(0, 0, 0).astype("<u4"))
    encoder = LineEncoder()
    found = encoder.lines(columns(1, birth(1, "d"), times, [(0, floats(1, 2, 3))]))
    assert len({(line.series, line.time) for line in found}) == 3


def test_rejected_readings_are_left_out_and_empty_rows_too() -> None:
    some = Rejection(0, "out_of_range", 1, 2, "")
    kept = columns(1, birth(1, "d"), every_second(3), [(0, floats(1, 2, 3))], rejections=(some,))
    assert lines(kept) == [f"model,device=d temperature=1 {T0 * 1000}"]
    assert lines(malformed(2, birth(1, "d")), event(3, birth(1, "d"))) == []
    assert lines(row(4, birth(1, "d"), T0, [None, None])) == []


@pytest.mark.parametrize(("quality", "word"), [(TIME_UNKNOWN, "time_unknown"), (REWOUND, "rewound")])
def test_quality_that_is_not_good_is_a_tag(quality: int, word: str) -> None:
    unknown = quality == TIME_UNKNOWN
    kept = row(7, birth(1, "d"), None if unknown else T0, [1.0, None], quality=quality, base=T0 if unknown else 0)
    assert lines(kept) == [f"model,device=d,quality={word} temperature=1 {T0 * 1000 + 7}"]


def test_a_text_cannot_start_another_line() -> None:
    kept = row(0, birth(1, "d", FREEZER), T0, [None, None, 'idle"\nmodel,device=other temperature=1 1\\'])
    assert lines(kept) == [rf'model,device=d state="idle\"\nmodel,device=other temperature=1 1\\" {T0 * 1000}']
    assert "\n" not in lines(kept)[0]


def test_a_name_cannot_write_to_other_series() -> None:
    kept = row(0, Birth(1, "a,device=b", "x y", (Declared("t=1,u", "", "float64"),), ""), T0, [1.0])
    assert lines(kept) == [f"x_y,device=a_device_b t_1_u=1 {T0 * 1000}"]


def test_what_left_quarantine_goes_to_the_point_of_its_row() -> None:
    weight = Declared("weight", "kg", "decimal(2)")
    retried = Retried(
        9, "a", "m", 1, 1, 5, 40, TIME_UNKNOWN, 2, "admin", 7, (Freed(2, weight, "out_of_range", 5, 1250),)
    )
    (line,) = retried_lines(retried)
    assert line.text == b"m,device=a,quality=time_unknown weight=12.5 5042"
