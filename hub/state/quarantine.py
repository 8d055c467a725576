"""Quarantine: every rejected reading with its value and the reason, as long as nobody retried or dropped it."""

from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple, TypeAlias

import cbor2

from hub.state.database import Database
from hub.wire.messages import Value

_FIELDS: Final = (
    "lsn, device, epoch, seq, row, metric, time, received, code, text, value, model, unit, type, quality, rows_before"
)


class Rejected(NamedTuple):
    """One rejected reading; what names it for ever is ``lsn``, ``row`` and ``metric``. ``row`` is -1 and ``metric``
    empty for a batch that could not be read at all; ``value`` is as it came (raw of a decimal); ``time`` is resolved,
    null where there is none to be trusted. ``unit`` and ``type`` are as the device declared them."""

    lsn: int
    device: str
    epoch: int
    seq: int
    row: int
    metric: str
    time: int | None
    received: int
    code: str
    text: str
    value: Value
    model: str = ""
    unit: str = ""
    type: str = ""
    quality: int = 0
    rows_before: int = 0


class Which(NamedTuple):
    """Some of quarantine; null or empty is no condition. ``since`` and ``until`` (exclusive): receive times in us."""

    devices: Sequence[str] | None = None
    metric: str | None = None
    code: str | None = None
    since: int | None = None
    until: int | None = None
    spots: Sequence[tuple[int, int, str]] = ()  # lsn, row, metric

    def sql(self) -> tuple[str, list[Any]]:
        """A condition and what it binds."""
        terms, bound = ["1"], []
        for term, value in (
            ("metric = ?", self.metric), ("code = ?", self.code), ("received >= ?", self.since),
            ("received < ?", self.until),
        ):  # fmt: skip
            if value is not None:
                terms.append(term)
                bound.append(value)
        if self.devices is not None:
            terms.append(f"device IN ({', '.join('?' * len(self.devices))})")
            bound += self.devices
        if self.spots:
            terms.append("(" + " OR ".join(["(lsn = ? AND row = ? AND metric = ?)"] * len(self.spots)) + ")")
            bound += [part for spot in self.spots for part in spot]
        return " AND ".join(terms), bound


class Group(NamedTuple):
    """Rejected readings of one device, metric and reason; when the first and the last were received (us)."""

    device: str
    metric: str
    code: str
    readings: int
    first: int
    last: int
    text: str


Entries: TypeAlias = list[tuple[int, Rejected]]  # by id, which is the hub's own business
Groups: TypeAlias = list[Group]


class Quarantine:
    """Repository of rejected readings."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, readings: Iterable[Rejected]) -> None:
        """Store these. Only inside a transaction, with the cursor of what they cover."""
        dumps = cbor2.dumps  # SQLite would make a null of NaN and a number of a bool
        self._database.write_many(
            f"INSERT INTO quarantine ({_FIELDS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608
            ((*reading[:10], dumps(reading[10]), *reading[11:]) for reading in readings),
        )

    def remove(self, spots: Iterable[tuple[int, int, str]]) -> None:
        """These (lsn, row, metric) left it. Only inside a transaction, with the cursor of what they cover."""
        self._database.write_many("DELETE FROM quarantine WHERE lsn = ? AND row = ? AND metric = ?", spots)

    def forget(self, epochs: Iterable[tuple[str, int]], through: int) -> None:
        """Whatever records up to ``through`` put there of these devices' epochs is there no more. Only inside a
        transaction, with the cursor of what they cover."""
        self._database.write_many(
            "DELETE FROM quarantine WHERE device = ? AND epoch = ? AND lsn <= ?",
            ((device, epoch, through) for device, epoch in epochs),
        )

    def list(self, device: str | None = None, limit: int = 1000) -> Entries:
        """``(id, reading)``, newest first."""
        return self.find(Which(None if device is None else [device]), limit)

    def find(self, which: Which, limit: int) -> Entries:
        """``(id, reading)`` of some, newest first."""
        where, bound = which.sql()
        return self._rows(f"WHERE {where} ORDER BY id DESC LIMIT ?", [*bound, limit])

    def after(self, which: Which, id: int, limit: int) -> Entries:
        """``(id, reading)`` of some with a greater id, oldest first."""
        where, bound = which.sql()
        return self._rows(f"WHERE {where} AND id > ? ORDER BY id LIMIT ?", [*bound, id, limit])

    def of_records(self, first: int, last: int) -> Sequence[Rejected]:
        """What the records of the LSNs ``first..last`` put there and nobody has taken out."""
        return [reading for _, reading in self._rows("WHERE lsn BETWEEN ? AND ? ORDER BY id", [first, last])]

    def groups(self, which: Which, limit: int) -> Groups:
        """By device, metric and reason; the largest first."""
        where, bound = which.sql()
        rows = self._database.query(
            "SELECT device, metric, code, count(*) AS readings, min(received), max(received), max(text) "  # noqa: S608
            f"FROM quarantine WHERE {where} GROUP BY device, metric, code ORDER BY readings DESC, device, metric, code "
            "LIMIT ?",
            [*bound, limit],
        )
        return [Group(*row) for row in rows]

    def count(self) -> int:
        return int(self._database.query("SELECT count(*) FROM quarantine")[0][0])

    def _rows(self, rest: str, bound: Sequence[Any]) -> Entries:
        return self._database.read(_entry, f"SELECT id, {_FIELDS} FROM quarantine {rest}", bound)  # noqa: S608


def _entry(row: tuple[Any, ...]) -> tuple[int, Rejected]:
    return row[0], Rejected._make((*row[1:11], cbor2.loads(row[11]), *row[12:]))
