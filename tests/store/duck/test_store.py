"""What only the DuckDB store does: the file, its limits, its checkpoints."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest

from hub.query import Question
from hub.store import gather
from hub.store.base import StoreError
from hub.store.duck import DuckStore
from hub.store.duck import store as duck_store
from tests.store.building import FREEZER, T0, WEATHER, birth, columns, every_second, floats, row

ONE = birth(1, "station-1")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.duckdb"


@pytest.fixture
def store(path: Path) -> Iterator[DuckStore]:
    made = DuckStore(path, memory_mb=64)
    made.open()
    yield made
    made.close()


def values(store: DuckStore, **question: Any) -> list[Any]:
    return list(store.ask(Question(**question), rows=1000, seconds=10).columns["value"])


def test_what_was_taken_is_there_after_closing_and_opening(path: Path) -> None:
    cold = birth(2, "freezer-1", FREEZER)
    first = DuckStore(path)
    first.open()
    first.take([row(1, ONE, T0, [1.0, 2.0]), row(2, cold, T0, [-1800, True, "idle"])], 2)
    first.close()
    second = DuckStore(path)
    assert second.open() == 2
    second.take([row(3, cold, T0 + 1, [-1700, None, None]), row(4, birth(9, "new"), T0 + 1, [7.0, None])], 4)
    assert values(second) == [1.0, 2.0, -18.0, 1.0, "idle", -17.0, 7.0]
    assert second.statistics()["series"] == 7
    assert second.statistics()["readings"] == 7
    second.close()
    second.close()


def test_a_second_process_is_told_that_the_file_is_in_use(store: DuckStore, path: Path) -> None:
    code = (
        "import sys\nfrom pathlib import Path\nfrom hub.store.duck import DuckStore\n"
        "from hub.store.base import StoreError\n"
        "try:\n    DuckStore(Path(sys.argv[1])).open()\nexcept StoreError as error:\n    print(error, error.retry)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    assert "is open in another process: stop that hub" in done.stdout
    assert done.stdout.strip().endswith("False")


@pytest.mark.parametrize("damage", ["header", "garbage", "short"])
def test_a_damaged_file_says_what_to_do(path: Path, damage: str) -> None:
    store = DuckStore(path)
    store.open()
    store.take([columns(1, ONE, every_second(1000), [(0, floats(*range(1000)))])], 1)
    store.close()
    content = bytearray(path.read_bytes())
    if damage == "header":
        content[:4096] = bytes(4096)
    elif damage == "garbage":
        content = bytearray(b"this is no database " * 1000)
    else:
        del content[5000:]
    path.write_bytes(bytes(content))
    with pytest.raises(StoreError, match=r"damaged.*store.duckdb.wal aside and start the hub again") as caught:
        DuckStore(path).open()
    assert not caught.value.retry


def test_a_file_of_something_else_is_left_alone(path: Path) -> None:
    with duckdb.connect(str(path)) as connection:
        connection.execute("CREATE TABLE mine (x INTEGER)")
    with pytest.raises(StoreError, match="something else: name another path"):
        DuckStore(path).open()


def test_a_file_of_another_layout_is_left_alone(path: Path, store: DuckStore) -> None:
    store.close()
    with duckdb.connect(str(path)) as connection:
        connection.execute("UPDATE cursor SET layout = 99")
    with pytest.raises(StoreError, match="another version of Telemetrio: move it aside"):
        DuckStore(path).open()


def test_a_directory_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"nowhere does not exist: create it"):
        DuckStore(tmp_path / "nowhere" / "store.duckdb").open()


def test_there_are_no_keys_and_no_indexes(store: DuckStore) -> None:
    assert store._root is not None
    assert store._root.execute("SELECT count(*) FROM duckdb_indexes()").fetchall() == [(0,)]
    assert store._root.execute("SELECT count(*) FROM duckdb_constraints()").fetchall() == [(0,)]


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM read_csv('/etc/passwd')", "COPY (SELECT 1) TO '/tmp/x.csv'", "ATTACH '/tmp/x.duckdb'",
        "SET memory_limit = '8GB'", "SET enable_external_access = true", "INSTALL httpfs", "SET allowed_configs = []",
    ],
)  # fmt: skip
def test_the_database_is_locked_down(store: DuckStore, statement: str) -> None:
    with store._reading(5) as cursor, pytest.raises(duckdb.Error):
        cursor.execute(statement)


def test_a_question_that_takes_too_long_is_broken_off(store: DuckStore) -> None:
    with (
        pytest.raises(StoreError, match=r"longer than 0.05 s: ask for less time") as caught,
        store._reading(0.05) as cursor,
    ):
        cursor.execute("SELECT sum(a.range * b.range) FROM range(1000000) a, range(1000000) b")
    assert not caught.value.retry
    store.take([row(1, ONE, T0, [1.0, None])], 1)  # nothing else was broken off
    assert values(store) == [1.0]


def test_an_answer_too_large_for_the_memory_is_refused(path: Path) -> None:
    store = DuckStore(path, memory_mb=24)
    store.open()
    with pytest.raises(StoreError, match=r"does not fit into the store's 24 MB"), store._reading(10) as cursor:
        cursor.execute("SELECT list(range) FROM range(100000000)")
    store.close()


def test_questions_and_takes_go_on_beside_each_other(store: DuckStore) -> None:
    store.take([row(1, ONE, T0, [1.0, None])], 1)
    with store._reading(5) as cursor:
        cursor.execute("BEGIN")
        assert cursor.execute("SELECT count(*) FROM readings").fetchall() == [(1,)]
        store.take([row(2, ONE, T0, [2.0, None])], 2)
        assert cursor.execute("SELECT count(*) FROM readings").fetchall() == [(1,)]  # as it was when it began
        cursor.execute("COMMIT")
    assert values(store) == [1.0, 2.0]


def test_a_checkpoint_comes_when_the_log_is_long(path: Path) -> None:
    store = DuckStore(path, log_mb=1)
    store.open()
    lsn = 0
    while not store.statistics()["checkpoints"]:
        before = store.statistics()["log_bytes"]
        lsn += 1
        store.take([columns(lsn, ONE, every_second(5_000), [(0, floats(*range(5_000)))])], lsn)
        assert before < 2**20
    assert lsn > 1
    assert store.statistics()["log_bytes"] == 0
    store.close()


def test_a_checkpoint_comes_after_so_many_commits(store: DuckStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duck_store, "CHECKPOINT_COMMITS", 3)
    for lsn in (1, 2):
        store.take([row(lsn, ONE, T0, [1.0, None])], lsn)
    assert store.statistics()["checkpoints"] == 0
    assert store.statistics()["log_bytes"] > 0
    store.take([row(3, ONE, T0, [1.0, None])], 3)
    assert store.statistics()["checkpoints"] == 1


def test_a_checkpoint_never_fails_a_commit(store: DuckStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duck_store, "CHECKPOINT_COMMITS", 1)
    with store._reading(5) as cursor:
        cursor.execute("BEGIN")
        cursor.execute("SELECT * FROM readings").fetchall()
        store.take([row(1, ONE, T0, [1.0, None])], 1)
        cursor.execute("COMMIT")
    assert list(store.stored(9).rows()) == [(1, 1)]
    counts = store.statistics()
    assert counts["checkpoints"] + counts["checkpoints_put_off"] == 1


def test_a_database_that_broke_is_opened_again(store: DuckStore) -> None:
    store.take([row(1, ONE, T0, [1.0, None])], 1)
    assert store._writer is not None
    store._writer.close()  # stands for a failed sync, after which DuckDB does nothing any more
    with pytest.raises(StoreError) as caught:
        store.take([row(2, ONE, T0, [2.0, None])], 2)
    assert caught.value.retry
    with pytest.raises(StoreError) as told:
        values(store)
    assert str(told.value) == str(caught.value)
    store.take([row(1, ONE, T0, [1.0, None]), row(2, ONE, T0, [2.0, None])], 2)
    assert values(store) == [1.0, 2.0]
    assert store.statistics()["reopened"] == 1


def test_a_store_that_breaks_while_a_question_is_answered_is_opened_again_after_it(store: DuckStore) -> None:
    """DuckDB gives whoever opens the file the broken database for as long as anybody is on it: no damage."""
    store.take([row(1, ONE, T0, [1.0, None])], 1)
    assert store._writer is not None
    answering, end = threading.Event(), threading.Event()

    def waits() -> bool:
        answering.set()
        return end.wait(30)

    def question() -> None:
        with store._reading(60.0) as cursor:
            cursor.create_function("wait", waits, [], bool)
            cursor.execute("SELECT wait()").fetchall()

    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(question)
        assert answering.wait(30)
        store._writer.close()  # as above
        for _ in range(3):
            with pytest.raises(StoreError) as caught:
                store.take([row(2, ONE, T0, [2.0, None])], 2)
            assert (caught.value.damaged, caught.value.retry) == (False, True)
        with pytest.raises(StoreError, match="a question is still answered on the store as it was: try again"):
            store.abandon()
        end.set()
        with suppress(StoreError):  # it was broken off, unless it came to its end before
            asked.result()
    store.take([row(2, ONE, T0, [2.0, None])], 2)
    assert values(store) == [1.0, 2.0]


def test_an_answer_is_broken_off_at_once(store: DuckStore) -> None:
    """Such as the reading of all of it that each start begins, when the hub is told to stop."""
    asking = threading.Event()

    def question() -> None:
        with store._reading(60.0) as cursor:
            asking.set()
            cursor.execute("SELECT count(*) FROM range(1000000000000) WHERE hash(range) = 7").fetchall()

    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(question)
        assert asking.wait(30)
        while not asked.done():  # it may not have begun with the statement yet
            store.interrupt()
            wait([asked], timeout=0.05)
        with pytest.raises(StoreError, match="is being closed: ask again"):
            asked.result()
    assert values(store) == []


def test_who_asks_a_store_that_cannot_be_opened_is_told_why(tmp_path: Path) -> None:
    (tmp_path / "store.duckdb").mkdir()
    store = DuckStore(tmp_path / "store.duckdb")
    with pytest.raises(StoreError, match="is being opened"):
        values(store)
    with pytest.raises(StoreError) as refused:
        store.open()
    with pytest.raises(StoreError) as told:
        values(store)
    assert str(told.value) == str(refused.value)
    (tmp_path / "store.duckdb").rmdir()
    store.open()
    assert values(store) == []
    store.close()


def test_a_store_whose_log_cannot_be_written_loses_nothing_and_goes_on_when_it_can(tmp_path: Path) -> None:
    store = DuckStore(tmp_path / "store.duckdb")
    store.open()
    store.take([row(1, ONE, T0, [1.0, None])], 1)
    store.close()
    log = tmp_path / "store.duckdb.wal"
    log.symlink_to(tmp_path / "unmounted" / "log")
    store.open()
    for _ in range(2):
        with pytest.raises(StoreError):
            store.take([row(2, ONE, T0, [2.0, None])], 2)
    log.unlink()
    store.take([row(2, ONE, T0, [2.0, None])], 2)
    assert values(store) == [1.0, 2.0]
    store.close()


def test_large_takes_go_in_parts_and_in_one_transaction(store: DuckStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gather, "READINGS_A_PART", 50)
    entries = [columns(i, ONE, every_second(30, T0 + i), [(0, floats(*range(30)))]) for i in range(1, 8)]
    entries += [row(i, ONE, T0 + i, [1.0, None]) for i in range(8, 80)]
    parts = list(gather.gather(entries, duck_store.SeriesBook()))
    assert len(parts) > 3
    assert sum(part.count for part in parts) == 7 * 30 + 72
    store.take(entries, 79)
    assert list(store.stored(100).rows()) == [(i, 30 if i < 8 else 1) for i in range(1, 80)]
    assert store.statistics()["commits"] == 1


def test_many_series_at_once_are_found_too(store: DuckStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duck_store.answers, "NAMED_SERIES", 3)
    entries = [row(i, birth(i, f"d{i}"), T0 + i, [float(i), None]) for i in range(1, 11)]
    store.take(entries, 10)
    assert values(store, metrics=("temperature",)) == [float(i) for i in range(1, 11)]
    assert len(store.latest()) == 10


def test_births_are_forgotten_and_planned_again(store: DuckStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hub.store.series.METRICS_REMEMBERED", -20)
    births = [birth(i, f"d{i % 3}", WEATHER if i % 2 else FREEZER[:2]) for i in range(1, 9)]
    store.take([row(i, one, T0 + i, [i * 100, None]) for i, one in enumerate(births, 1)], 8)
    assert len(values(store)) == 8
    assert store._book._planned <= 4 < sum(len(one.metrics) + 1 for one in births)
    assert store.statistics()["series"] == 12  # of each of three devices: temperature in two types, humidity, door


def test_columns_of_a_million_readings_are_not_touched_one_by_one(store: DuckStore) -> None:
    """Counts calls, of Python and of C: a loop over readings would make a million."""
    many = np.linspace(0, 1, 4000)
    entries = [columns(i, ONE, every_second(4000, T0 + i), [(0, many)]) for i in range(1, 251)]
    calls = 0

    def count(*_: object) -> None:
        nonlocal calls
        calls += 1

    sys.setprofile(count)
    try:
        store.take(entries, 250)
    finally:
        sys.setprofile(None)
    assert calls < 100_000
    assert store.statistics()["readings"] == 1_000_000
