"""Data on stdout: table, json, ndjson or csv. Whatever a device may have said is made safe on the way."""

import csv
import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TextIO

from hub.cli.options import Format, Output
from hub.client.text import safe_json, safe_text, safe_value

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_FORMULA: Final = tuple("=+-@\t\r")  # how a spreadsheet recognises a formula
_WIDE: Final = 10_000  # columns of a table that no terminal shows: nothing is cut
#: Keys of the hub's answers that hold us since the epoch; people and programs get RFC 3339.
TIMES: Final = frozenset({"time", "since", "last_seen", "created", "expiry", "changed", "at", "first_at", "last_at"})


def chosen(output: Output) -> Format:
    """The format asked for, else a table on a terminal and ndjson in a pipe."""
    return output.output or ("table" if sys.stdout.isatty() else "ndjson")


def instant(us: Any) -> str | None:
    """RFC 3339 in UTC, to the microsecond."""
    if not isinstance(us, int) or isinstance(us, bool):
        return None
    return (_EPOCH + timedelta(microseconds=us)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def with_times(value: Any) -> Any:
    """An answer of the hub with its times as RFC 3339."""
    if isinstance(value, Mapping):
        return {
            key: (instant(item) if key in TIMES and isinstance(item, int) else with_times(item))
            for key, item in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [with_times(item) for item in value]
    return value


def _finite(value: Any) -> Any:
    """JSON has no NaN and no infinity: null, and their names."""
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    return value


def cell(value: Any) -> str:
    """One value in a table or a csv."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, str):
        return safe_text(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.10g}"
    return str(value) if isinstance(value, int) else safe_value(value)


def guarded(value: Any) -> Any:
    """A cell of a csv: a text that a spreadsheet would take for a formula gets an apostrophe before it."""
    text = cell(value)
    return f"'{text}" if isinstance(value, str) and text.startswith(_FORMULA) else text


class Rows:
    """Writes rows of the same columns, as they come. ``with Rows(...) as rows: rows.add([...])``.

    ``widths`` (characters per column) makes a table that can be written row by row; without it the table waits for
    the end to find them.
    """

    def __init__(
        self, columns: Sequence[str], output: Output, widths: Sequence[int] | None = None, out: TextIO | None = None
    ) -> None:
        self.count = 0
        self._columns = list(columns)
        self._format = chosen(output)
        self._headers = not output.no_headers
        self._widths = widths
        self._out = out or sys.stdout
        self._held: list[list[str]] = []
        self._csv = csv.writer(self._out, lineterminator="\n")

    def __enter__(self) -> "Rows":
        if self._format == "csv" and self._headers:
            self._csv.writerow(self._columns)
        elif self._format == "json":
            self._out.write("[")
        elif self._format == "table" and self._widths and self._headers:
            self._line([name.upper() for name in self._columns])
        return self

    def add(self, row: Sequence[Any]) -> None:
        """One row; written at once unless a table has to find its widths."""
        self.count += 1
        if self._format == "csv":
            self._csv.writerow([guarded(value) for value in row])
        elif self._format == "table":
            cells = [cell(value) for value in row]
            self._line(cells) if self._widths else self._held.append(cells)
        else:
            text = safe_json({name: _finite(value) for name, value in zip(self._columns, row, strict=True)})
            if self._format == "json":
                text = (",\n" if self.count > 1 else "\n") + text
            self._out.write(text if self._format == "json" else text + "\n")

    def flush(self) -> None:
        """What was added is seen now."""
        self._out.flush()

    def __exit__(self, *_: object) -> None:
        if self._format == "json":
            self._out.write("\n]\n" if self.count else "]\n")
        elif self._format == "table" and not self._widths and (self._held or self._headers):
            table(self._columns if self._headers else None, self._held, self._out)

    def _line(self, cells: Sequence[str]) -> None:
        widths = self._widths or ()
        self._out.write("  ".join(text.ljust(width) for text, width in zip(cells, widths, strict=True)).rstrip() + "\n")


def table(columns: Sequence[str] | None, rows: Sequence[Sequence[str]], out: TextIO) -> None:
    """A table without lines; folded to the terminal's width, or never cut where there is none."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(file=out, width=None if out.isatty() else _WIDE, highlight=False)
    shown = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=columns is not None)
    for name in columns if columns is not None else range(len(rows[0]) if rows else 0):
        shown.add_column(Text(str(name).upper(), style="bold"), overflow="fold")
    for row in rows:
        shown.add_row(*(Text(text) for text in row))
    with console.capture() as captured:
        console.print(shown)
    for line in captured.get().splitlines():
        out.write(line.rstrip() + "\n")


def write_rows(columns: Sequence[str], rows: Iterable[Sequence[Any]], output: Output) -> int:
    """All rows; how many there were."""
    with Rows(columns, output) as writer:
        for row in rows:
            writer.add(row)
    return writer.count


def write_records(
    records: Sequence[Mapping[str, Any]], columns: Sequence[str], output: Output, *, all_keys: bool = True
) -> None:
    """Mappings of the hub: a table and csv show ``columns``, json and ndjson every key."""
    records = [with_times(record) for record in records]
    if chosen(output) in ("table", "csv") or not all_keys:
        write_rows(columns, ([record.get(name) for name in columns] for record in records), output)
    elif chosen(output) == "json":
        sys.stdout.write(safe_json(records, indent=2) + "\n")
    else:
        for record in records:
            sys.stdout.write(safe_json(record) + "\n")


def write_record(record: Mapping[str, Any], output: Output) -> None:
    """One mapping: names and values below each other, or as json."""
    record = with_times(record)
    kind = chosen(output)
    if kind == "table":
        rows = [[name, cell(value)] for name, value in record.items()]
        table(None, rows, sys.stdout)
    elif kind == "csv":
        write_rows(list(record), [list(record.values())], output)
    else:
        sys.stdout.write(safe_json(record, indent=2 if kind == "json" and sys.stdout.isatty() else None) + "\n")
