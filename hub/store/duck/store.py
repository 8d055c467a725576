"""The store: takes in what the journal holds, in big transactions, and answers questions beside it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import duckdb
import numpy as np

from hub.crashpoints import reach
from hub.query.question import Columns, Question
from hub.store.base import StoreError
from hub.store.duck import answers
from hub.store.duck.schema import connect, damaged, read_cursor, read_series
from hub.store.gather import Part, gather
from hub.store.pieces import Arrays
from hub.store.series import SeriesBook
from hub.wire.kept import Entry, Expired

#: Megabytes of the write-ahead log at which a checkpoint moves it into the file: some 400,000 readings in small
#: commits, which a start after a crash replays within a second; until then they are in memory. (The rows of very large
#: commits go to the file at once, and the log only names them.)
LOG_MB: Final = 32
CHECKPOINT_COMMITS: Final = 3_000  # the same for many small commits: at five a second every ten minutes or more
SCRUBBED: Final = {
    "readings": "series, time, value, quality, lsn, row", "texts": "series, time, value, quality, lsn, row",
    "batches": "lsn, device, epoch, seq, received, readings", "series": "number, device, metric, unit, type",
    "devices": "number, name",
}  # fmt: skip
STORED_SECONDS: Final = 600.0  # the ledger's proof reads all there is


class DuckStore:
    """Readings in one DuckDB file. Every call blocks: ``take`` from one worker, ``ask`` and the like from others."""

    def __init__(self, path: Path, *, memory_mb: int = 256, log_mb: int = LOG_MB, threads: int = 1) -> None:
        self.name = "store"
        self._path = path
        self._log = path.with_name(path.name + ".wal")
        self._memory_mb = memory_mb
        self._log_bytes = log_mb * 1024 * 1024
        self._threads = threads
        self._root: duckdb.DuckDBPyConnection | None = None  # makes cursors and nothing else
        self._writer: duckdb.DuckDBPyConnection | None = None
        self._book = SeriesBook()
        self._cursor = 0
        self._closed = ""  # why it could not be opened
        self._leaving: list[duckdb.DuckDBPyConnection] = []  # of one that broke, while a question is answered on it
        self._asking: set[duckdb.DuckDBPyConnection] = set()  # on each of them a question is answered
        self._fresh_commits = 0  # since the last checkpoint
        self._counters = dict.fromkeys(("readings", "commits", "checkpoints", "checkpoints_put_off", "reopened"), 0)

    def open(self) -> int:
        """Open or create the file, unless it is open; the cursor. StoreError says what to do with a damaged file."""
        if self._root is not None:
            return self._cursor
        self._leave()
        try:
            root = connect(self._path, self._memory_mb, self._threads)
        except StoreError as error:
            self._closed = str(error)
            raise
        try:
            self._cursor = read_cursor(root)
            self._book.load(*read_series(root))
            counts = root.execute("SELECT (SELECT count(*) FROM readings) + (SELECT count(*) FROM texts)").fetchall()
            self._counters["readings"] = counts[0][0]
            self._writer = root.cursor()
        except duckdb.Error as error:
            root.close()
            refusal = self._refusal(error)
            self._closed = str(refusal)
            raise refusal from error
        self._root, self._closed = root, ""
        return self._cursor

    def take(self, entries: Sequence[Entry], cursor: int) -> None:
        """Commit the accepted readings of these entries, and the cursor, in one transaction."""
        if self._writer is None:
            self._counters["reopened"] += 1
            self.open()  # the last commit broke the database: it tells itself how far it came
        if entries and entries[0].lsn <= self._cursor:
            entries = [entry for entry in entries if entry.lsn > self._cursor]
        if cursor <= self._cursor:
            return
        assert self._writer is not None
        try:
            self._writer.execute("BEGIN")
            reach("apply")
            count = self._insert(self._writer, entries)
            gone = _expire(self._writer, entries)
            self._writer.execute("UPDATE cursor SET lsn = ?", [cursor])
            reach("commit")
            self._writer.execute("COMMIT")
        except BaseException as error:
            self._undo(self._writer)
            if isinstance(error, duckdb.Error):
                refusal = self._refusal(error)
                self._closed = str(refusal)
                raise refusal from error
            raise
        self._book.committed()
        self._cursor = cursor
        self._counters["readings"] += count - gone
        self._counters["commits"] += 1
        self._checkpoint_if_due()

    def ask(self, question: Question, *, rows: int, seconds: float) -> Columns:
        """Answer a question, at most ``rows`` rows, within ``seconds``."""
        series = self._book.select(question.devices, question.metrics)
        with self._reading(seconds) as cursor:
            return answers.answer(cursor, question, series, min(question.limit, rows))

    def latest(
        self, devices: Sequence[str] | None = None, *, through: int | None = None, seconds: float = 30.0
    ) -> Columns:
        """The latest reading of each metric of these devices."""
        with self._reading(seconds) as cursor:
            return answers.latest(cursor, self._book.select(devices, None), through)

    def stored(self, lsn: int) -> Columns:
        """How many readings of each batch are in the tables, counted there."""
        with self._reading(STORED_SECONDS) as cursor:
            return answers.stored(cursor, lsn)

    def counts(self, device: str | None = None, through: int | None = None) -> tuple[int, dict[tuple[str, int], int]]:
        """Cursor and stored readings by device and epoch, of one transaction."""
        with self._reading(STORED_SECONDS) as cursor:
            return answers.counts(cursor, device, through)

    def batches(self, first: int, last: int) -> list[tuple[str, int, int, int]]:
        """Device, epoch, seq and readings of the batches of these records."""
        with self._reading(STORED_SECONDS) as cursor:
            return answers.batches(cursor, first, last)

    def statistics(self) -> dict[str, Any]:
        """Counters and bytes on disk."""
        return {
            **self._counters,
            "cursor": self._cursor,
            "series": len(self._book),
            "file_bytes": _size(self._path),
            "log_bytes": _size(self._log),
        }

    def close(self) -> None:
        """Checkpoint and close; may be called twice."""
        if self._writer is not None:
            self._checkpoint(self._writer)
        self._let_go()

    def scrub(self) -> None:
        """Read every block that holds something; StoreError (``damaged``) when one is not as it was written."""
        with self._reading(STORED_SECONDS) as cursor:
            for table, columns in SCRUBBED.items():
                cursor.execute(f"SELECT bit_xor(hash({columns})) FROM {table}").fetchall()  # noqa: S608

    def interrupt(self) -> None:
        """Break off what is being answered. From any thread."""
        for cursor in tuple(self._asking):
            with suppress(duckdb.Error):  # it has just ended
                cursor.interrupt()

    def abandon(self) -> None:
        """Close without a checkpoint: the file is damaged or gone. StoreError while a question is answered on it."""
        self._let_go()
        self._leave()

    def _insert(self, writer: duckdb.DuckDBPyConnection, entries: Sequence[Entry]) -> int:
        count = 0
        for part in gather(entries, self._book):
            count += part.count
            _insert_part(writer, part)
        book = self._book
        if book.fresh_series:
            numbers, *names = zip(*book.fresh_series, strict=True)
            _insert(writer, "series", _names(numbers, device=names[0], metric=names[1], unit=names[2], type=names[3]))
        if book.fresh_devices:
            numbers, device_names = zip(*book.fresh_devices, strict=True)
            _insert(writer, "devices", _names(numbers, name=device_names))
        return count

    def _undo(self, writer: duckdb.DuckDBPyConnection) -> None:
        self._book.forget()
        try:
            writer.execute("ROLLBACK")
        except duckdb.Error:
            self._let_go()  # nothing can be done on it any more, such as after a failed sync

    def _let_go(self) -> None:
        self._leaving += [each for each in (self._writer, self._root) if each is not None]
        self._writer = self._root = None
        with suppress(StoreError):
            self._leave()

    def _leave(self) -> None:
        """DuckDB would give the same broken database again, under another name of its file, too."""
        while self._leaving:
            try:
                self._leaving[-1].close()
            except duckdb.Error:
                self.interrupt()
                self._closed = f"{self._path}: a question is still answered on the store as it was: try again"
                raise StoreError(self._closed) from None
            self._leaving.pop()

    def _checkpoint_if_due(self) -> None:
        self._fresh_commits += 1
        if self._fresh_commits >= CHECKPOINT_COMMITS or _size(self._log) >= self._log_bytes:
            assert self._writer is not None
            self._checkpoint(self._writer)

    def _checkpoint(self, writer: duckdb.DuckDBPyConnection) -> None:
        try:
            reach("checkpoint")
            writer.execute("CHECKPOINT")
        except duckdb.Error:
            self._counters["checkpoints_put_off"] += 1  # somebody reads: tried again with the next commit
            return
        self._counters["checkpoints"] += 1
        self._fresh_commits = 0

    @contextmanager
    def _reading(self, seconds: float) -> Iterator[duckdb.DuckDBPyConnection]:
        """A cursor of its own with a time limit; what DuckDB raises becomes a StoreError."""
        if self._root is None:
            raise StoreError(self._closed or "the store is being opened: ask again in a moment")
        try:
            with self._root.cursor() as cursor:
                cursor.execute(f"SET SESSION max_execution_time = {max(1, int(seconds * 1000))}")  # ms, per statement
                self._asking.add(cursor)
                try:
                    yield cursor
                finally:
                    self._asking.discard(cursor)
        except duckdb.InterruptException as error:
            if "maximum execution time" not in str(error):
                raise StoreError("the store is being closed: ask again in a moment") from error
            text = f"the answer takes longer than {seconds:g} s: ask for less time, fewer devices or metrics"
            raise StoreError(text, retry=False) from error
        except duckdb.OutOfMemoryException as error:
            text = f"the answer does not fit into the store's {self._memory_mb} MB: ask for less, or for longer buckets"
            raise StoreError(text, retry=False) from error
        except duckdb.Error as error:
            raise self._refusal(error) from error

    def _refusal(self, error: duckdb.Error) -> StoreError:
        return StoreError(f"{self._path}: {str(error).splitlines()[0]}", damaged=damaged(error))


def _expire(writer: duckdb.DuckDBPyConnection, entries: Sequence[Entry]) -> int:
    """Take out what is expired; how many readings that were. (What it speaks of is older than the entries after it.)"""
    through = max((entry.through for entry in entries if type(entry) is Expired), default=0)
    if not through:
        return 0
    gone = 0
    for table in ("readings", "texts", "batches"):
        count = writer.execute(f"DELETE FROM {table} WHERE lsn <= ?", [through]).fetchall()[0][0]  # noqa: S608
        gone += 0 if table == "batches" else count
    return gone


def _insert_part(writer: duckdb.DuckDBPyConnection, part: Part) -> None:
    for table, arrays in (("readings", part.readings), ("texts", part.texts), ("batches", part.batches)):
        if arrays is not None:
            _insert(writer, table, arrays)


def _insert(writer: duckdb.DuckDBPyConnection, table: str, arrays: Arrays) -> None:
    columns = ", ".join(arrays)
    writer.register("incoming", arrays)
    try:
        writer.execute(f"INSERT INTO {table} ({columns}) SELECT {columns} FROM incoming")  # noqa: S608
    finally:
        writer.unregister("incoming")


def _names(numbers: Sequence[int], **texts: Sequence[str]) -> Arrays:
    arrays: Arrays = {"number": np.array(numbers, dtype=np.uint32)}
    for name, column in texts.items():
        arrays[name] = np.array(column, dtype=np.object_)
    return arrays


def _size(path: Path) -> int:
    """Bytes of a file; 0 where it is not there."""
    try:
        return path.stat().st_size
    except OSError:
        return 0
