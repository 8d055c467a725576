"""A killed process leaves rows and cursor that agree."""

import subprocess
import sys
from pathlib import Path

from hub.query import Question
from hub.store.duck import DuckStore
from tests.store.duck.endless import GROUP, entry

ROUNDS = (9, 1, 30, 12, 23)  # transactions until the kill: around checkpoints, which come every ten


def test_rows_and_cursor_agree_after_a_kill(tmp_path: Path) -> None:
    path = tmp_path / "store.duckdb"
    told = 0
    for transactions in ROUNDS:
        with subprocess.Popen(
            [sys.executable, "-m", "tests.store.duck.endless", str(path)], stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            assert int(process.stdout.readline()) >= told
            for _ in range(transactions):
                told = int(process.stdout.readline())
            process.kill()  # in the middle of the next transaction, or of a checkpoint
            told = max([told, *map(int, process.stdout.read().split("\n")[:-1])])
        store = DuckStore(path, memory_mb=64)
        cursor = store.open()
        try:
            assert cursor in (told, told + GROUP)  # the last one may be committed and not told
            assert store.stored(10**9) == [(lsn, 2) for lsn in range(1, cursor + 1)]
            assert store.statistics()["readings"] == 2 * cursor
            store.take([entry(lsn) for lsn in range(max(1, cursor - 3), cursor + 3)], cursor + 2)  # handed over again
            assert store.stored(10**9) == [(lsn, 2) for lsn in range(1, cursor + 3)]
            assert len(store.ask(Question(), rows=10**6, seconds=10)) == min(2 * (cursor + 2), 10_000)
            told = cursor + 2
        finally:
            store.close()
