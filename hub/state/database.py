"""The one SQLite connection: settings, transactions, and what its errors mean. The sole importer of sqlite3."""

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

import cbor2

from hub.state.schema import DECLARED, SUMMED_SINCE, TABLES, VERSION, row_sum, statements
from hub.state.wal import CERTAIN, forgotten

#: What a value that is not as it was written makes of whoever reads it.
_SENSELESS: Final = (ValueError, TypeError, LookupError, EOFError, cbor2.CBORDecodeError)

NEWEST: Final = 1000  # no version is so new: a greater number was never written
#: Primary result codes that say something of the disk, of memory or of who asks, and nothing of what is in the file.
NO_DAMAGE: Final = frozenset(
    {
        sqlite3.SQLITE_PERM, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_INTERRUPT, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL, sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_PROTOCOL, sqlite3.SQLITE_TOOBIG, sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_MISUSE,
        sqlite3.SQLITE_RANGE,
    }
)  # fmt: skip
#: Numbers that only ever grow.
PROGRESS: Final = "SELECT (SELECT coalesce(max(id), 0) FROM audit), (SELECT coalesce(max(lsn), 0) FROM cursors)"
#: The same for tokens as long as none is given, replaced or taken away.
TOKENS: Final = "SELECT count(*), coalesce(sum(sum), 0) FROM tokens"
COPY: Final = "state.copy"  # beside the file: what the hub copies of it from time to time

T = TypeVar("T")


class StateError(Exception):
    """The state file could not do it; nothing of the transaction has been committed. The text says what to do next."""


class StateDamaged(StateError):
    """The file is not as it was written."""


class Database:
    """One connection; every call blocks. It may be used from any thread, by one call at a time (a worker's way)."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._connection: sqlite3.Connection | None = None
        self._depth = 0
        self._inode = 0
        #: For who copies the file while it is written. Opened here once: SQLite keeps the descriptor of a second
        #: connection that is closed while a first one holds the file.
        self.reading: sqlite3.Connection | None = None

    def open(self, *, anew: bool = True) -> None:
        """Open, check, and bring the schema to VERSION. StateError when the file is damaged or too new; unless ``anew``
        allows to begin a new one, also when it is not there, or empty."""
        with self._translated():
            if not anew and not (self.path.exists() and self.path.stat().st_size):
                text = f"the state file {self.path} is gone, and with it all tokens. {restoring(self.path)}"
                raise StateDamaged(text)
            self.path.touch(mode=0o600)  # it holds who may do what
            if (commits := forgotten(self.path)) >= CERTAIN:  # before SQLite is there: it would remove the log
                raise sqlite3.DatabaseError(f"its log breaks off {commits} commits before its end")
            self._connection = connection = connected(self.path)
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")  # a commit that was told survives a power cut
            check(connection, anew=anew)
        self._migrate()
        with self._translated():
            self.reading = reader(self.path)
        self._inode = self.path.stat().st_ino

    def look(self) -> None:
        """StateDamaged when the file was deleted, replaced or emptied by somebody since ``open``."""
        try:
            there = self.path.stat()
        except FileNotFoundError:
            raise StateDamaged(f"the state file {self.path} was deleted while the hub runs") from None
        if self._connection is not None and there.st_ino != self._inode:
            raise StateDamaged(f"the state file {self.path} was replaced by another while the hub runs")
        if not there.st_size:
            raise StateDamaged(f"the state file {self.path} was emptied while the hub runs")

    def close(self) -> None:
        if self.reading is not None:
            self.reading.close()
            self.reading = None
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def committed(self) -> tuple[int, tuple[int, int]]:
        """What tells one content of the file from another, and that of its tokens; only what is committed counts. From
        ``reading``, so that it may be asked while somebody writes."""
        with self._translated():
            reading = self.reading_open()
            version: int = reading.execute("PRAGMA data_version").fetchall()[0][0]
            return version, reading.execute(TOKENS).fetchall()[0]

    def reading_open(self) -> sqlite3.Connection:
        """``reading``; StateError when the file is not open."""
        if self.reading is None:
            raise StateError(f"the state file {self.path} is not open")
        return self.reading

    def progress(self) -> tuple[int, ...]:
        """Numbers that only ever grow: a file that has less is an older one."""
        return self.query(PROGRESS)[0]

    def query(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """All rows."""
        with self._translated():
            return self._open().execute(sql, parameters).fetchall()

    def read(self, parse: Callable[[tuple[Any, ...]], T], sql: str, parameters: Sequence[Any] = ()) -> list[T]:
        """What ``parse`` makes of each row; StateError where it makes no sense, because then it is damaged."""
        rows = self.query(sql, parameters)
        try:
            return [parse(row) for row in rows]
        except _SENSELESS as exc:
            raise self._damaged(f"a row makes no sense ({exc})") from exc

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
                f"{VERSION}): run that version. Or {restoring(self.path)}"
            )
        if steps := statements(version):
            with self.transaction():
                for statement in steps:
                    self.write(statement)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """sqlite3's errors end here."""
        try:
            yield
        except OSError as exc:
            raise StateError(f"the state file {self.path} cannot be made: {exc}; see who may write there") from exc
        except sqlite3.DatabaseError as exc:
            if is_damage(exc):
                raise self._damaged(str(exc)) from exc
            advice = "see that its disk has space and that the hub may write there, then try again"
            raise StateError(f"the state file {self.path}: {exc}; {advice}") from exc
        except UnicodeDecodeError as exc:  # SQLite quotes what it does not understand
            raise self._damaged(f"its tables make no sense ({exc.reason})") from exc

    def _damaged(self, what: str) -> StateDamaged:
        told = " ".join(what.split())  # SQLite's may have several lines
        return StateDamaged(f"the state file {self.path} is damaged: {told}. {restoring(self.path)}")


