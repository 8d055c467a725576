"""Quarantine: every rejected reading with its value and the reason, as long as nobody retried or dropped it."""

from collections.abc import Iterable
from typing import Final, NamedTuple

import cbor2

from hub.state.database import Database
from hub.wire.messages import Value

_SELECT: Final = "SELECT id, lsn, device, epoch, seq, row, metric, time, received, code, text, value FROM quarantine"


class Rejected(NamedTuple):
    """One rejected reading. ``row`` is -1 and ``metric`` empty for a batch that could not be read at all; ``value`` is
    as it came (raw of a decimal); ``time`` is resolved, null where there is none to be trusted."""

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


class Quarantine:
    """Repository of rejected readings."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, readings: Iterable[Rejected]) -> None:
        """Store these. Only inside a transaction, with the cursor of what they cover."""
        dumps = cbor2.dumps  # SQLite would make a null of NaN and a number of a bool
        self._database.write_many(
            "INSERT INTO quarantine (lsn, device, epoch, seq, row, metric, time, received, code, text, value) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            ((*reading[:10], dumps(reading[10])) for reading in readings),
        )

    def list(self, device: str | None = None, limit: int = 1000) -> list[tuple[int, Rejected]]:
        """``(id, reading)``, newest first."""
        newest = "ORDER BY id DESC LIMIT ?"
        if device is None:
            rows = self._database.query(f"{_SELECT} {newest}", (limit,))
        else:
            rows = self._database.query(f"{_SELECT} WHERE device = ? {newest}", (device, limit))
        return [(row[0], Rejected._make((*row[1:11], cbor2.loads(row[11])))) for row in rows]

    def count(self) -> int:
        return int(self._database.query("SELECT count(*) FROM quarantine")[0][0])
