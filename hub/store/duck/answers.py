"""Questions as SQL, and what comes back as columns. Only numbers travel out of DuckDB, but for text values.

What is put into the text of SQL below are numbers and words of this file, never what somebody said.
"""
# ruff: noqa: S608

from collections.abc import Sequence
from typing import Any, Final

import duckdb
import numpy as np
import numpy.typing as npt

from hub.query.question import Columns, Question
from hub.store.series import Series
from hub.wire.messages import TIME_UNKNOWN

#: Series named one by one in the SQL: with them DuckDB skips whole row groups. Beyond that many it joins.
NAMED_SERIES: Final = 2_000

#: (time, lsn, row) as one number, for first and last: 53 bits, then 47, then 17 (rows of a frame of 64 KiB).
_ORDER: Final = "(time::HUGEINT * 18446744073709551616 + lsn::HUGEINT * 131072 + row)"
AGGREGATE_SQL: Final = {
    "mean": "avg(value)", "min": "min(value)", "max": "max(value)", "count": "count(*)",
    "first": f"arg_min(value, {_ORDER})", "last": f"arg_max(value, {_ORDER})",
}  # fmt: skip


def answer(cursor: duckdb.DuckDBPyConnection, question: Question, series: list[Series], limit: int) -> Columns:
    """At most ``limit`` rows: the newest ones, oldest first."""
    if question.wanted:
        return _aggregated(cursor, question, [one for one in series if not one.is_text], limit)
    numbers = [one for one in series if not one.is_text]
    texts = [one for one in series if one.is_text]
    found = _raw(cursor, "readings", question, numbers, limit)
    if texts:
        found = _merge(found, _raw(cursor, "texts", question, texts, limit))
    truncated = len(found["time"]) > limit
    newest_first = {name: column[:limit] for name, column in found.items()}
    rows = {name: column[::-1] for name, column in newest_first.items()}
    names = {one.number: one for one in series}
    return _columns([names[number] for number in rows["series"].tolist()], rows, ("value", "quality"), truncated)


def latest(cursor: duckdb.DuckDBPyConnection, series: list[Series], through: int | None) -> Columns:
    """One row per series: the latest reading of the records up to ``through``."""
    chosen: list[tuple[Series, list[Any]]] = []
    names = {one.number: one for one in series}
    for table, wanted in (
        ("readings", [one for one in series if not one.is_text]),
        ("texts", [one for one in series if one.is_text]),
    ):
        lines = _latest(cursor, table, wanted, through) if wanted else []
        chosen += [(names[line[0]], list(line[1:])) for line in lines]
    chosen.sort(key=lambda pair: pair[0].number)
    rows = {
        "time": np.array([line[0] for _, line in chosen], dtype=np.int64),
        "value": [line[1] for _, line in chosen],
        "quality": np.array([line[2] for _, line in chosen], dtype=np.uint8),
        "received": np.array([line[3] for _, line in chosen], dtype=np.int64),
    }
    return _columns([one for one, _ in chosen], rows, ("value", "quality", "received"), False)


def _latest(cursor: duckdb.DuckDBPyConnection, table: str, series: list[Series], through: int | None) -> list[Any]:
    """Lines of series, time, value, quality and receive time. A reading later than the one with the largest time is not
    below what that one counts for, so only those few are looked at closely."""
    among = "true" if through is None else f"lsn <= {int(through)}"
    floors = cursor.execute(
        f"""
        SELECT series, least(newest.time, received) AS floor FROM (
            SELECT series, max(time) AS time, arg_max(lsn, time) AS lsn FROM {table}
            WHERE {_where(cursor, series)} AND {among} AND quality <> {TIME_UNKNOWN} GROUP BY series
        ) newest JOIN batches USING (lsn)"""
    ).fetchnumpy()
    if not len(floors["series"]):
        return []
    cursor.register("floors", floors)
    return cursor.execute(
        f"""
        SELECT r.series, r.time, r.value, r.quality, b.received
        FROM {table} r JOIN floors f ON r.series = f.series AND r.time >= f.floor JOIN batches b USING (lsn)
        WHERE r.time >= {int(floors["floor"].min())} AND {among} AND r.quality <> {TIME_UNKNOWN}
        QUALIFY row_number() OVER (
            PARTITION BY r.series ORDER BY least(r.time, b.received) DESC, b.epoch DESC, b.seq DESC, r.row DESC
        ) = 1"""
    ).fetchall()


def stored(cursor: duckdb.DuckDBPyConnection, lsn: int) -> Columns:
    """Readings by batch, counted where they are."""
    found = cursor.execute(
        """
        SELECT lsn, count(*) AS readings
        FROM (SELECT lsn FROM readings WHERE lsn <= $1 UNION ALL SELECT lsn FROM texts WHERE lsn <= $1)
        GROUP BY lsn ORDER BY lsn""",
        [lsn],
    ).fetchnumpy()
    return Columns({name: found[name].astype(np.int64, copy=False) for name in ("lsn", "readings")})


def batches(cursor: duckdb.DuckDBPyConnection, first: int, last: int) -> list[tuple[str, int, int, int]]:
    """Device, epoch, seq and readings of the batches of the records ``first..last``."""
    found = cursor.execute(
        """
        SELECT name, epoch, seq, sum(readings)::BIGINT FROM batches JOIN devices ON number = device
        WHERE lsn BETWEEN $1 AND $2 GROUP BY ALL ORDER BY ALL""",
        [first, last],
    ).fetchall()
    return [(name, int(epoch), int(seq), int(readings)) for name, epoch, seq, readings in found]


