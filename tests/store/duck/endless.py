"""A process that takes entries until it is killed: says the cursor after every transaction. Arguments: file."""

import sys
from pathlib import Path

from hub.store.duck import DuckStore, store
from tests.store.building import FREEZER, T0, birth, columns, floats, row
from tests.store.building import every_second as seconds

GROUP = 7  # entries a transaction: with batches of both kinds, and texts


def entry(lsn: int):  # type: ignore[no-untyped-def]
    """The same entry for the same LSN, in every process: two stored readings."""
    if lsn % 3 == 0:
        return columns(lsn, birth(1, f"station-{lsn % 5}"), seconds(2, T0 + lsn), [(1, floats(lsn, lsn))])
    return row(lsn, birth(2 + lsn % 5, f"freezer-{lsn % 5}", FREEZER), T0 + lsn, [lsn, None, f"state {lsn % 7}"])


def main() -> None:
    store.CHECKPOINT_COMMITS = 10  # type: ignore[misc]  # often, so that kills fall into checkpoints too
    duck = DuckStore(Path(sys.argv[1]), memory_mb=64)
    cursor = duck.open()
    print(cursor, flush=True)
    while True:
        entries = [entry(lsn) for lsn in range(cursor + 1, cursor + 1 + GROUP)]
        cursor += GROUP
        duck.take(entries, cursor)
        print(cursor, flush=True)


if __name__ == "__main__":
    main()
