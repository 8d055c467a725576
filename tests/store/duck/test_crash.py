"""A killed process leaves rows and cursor that agree."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hub.query import Question
from hub.store.duck import DuckStore
from tests.store.duck.endless import GROUP, entry


def run_until_killed(path: Path, *, transactions: int = 10**9, statement: int = 0) -> int:
    """The cursor it told last. Killed in the middle of what follows that many transactions, or before a statement."""
    command = [sys.executable, "-m", "tests.store.duck.endless", str(path), str(statement)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        told = []
        for line in process.stdout:
            told.append(int(line))
            if len(told) > transactions:
                process.kill()
                told += map(int, process.stdout.read().split("\n")[:-1])
                break
    assert process.returncode == -signal.SIGKILL
    return told[-1]


def check(path: Path, told: int) -> None:
    """Opens the store again: all up to the cursor is there once, nothing above it."""
    store = DuckStore(path, memory_mb=64)
    cursor = store.open()
    try:
        assert cursor in (told, told + GROUP)  # the last one may be committed and not told
        assert list(store.stored(10**9).rows()) == [(lsn, 2) for lsn in range(1, cursor + 1)]
        assert store.statistics()["readings"] == 2 * cursor
        store.take([entry(lsn) for lsn in range(max(1, cursor - 3), cursor + 3)], cursor + 2)  # handed over again
        assert list(store.stored(10**9).rows()) == [(lsn, 2) for lsn in range(1, cursor + 3)]
        assert len(store.ask(Question(), rows=10**6, seconds=10)) == min(2 * (cursor + 2), 10_000)
    finally:
        store.close()


def test_rows_and_cursor_agree_after_a_kill(tmp_path: Path) -> None:
    for transactions in (9, 1, 30, 12):  # around checkpoints, which come every ten
        told = run_until_killed(tmp_path / "store.duckdb", transactions=transactions)
        check(tmp_path / "store.duckdb", told)


@pytest.mark.parametrize("statement", range(15, 23))
def test_rows_and_cursor_agree_wherever_a_transaction_stops(tmp_path: Path, statement: int) -> None:
    """Before each of the statements that make a transaction: begin, inserts, cursor, commit."""
    told = run_until_killed(tmp_path / "store.duckdb", statement=statement)
    assert told >= GROUP
    check(tmp_path / "store.duckdb", told)
