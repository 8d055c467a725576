"""The one SQLite connection: settings, transactions, and what its errors mean. The sole importer of sqlite3."""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

VERSION: Final = 3  # of the schema, kept in user_version

SCHEMA: Final = """
CREATE TABLE tokens (
  hash BLOB PRIMARY KEY, role TEXT NOT NULL, subject TEXT NOT NULL, created INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE devices (
  device TEXT PRIMARY KEY, model TEXT NOT NULL, software TEXT NOT NULL, metrics TEXT NOT NULL, labels TEXT NOT NULL,
  enrolled INTEGER NOT NULL, revoked INTEGER NOT NULL, since INTEGER, last_seen INTEGER, epoch INTEGER, through INTEGER
) WITHOUT ROWID;
CREATE TABLE commands (
  id TEXT PRIMARY KEY, device TEXT NOT NULL, name TEXT NOT NULL, args BLOB NOT NULL, state TEXT NOT NULL, value BLOB,
  late INTEGER NOT NULL, by TEXT NOT NULL, created INTEGER NOT NULL, expiry INTEGER NOT NULL, changed INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX commands_by_age ON commands (created);
CREATE INDEX commands_open ON commands (state) WHERE state IN ('queued', 'sent', 'acknowledged');
CREATE TABLE twins (
  device TEXT PRIMARY KEY, desired BLOB NOT NULL, version INTEGER NOT NULL, reported BLOB NOT NULL
) WITHOUT ROWID;
CREATE TABLE account (
  device TEXT NOT NULL, epoch INTEGER NOT NULL, highest INTEGER NOT NULL, kept TEXT NOT NULL, dropped TEXT NOT NULL,
  lost TEXT NOT NULL, moved TEXT NOT NULL, closed INTEGER NOT NULL, unknown_above INTEGER NOT NULL,
  received INTEGER NOT NULL, rejected TEXT NOT NULL, dropped_readings INTEGER NOT NULL,
  expired INTEGER NOT NULL DEFAULT 0, removed TEXT NOT NULL DEFAULT '{}', PRIMARY KEY (device, epoch)
) WITHOUT ROWID;
CREATE TABLE quarantine (
  id INTEGER PRIMARY KEY, lsn INTEGER NOT NULL, device TEXT NOT NULL, epoch INTEGER NOT NULL, seq INTEGER NOT NULL,
  row INTEGER NOT NULL, metric TEXT NOT NULL, time INTEGER, received INTEGER NOT NULL, code TEXT NOT NULL,
  text TEXT NOT NULL, value BLOB NOT NULL, model TEXT NOT NULL DEFAULT '', unit TEXT NOT NULL DEFAULT '',
  type TEXT NOT NULL DEFAULT '', quality INTEGER NOT NULL DEFAULT 0, rows_before INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX quarantine_by_device ON quarantine (device, id);
CREATE INDEX quarantine_by_batch ON quarantine (lsn);
CREATE TABLE events (
  lsn INTEGER PRIMARY KEY, device TEXT NOT NULL, time INTEGER NOT NULL, level TEXT NOT NULL, text TEXT NOT NULL
);
CREATE TABLE cursors (name TEXT PRIMARY KEY, lsn INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE gaps (
  name TEXT NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL, PRIMARY KEY (name, first)
) WITHOUT ROWID;
CREATE TABLE audit (
  id INTEGER PRIMARY KEY, at INTEGER NOT NULL, by TEXT NOT NULL, action TEXT NOT NULL, subject TEXT NOT NULL,
  detail TEXT NOT NULL
);
"""

#: From version 1. What was in quarantine then does not tell its model and type: it can be dropped only.
FROM_1: Final = (
    "ALTER TABLE account ADD COLUMN expired INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE account ADD COLUMN removed TEXT NOT NULL DEFAULT '{}'",
    "ALTER TABLE quarantine ADD COLUMN model TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE quarantine ADD COLUMN unit TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE quarantine ADD COLUMN type TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE quarantine ADD COLUMN quality INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE quarantine ADD COLUMN rows_before INTEGER NOT NULL DEFAULT 0",
    "CREATE INDEX quarantine_by_batch ON quarantine (lsn)",
)
FROM_2: Final = (
    "CREATE TABLE gaps (name TEXT NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL, PRIMARY KEY (name, first)) "
    "WITHOUT ROWID",
)


class StateError(Exception):
    """The state file could not do it; nothing of the transaction has been committed. The text says what to do next."""


class Database:
    """One connection; every call blocks. It may be used from any thread, by one call at a time (a worker's way)."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.created = False  # open() made a new file
        self._connection: sqlite3.Connection | None = None
        self._depth = 0

    def open(self) -> None:
        """Open or create, check, and bring the schema to VERSION. StateError when the file is damaged or too new."""
        self.created = not self.path.exists()
        with self._translated():
            self.path.touch(mode=0o600)  # it holds who may do what
            connection = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False, timeout=10.0)
            self._connection = connection
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")  # a commit that was told survives a power cut
            verdict = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
            if verdict != "ok":
                raise sqlite3.DatabaseError(verdict)
        self._migrate()

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def query(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """All rows."""
        with self._translated():
            return self._open().execute(sql, parameters).fetchall()

    def write(self, sql: str, parameters: Sequence[Any] = ()) -> int:
        """Change something; how many rows it changed. Commits by itself outside a transaction."""
        with self._translated():
            return self._open().execute(sql, parameters).rowcount

    def write_many(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        """The same change with each of ``rows``. Only inside a transaction."""
        with self._translated():
            self._open().executemany(sql, rows)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing of what is written inside, durable at the end; one inside another joins it."""
        if self._depth:
            yield
            return
        with self._translated():
            self._open().execute("BEGIN IMMEDIATE")
        self._depth = 1
        try:
            yield
            with self._translated():
                self._open().execute("COMMIT")
        except BaseException:
            if self._open().in_transaction:
                self._open().execute("ROLLBACK")
            raise
        finally:
            self._depth = 0

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            raise StateError(f"the state file {self.path} is not open")
        return self._connection

    def _migrate(self) -> None:
        version = self.query("PRAGMA user_version")[0][0]
        if version > VERSION:
            raise StateError(
                f"the state file {self.path} was written by a newer version (schema {version}, this one knows "
                f"{VERSION}); run that version, or restore a backup made by this one"
            )
        if version < VERSION:
            with self.transaction():
                steps = [*(FROM_1 if version == 1 else ()), *FROM_2]
                for statement in SCHEMA.split(";\n") if version == 0 else steps:
                    self.write(statement)
                self.write(f"PRAGMA user_version = {VERSION}")

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """sqlite3's errors end here."""
        try:
            yield
        except OSError as exc:
            raise StateError(f"the state file {self.path} cannot be made: {exc}; see who may write there") from exc
        except sqlite3.DatabaseError as exc:
            damaged = type(exc) is sqlite3.DatabaseError  # SQLITE_CORRUPT and SQLITE_NOTADB have no class of their own
            advice = (
                "it is damaged: stop the hub and bring it back from a backup with `telemetrio hub restore`"
                if damaged
                else "see that its disk has space and that the hub may write there, then try again"
            )
            raise StateError(f"the state file {self.path}: {exc}; {advice}") from exc
