"""What devices said had happened, and what operators did."""

from collections.abc import Iterable
from typing import NamedTuple

from hub.state.database import Database
from hub.wire.shapes import EventInfo


class Events:
    """Repository of device events, by the LSN of their record (so that taking one in twice changes nothing)."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, events: Iterable[tuple[int, EventInfo]]) -> None:
        """Store ``(lsn, event)``. Only inside a transaction, with the cursor of what they cover."""
        self._database.write_many(
            "INSERT OR IGNORE INTO events (lsn, device, time, level, text) VALUES (?, ?, ?, ?, ?)",
            ((lsn, info["device"], info["time"], info["level"], info["text"]) for lsn, info in events),
        )

    def list(self, device: str | None = None, limit: int = 1000) -> list[EventInfo]:
        """The newest first."""
        rows = self._database.query(
            "SELECT device, time, level, text FROM events WHERE device = coalesce(?, device) ORDER BY lsn DESC LIMIT ?",
            (device, limit),
        )
        return [EventInfo(device=of, time=time, level=level, text=text) for of, time, level, text in rows]


class Deed(NamedTuple):
    """An entry of the audit: who did what to whom, and when."""

    at: int
    by: str
    action: str
    subject: str
    detail: str


class Audit:
    """Repository of deeds: only ever added to."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, deed: Deed) -> None:
        self._database.write("INSERT INTO audit (at, by, action, subject, detail) VALUES (?, ?, ?, ?, ?)", deed)

    def list(self, limit: int = 1000) -> list[Deed]:
        """The newest first."""
        rows = self._database.query(
            "SELECT at, by, action, subject, detail FROM audit ORDER BY id DESC LIMIT ?", (limit,)
        )
        return [Deed(*row) for row in rows]


class Cursors:
    """Repository of followers' cursors."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, name: str) -> int:
        """LSN of the last record taken in; 0 for none."""
        rows = self._database.query("SELECT lsn FROM cursors WHERE name = ?", (name,))
        return int(rows[0][0]) if rows else 0

    def all(self) -> dict[str, int]:
        """Every follower's, by name; also of those that follow no more."""
        return dict(self._database.query("SELECT name, lsn FROM cursors"))

    def set(self, name: str, lsn: int) -> None:
        """Write it in the transaction of what it covers."""
        self._database.write("INSERT OR REPLACE INTO cursors (name, lsn) VALUES (?, ?)", (name, lsn))

    def miss(self, name: str, first: int, last: int) -> None:
        """These records it never got. Only in the transaction that moves its cursor past them."""
        self._database.write("INSERT OR REPLACE INTO gaps (name, first, last) VALUES (?, ?, ?)", (name, first, last))

    def missed(self, name: str) -> list[tuple[int, int]]:
        """The records it never got, as ranges, ascending."""
        return self._database.query("SELECT first, last FROM gaps WHERE name = ? ORDER BY first", (name,))
