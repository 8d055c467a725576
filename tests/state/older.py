"""State files as versions before this one made them: none of them had checksums."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

VERSION_3: Final = """
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
NOT_IN_2: Final = ("DROP TABLE gaps",)
NOT_IN_1: Final = (
    *(f"ALTER TABLE account DROP COLUMN {column}" for column in ("expired", "removed")),
    "DROP INDEX quarantine_by_batch",
    *(f"ALTER TABLE quarantine DROP COLUMN {column}" for column in ("model", "unit", "type", "quality", "rows_before")),
)


def older_file(path: Path, version: int, *filling: str) -> None:
    """A file of ``version`` at ``path``, in which ``filling`` was written."""
    without = [*(NOT_IN_2 if version < 3 else ()), *(NOT_IN_1 if version < 2 else ())]
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in (*VERSION_3.split(";\n"), *without, *filling, f"PRAGMA user_version = {version}"):
            connection.execute(statement)
