"""The tables of the state file, and how an older file is brought to them.

Every row carries a checksum of itself, which SQLite writes with the row: what a disk flips in a value, where SQLite's
own check sees nothing, is found when the file is opened.
"""

from typing import Final, NamedTuple
from zlib import crc32

VERSION: Final = 4  # of the schema, kept in user_version
SUMMED_SINCE: Final = 4  # versions before had no checksums


class Table(NamedTuple):
    """``columns`` as SQL declares them; ``key``: the primary key, where no column is declared to be it."""

    name: str
    columns: tuple[str, ...]
    key: str = ""
    rowid: bool = False

    @property
    def names(self) -> str:
        """Its columns, without the checksum."""
        return ", ".join(column.split()[0] for column in self.columns)

    def create(self) -> str:
        """The statement that makes it."""
        parts = [*self.columns, f"sum INTEGER NOT NULL AS ({self._sum}) STORED"]
        if self.key:
            parts.append(f"PRIMARY KEY ({self.key})")
        return f"CREATE TABLE {self.name} ({', '.join(parts)}){'' if self.rowid else ' WITHOUT ROWID'}"

    def wrong(self) -> str:
        """The question for a row that is not as it was written."""
        return f"SELECT 1 FROM {self.name} WHERE sum IS NOT {self._sum} LIMIT 1"  # noqa: S608

    @property
    def _sum(self) -> str:
        return f"row_sum('{self.name}', {self.names})"


TABLES: Final = (
    Table(
        "tokens",
        ("hash BLOB PRIMARY KEY", "role TEXT NOT NULL", "subject TEXT NOT NULL", "created INTEGER NOT NULL"),
    ),
    Table(
        "devices",
        (
            "device TEXT PRIMARY KEY", "model TEXT NOT NULL", "software TEXT NOT NULL", "metrics TEXT NOT NULL",
            "labels TEXT NOT NULL", "enrolled INTEGER NOT NULL", "revoked INTEGER NOT NULL", "since INTEGER",
            "last_seen INTEGER", "epoch INTEGER", "through INTEGER", "next INTEGER",
        ),
    ),
    Table(
        "commands",
        (
            "id TEXT PRIMARY KEY", "device TEXT NOT NULL", "name TEXT NOT NULL", "args BLOB NOT NULL",
            "state TEXT NOT NULL", "value BLOB", "late INTEGER NOT NULL", "by TEXT NOT NULL",
            "created INTEGER NOT NULL", "expiry INTEGER NOT NULL", "changed INTEGER NOT NULL",
        ),
    ),
    Table(
        "twins",
        ("device TEXT PRIMARY KEY", "desired BLOB NOT NULL", "version INTEGER NOT NULL", "reported BLOB NOT NULL"),
    ),
    Table(
        "account",
        (
            "device TEXT NOT NULL", "epoch INTEGER NOT NULL", "highest INTEGER NOT NULL", "kept TEXT NOT NULL",
            "dropped TEXT NOT NULL", "lost TEXT NOT NULL", "moved TEXT NOT NULL", "closed INTEGER NOT NULL",
            "unknown_above INTEGER NOT NULL", "received INTEGER NOT NULL", "rejected TEXT NOT NULL",
            "dropped_readings INTEGER NOT NULL", "expired INTEGER NOT NULL DEFAULT 0",
            "removed TEXT NOT NULL DEFAULT '{}'",
        ),
        "device, epoch",
    ),
    Table(
        "quarantine",
        (
            "id INTEGER PRIMARY KEY", "lsn INTEGER NOT NULL", "device TEXT NOT NULL", "epoch INTEGER NOT NULL",
            "seq INTEGER NOT NULL", "row INTEGER NOT NULL", "metric TEXT NOT NULL", "time INTEGER",
            "received INTEGER NOT NULL", "code TEXT NOT NULL", "text TEXT NOT NULL", "value BLOB NOT NULL",
            "model TEXT NOT NULL DEFAULT ''", "unit TEXT NOT NULL DEFAULT ''", "type TEXT NOT NULL DEFAULT ''",
            "quality INTEGER NOT NULL DEFAULT 0", "rows_before INTEGER NOT NULL DEFAULT 0",
        ),
        rowid=True,
    ),
    Table(
        "events",
        (
            "lsn INTEGER PRIMARY KEY", "device TEXT NOT NULL", "time INTEGER NOT NULL", "level TEXT NOT NULL",
            "text TEXT NOT NULL",
        ),
        rowid=True,
    ),
    Table("cursors", ("name TEXT PRIMARY KEY", "lsn INTEGER NOT NULL")),
    Table("gaps", ("name TEXT NOT NULL", "first INTEGER NOT NULL", "last INTEGER NOT NULL"), "name, first"),
    Table(
        "audit",
        (
            "id INTEGER PRIMARY KEY", "at INTEGER NOT NULL", "by TEXT NOT NULL", "action TEXT NOT NULL",
            "subject TEXT NOT NULL", "detail TEXT NOT NULL",
        ),
        rowid=True,
    ),
)  # fmt: skip
INDEXES: Final = (
    "CREATE INDEX commands_by_age ON commands (created)",
    "CREATE INDEX commands_open ON commands (state) WHERE state IN ('queued', 'sent', 'acknowledged')",
    "CREATE INDEX quarantine_by_device ON quarantine (device, id)",
    "CREATE INDEX quarantine_by_batch ON quarantine (lsn)",
)
DECLARED: Final = frozenset((*(table.create() for table in TABLES), *INDEXES))  # what a file of VERSION says of itself
#: From version 1. What was in quarantine then does not tell its model and type: it can be dropped only.
_FROM_1: Final = (
    "ALTER TABLE account ADD COLUMN expired INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE account ADD COLUMN removed TEXT NOT NULL DEFAULT '{}'",
    "ALTER TABLE quarantine ADD COLUMN model TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE quarantine ADD COLUMN unit TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE quarantine ADD COLUMN type TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE quarantine ADD COLUMN quality INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE quarantine ADD COLUMN rows_before INTEGER NOT NULL DEFAULT 0",
    "CREATE INDEX quarantine_by_batch ON quarantine (lsn)",
)
_FROM_2: Final = (
    "CREATE TABLE gaps (name TEXT NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL, PRIMARY KEY (name, first)) "
    "WITHOUT ROWID",
)
#: From version 3. What a device had to send at its last hello is known when it says hello again.
_FROM_3: Final = ("ALTER TABLE devices ADD COLUMN next INTEGER",)


def statements(version: int) -> list[str]:
    """What brings a file of ``version`` (0: an empty one) to VERSION, all in one transaction."""
    if version == VERSION:
        return []
    made = [*(table.create() for table in TABLES), *INDEXES]
    if version:  # a checksum cannot be added to a table: each is made anew
        copied = [_copied(table) for table in TABLES]
        older = [*(_FROM_1 if version < 2 else ()), *(_FROM_2 if version < 3 else ()), *_FROM_3]
        made = older + [statement for steps in copied for statement in steps] + list(INDEXES)
    return [*made, f"PRAGMA user_version = {VERSION}"]


def _copied(table: Table) -> tuple[str, ...]:
    name, columns = table.name, table.names
    return (
        f"ALTER TABLE {name} RENAME TO older", table.create(),
        f"INSERT INTO {name} ({columns}) SELECT {columns} FROM older", "DROP TABLE older",  # noqa: S608
    )  # fmt: skip


def row_sum(*values: object) -> int:
    """The checksum of a row, by its table's name and its values as SQLite keeps them: the same with every version of
    Python."""
    return crc32(ascii(values).encode())
