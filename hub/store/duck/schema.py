"""The tables of the DuckDB store, and how the database is opened.

No keys and no indexes: replaying them after a crash is the weakest part of DuckDB, and the cursor makes them needless.
"""

from pathlib import Path
from typing import Final

import duckdb

from hub.store.base import StoreError
from hub.store.series import Series

LAYOUT: Final = 1  # of the tables below; a file of another layout is not opened
#: What DuckDB says of a file with a flipped bit, a cut end, or other bytes than its own; tried on each.
DAMAGE: Final = ("orrupt", "checksum", "Could not read enough bytes", "not a valid DuckDB")
SPILL: Final = "1GB"  # disk that queries too large for the memory may take beside the file

TABLES: Final = (
    # What a reading belongs to; numbers count from 0.
    "CREATE TABLE devices (number UINTEGER, name VARCHAR)",
    "CREATE TABLE series (number UINTEGER, device VARCHAR, metric VARCHAR, unit VARCHAR, type VARCHAR)",
    # Numbers as doubles (a bool as 0 or 1, a decimal scaled), texts apart. time: us; row: in its batch.
    "CREATE TABLE readings (series UINTEGER, time BIGINT, value DOUBLE, quality UTINYINT, lsn UBIGINT, row UINTEGER)",
    "CREATE TABLE texts (series UINTEGER, time BIGINT, value VARCHAR, quality UTINYINT, lsn UBIGINT, row UINTEGER)",
    # Every batch with at least one stored reading. received: us, hub time.
    "CREATE TABLE batches (lsn UBIGINT, device UINTEGER, epoch UBIGINT, seq UBIGINT, received BIGINT, "
    "readings UINTEGER)",
    # One line: LSN of the last record taken in, changed in the transaction that brings its readings.
    "CREATE TABLE cursor (layout UTINYINT, lsn UBIGINT)",
    f"INSERT INTO cursor VALUES ({LAYOUT}, 0)",  # noqa: S608
)


def connect(path: Path, memory_mb: int, threads: int) -> duckdb.DuckDBPyConnection:
    """Open or create the file, locked down: no other files, no extensions, no settings but the time a query may take.
    StoreError says what to do."""
    config: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": f"{memory_mb}MB",
        "threads": threads,
        "checkpoint_threshold": "1TB",  # never by itself: a failing checkpoint must not look like a failing commit
        "max_temp_directory_size": SPILL,
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
    }
    connection = None
    try:
        connection = duckdb.connect(str(path), config=config)
        connection.execute("PRAGMA disable_checkpoint_on_shutdown")  # close() makes one, abandon() must not
        connection.execute("SET allowed_configs = ['max_execution_time']")  # a session's own, see DuckStore
        connection.execute("SET enable_external_access = false")
        connection.execute("SET lock_configuration = true")
        _prepare(connection, path)
    except StoreError:
        if connection is not None:
            connection.close()
        raise
    except (duckdb.Error, RuntimeError) as error:
        if connection is not None:
            connection.close()
        raise _refusal(path, error) from error
    return connection


def _prepare(connection: duckdb.DuckDBPyConnection, path: Path) -> None:
    tables = {name for (name,) in connection.execute("SELECT table_name FROM duckdb_tables()").fetchall()}
    if not tables:
        connection.execute("BEGIN")
        for statement in TABLES:
            connection.execute(statement)
        connection.execute("COMMIT")
        connection.execute("CHECKPOINT")  # tables are never left to the replay of the write-ahead log
    elif "cursor" not in tables:
        raise StoreError(f"{path} is a DuckDB file of something else: name another path for the store", retry=False)
    lines = connection.execute("SELECT layout, lsn FROM cursor").fetchall()
    if len(lines) != 1 or lines[0][0] != LAYOUT:
        raise StoreError(
            f"{path} was written by another version of Telemetrio: move it aside, the hub builds it again from its "
            "journal",
            retry=False,
        )


def read_cursor(connection: duckdb.DuckDBPyConnection) -> int:
    """LSN of the last record taken in."""
    return int(connection.execute("SELECT lsn FROM cursor").fetchall()[0][0])


def read_series(connection: duckdb.DuckDBPyConnection) -> tuple[list[Series], list[tuple[int, str]]]:
    """All series and devices."""
    series = connection.execute("SELECT number, device, metric, unit, type FROM series ORDER BY number").fetchall()
    devices = connection.execute("SELECT number, name FROM devices ORDER BY number").fetchall()
    return [Series(*line) for line in series], devices


def damaged(error: Exception) -> bool:
    """Whether the file is not what DuckDB wrote: a checksum fails, or bytes are missing. (What it raises says so in
    its text alone.)"""
    text = str(error)
    return any(sign in text for sign in DAMAGE)


def _refusal(path: Path, error: Exception) -> StoreError:
    text = str(error).splitlines()[0]
    if "lock on file" in text:
        text = f"{path} is open in another process: stop that hub, or start this one with another data directory"
        return StoreError(text, retry=False)
    if isinstance(error, duckdb.IOException) and not path.parent.is_dir():
        return StoreError(f"{path.parent} does not exist: create it, or name another data directory", retry=False)
    if "No space left" in text or "Permission denied" in text:
        return StoreError(f"{path} cannot be opened ({text}): see to it that the hub has space and may write there")
    return StoreError(
        f"{path} is damaged and cannot be opened ({text}): move it and {path.name}.wal aside and start the hub "
        "again, it builds the store anew from its journal",
        retry=False,
        damaged=True,
    )