def connected(path: Path) -> sqlite3.Connection:
    """A connection that knows the checksum of rows; every statement is a transaction by itself."""
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10.0)
    connection.create_function("row_sum", -1, row_sum, deterministic=True)
    return connection


def reader(path: Path) -> sqlite3.Connection:
    """A connection that only reads; the file is open when this returns."""
    uri = f"{path.absolute().as_uri()}?mode=ro"
    connection = sqlite3.connect(uri, uri=True, check_same_thread=False, timeout=10.0)
    connection.execute("PRAGMA user_version").fetchone()
    return connection


def check(connection: sqlite3.Connection, *, anew: bool = False) -> None:
    """Read all of it; sqlite3.DatabaseError when anything is not as it was written. ``anew``: it may be empty."""
    verdict = connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
    if verdict != "ok":
        raise sqlite3.DatabaseError(verdict)
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    there = {row[0] for row in connection.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL")}
    if version == 0 and not there:
        if not anew:
            raise sqlite3.DatabaseError("it is empty")
        return
    if (version == VERSION and not there >= DECLARED) or not 0 < version < NEWEST:
        raise sqlite3.DatabaseError("its tables are not those that were made")
    if version < SUMMED_SINCE:
        return
    for table in TABLES:
        try:
            wrong = connection.execute(table.wrong()).fetchone()
        except sqlite3.OperationalError:  # not even text any more
            wrong = (1,)
        if wrong is not None:
            raise sqlite3.DatabaseError(f"a row of {table.name} is not what was written")


def is_damage(error: sqlite3.DatabaseError) -> bool:
    """Whether it tells of the file, not of the disk or of whoever asks."""
    code = getattr(error, "sqlite_errorcode", None)  # none: ours, or text that is none
    return code is None or code & 0xFF not in NO_DAMAGE


def restoring(path: Path) -> str:
    """What to do when the state file at ``path`` is damaged or gone."""
    own = "telemetrio hub restore --state"
    if path.with_name(COPY).exists():
        return f"Stop the hub and put back the copy that it made itself: {own} (or one of a backup: {own} BACKUP)"
    return f"Stop the hub and put back the one of a backup: {own} BACKUP"