def counts(
    cursor: duckdb.DuckDBPyConnection, device: str | None, through: int | None
) -> tuple[int, dict[tuple[str, int], int]]:
    """The store's cursor, and its readings by device and epoch, from one snapshot."""
    cursor.execute("BEGIN")
    at = cursor.execute("SELECT lsn FROM cursor").fetchall()[0][0]
    found = cursor.execute(
        """
        SELECT name, epoch, sum(readings)::BIGINT FROM batches JOIN devices ON number = device
        WHERE name = coalesce($1, name) AND lsn <= coalesce($2, lsn) GROUP BY ALL""",
        [device, through],
    ).fetchall()
    cursor.execute("ROLLBACK")
    return int(at), {(name, int(epoch)): int(readings) for name, epoch, readings in found}


def _raw(
    cursor: duckdb.DuckDBPyConnection, table: str, question: Question, series: list[Series], limit: int
) -> dict[str, npt.NDArray[Any]]:
    """Newest first, one more than the limit, so that the caller sees whether it cut."""
    if not series:
        kinds = {"series": np.uint32, "time": np.int64, "value": np.float64, "quality": np.uint8}
        return {name: np.empty(0, dtype=kind) for name, kind in {**kinds, "lsn": np.uint64, "row": np.uint32}.items()}
    return cursor.execute(
        f"""
        SELECT series, time, value, quality, lsn, row FROM {table}
        WHERE {_where(cursor, series)} AND {_between(question)}
        ORDER BY time DESC, lsn DESC, row DESC, series DESC LIMIT {limit + 1}"""
    ).fetchnumpy()


def _merge(one: dict[str, npt.NDArray[Any]], other: dict[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
    if not len(other["time"]):
        return one
    both = {name: np.concatenate([column, other[name]]) for name, column in one.items() if name != "value"}
    both["value"] = np.concatenate([one["value"].astype(np.object_), other["value"].astype(np.object_)])
    order = np.lexsort((both["series"], both["row"], both["lsn"], both["time"]))[::-1]
    return {name: column[order] for name, column in both.items()}


def _aggregated(cursor: duckdb.DuckDBPyConnection, question: Question, series: list[Series], limit: int) -> Columns:
    """Series that differ in nothing but their type are one line; lines are numbered in the order they are told."""
    groups: dict[tuple[str, str, str], int] = {}
    heads: list[Series] = []
    for one in sorted(series, key=lambda one: (one.device, one.metric, one.unit)):
        if groups.setdefault((one.device, one.metric, one.unit), len(heads)) == len(heads):
            heads.append(one)
    if not heads:
        empty: dict[str, Any] = dict.fromkeys(("time", *question.wanted), np.empty(0))
        return _columns([], empty, question.wanted, False)
    cursor.register(
        "wanted",
        {
            "series": np.array([one.number for one in series], dtype=np.uint32),
            "line": np.array([groups[one.device, one.metric, one.unit] for one in series], dtype=np.uint32),
        },
    )
    # Times are after 1970 (the verdict sees to it), so the remainder is the distance to the start of the bucket.
    time = "max(time)" if question.every is None else f"time - time % {question.every}"
    group = "line" if question.every is None else "line, time - time % " + str(question.every)
    order = "line" if question.every is None else "2 DESC, 1 DESC"
    asked = ", ".join(f'{AGGREGATE_SQL[name]} AS "{name}"' for name in question.wanted)
    found = cursor.execute(
        f"""
        SELECT line, {time} AS at, {asked} FROM readings JOIN wanted USING (series)
        WHERE {_between(question)} GROUP BY {group} ORDER BY {order} LIMIT {limit + 1}"""
    ).fetchnumpy()
    truncated = len(found["line"]) > limit
    step = 1 if question.every is None else -1
    rows = {name: column[:limit][::step] for name, column in found.items()}
    rows["time"] = rows.pop("at")
    return _columns([heads[line] for line in rows["line"].tolist()], rows, question.wanted, truncated)


def _where(cursor: duckdb.DuckDBPyConnection, series: Sequence[Series]) -> str:
    if len(series) <= NAMED_SERIES:
        return f"series IN ({', '.join(str(one.number) for one in series)})"
    cursor.register("chosen", {"number": np.array([one.number for one in series], dtype=np.uint32)})
    return "series IN (SELECT number FROM chosen)"


def _between(question: Question) -> str:
    since = "true" if question.since is None else f"time >= {int(question.since)}"
    return since if question.until is None else f"{since} AND time < {int(question.until)}"


def _columns(heads: list[Series], rows: dict[str, Any], values: tuple[str, ...], truncated: bool) -> Columns:
    columns: dict[str, Any] = {
        "device": [one.device for one in heads],
        "metric": [one.metric for one in heads],
        "unit": [one.unit for one in heads],
        "time": rows["time"].astype(np.int64, copy=False),
    }
    for name in values:
        column = rows[name]
        columns[name] = column.tolist() if getattr(column, "dtype", None) == np.object_ else column
    return Columns(columns, truncated)
