"""A process that takes entries until it is killed: says the cursor after every transaction.

Arguments: file, and the statement before which it kills itself (0: never, somebody else does).
"""

import os
import signal
import sys
from pathlib import Path
from typing import Any

from hub.store.duck import DuckStore, store
from hub.wire.kept import Kept
from tests.store.building import FREEZER, T0, birth, columns, every_second, floats, row

GROUP = 7  # entries a transaction: with batches of both kinds, and texts


def entry(lsn: int) -> Kept:
    """The same entry for the same LSN, in every process: two stored readings."""
    if lsn % 3 == 0:
        return columns(lsn, birth(1, f"station-{lsn % 5}"), every_second(2, T0 + lsn), [(1, floats(lsn, lsn))])
    return row(lsn, birth(2 + lsn % 5, f"freezer-{lsn % 5}", FREEZER), T0 + lsn, [lsn, None, f"state {lsn % 7}"])


class Mortal:
    """A connection that ends the process before its n-th statement."""

    def __init__(self, connection: Any, statements: int) -> None:
        self._connection = connection
        self._statements = statements

    def execute(self, *args: Any) -> Any:
        self._statements -= 1
        if self._statements == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return self._connection.execute(*args)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


def main() -> None:
    store.CHECKPOINT_COMMITS = 10  # type: ignore[misc]  # often, so that kills fall into checkpoints too
    duck = DuckStore(Path(sys.argv[1]), memory_mb=64)
    cursor = duck.open()
    duck._writer = Mortal(duck._writer, int(sys.argv[2]))  # type: ignore[assignment]
    print(cursor, flush=True)
    while True:
        entries = [entry(lsn) for lsn in range(cursor + 1, cursor + 1 + GROUP)]
        cursor += GROUP
        duck.take(entries, cursor)
        print(cursor, flush=True)


if __name__ == "__main__":
    main()
