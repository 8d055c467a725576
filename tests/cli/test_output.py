import csv
import io
import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.cli.options import Output
from hub.cli.output import Rows, cell, guarded, instant, with_times

COLUMNS = ["device", "time", "value"]
ROWS = [["d1", "2027-01-15T08:00:00.000000Z", 1.5], ["d\x1b[2J", None, math.nan]]


def written(kind: str, *, headers: bool = True, widths: list[int] | None = None) -> str:
    out = io.StringIO()
    with Rows(COLUMNS, Output(kind, not headers), widths, out) as rows:  # type: ignore[arg-type]
        for row in ROWS:
            rows.add(row)
    assert rows.count == 2
    return out.getvalue()


def test_table() -> None:
    assert written("table").splitlines() == [
        "DEVICE  TIME                         VALUE",
        "d1      2027-01-15T08:00:00.000000Z  1.5",
        "d\\e[2J",
    ]
    assert written("table", headers=False).startswith("d1 ")


def test_a_table_row_by_row() -> None:
    assert written("table", widths=[8, 27, 5]).splitlines()[1] == "d1        2027-01-15T08:00:00.000000Z  1.5"


def test_csv() -> None:
    assert written("csv").splitlines() == ["device,time,value", "d1,2027-01-15T08:00:00.000000Z,1.5", "d\\e[2J,,"]
    assert written("csv", headers=False).startswith("d1,")


@pytest.mark.parametrize("kind", ["json", "ndjson"])
def test_json_and_ndjson_say_the_same(kind: str) -> None:
    text = written(kind)
    assert "\x1b" not in text
    rows = json.loads(text) if kind == "json" else [json.loads(line) for line in text.splitlines()]
    assert rows == [dict(zip(COLUMNS, ROWS[0], strict=True)), {"device": "d\x1b[2J", "time": None, "value": None}]


@pytest.mark.parametrize("kind", ["json", "ndjson", "csv", "table"])
def test_no_rows(kind: str) -> None:
    out = io.StringIO()
    with Rows(COLUMNS, Output(kind), out=out):  # type: ignore[arg-type]
        pass
    assert {"json": "[]\n", "ndjson": "", "csv": "device,time,value\n"}.get(
        kind, "DEVICE  TIME  VALUE\n"
    ) == out.getvalue()


@given(st.text())
@settings(max_examples=300, deadline=None)
def test_no_text_in_a_csv_is_a_formula(text: str) -> None:
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow([guarded(text)])
    assert not guarded(text).startswith(("=", "+", "-", "@", "\t", "\r"))
    assert all(character.isprintable() for character in line.getvalue())


def test_numbers_in_a_csv_stay_numbers() -> None:
    assert guarded(-1.5) == "-1.5"
    assert guarded("-1.5") == "'-1.5"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, ""),
        (True, "yes"),
        (3, "3"),
        (0.1 + 0.2, "0.3"),
        ("a\nb", "a\\nb"),
        ({"a": 1}, '{"a":1}'),
        (math.inf, "inf"),
    ],
)
def test_cells(value: object, shown: str) -> None:
    assert cell(value) == shown


def test_times() -> None:
    assert instant(1_800_000_000_000_001) == "2027-01-15T08:00:00.000001Z"
    assert instant(None) is None
    assert with_times([{"time": 0, "time_us": 0, "x": {"at": 1_000_000}}]) == [
        {"time": "1970-01-01T00:00:00.000000Z", "time_us": 0, "x": {"at": "1970-01-01T00:00:01.000000Z"}}
    ]
