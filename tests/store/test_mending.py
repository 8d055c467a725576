"""What is known of a store that is set aside is what it was handed and what it said while it was open."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from hub.disk import DiskFiles
from hub.ports import SystemClock
from hub.store.aside import store_path
from hub.store.base import StoreError
from hub.store.duck import DuckStore
from hub.store.mending import MendingStore
from hub.wire.ranges import Ranges

NINE, TEN, ELEVEN = Ranges([(9, 9)]), Ranges([(10, 10)]), Ranges([(11, 11)])


class Inner:
    """A store that has what ``readings`` says, whatever it is handed."""

    name = "store"

    def __init__(self, path: Path) -> None:
        self.path = path
        self.cursor = 0
        self.readings = 0
        self.breaks = False

    def open(self) -> int:
        self.path.touch()
        return self.cursor

    def take(self, entries: Sequence[Any], cursor: int) -> None:
        if self.breaks:
            raise StoreError("the commit may have been made, or not", damaged=True)
        self.cursor = cursor

    def batches(self, first: int, last: int) -> list[tuple[str, int, int, int]]:
        return [("pump-1", 1, 1, self.readings)]

    def statistics(self) -> dict[str, Any]:
        return {}

    def abandon(self) -> None: ...


@pytest.fixture
def inner(tmp_path: Path) -> Inner:
    return Inner(tmp_path / "store.duckdb")


@pytest.fixture
def store(inner: Inner) -> MendingStore:
    """Open, with ten records."""
    store = MendingStore(inner.path, lambda: inner, DiskFiles(), SystemClock(), lambda why, kept: None)  # type: ignore[arg-type, return-value]
    store.open()
    store.take([], 10)
    return store


def set_aside(store: MendingStore, inner: Inner) -> str:
    inner.cursor, inner.breaks = 0, False
    store.condemn("its file was cut")
    store.open()
    assert store.kept is not None
    return store.kept.name


def test_it_may_have_what_it_was_handed_and_nothing_later(store: MendingStore, inner: Inner) -> None:
    name = set_aside(store, inner)
    assert [store.may_have(records) for records in (NINE, TEN, ELEVEN)] == [[name], [name], []]


def test_it_may_have_what_was_in_a_commit_that_failed(store: MendingStore, inner: Inner) -> None:
    inner.breaks = True
    with pytest.raises(StoreError, match="may have been made"):
        store.take([], 11)
    name = set_aside(store, inner)
    assert store.may_have(ELEVEN) == [name]


@pytest.mark.parametrize("readings", [0, 2])
def test_it_has_not_what_it_said_to_lack(store: MendingStore, inner: Inner, readings: int) -> None:
    inner.readings = readings
    store.batches(9, 9)
    name = set_aside(store, inner)
    assert store.may_have(NINE) == ([name] if readings else [])
    assert store.may_have(TEN) == [name]


def test_what_it_lacks_before_it_has_come_to_it_means_nothing(store: MendingStore, inner: Inner) -> None:
    store.batches(11, 11)
    store.take([], 11)
    name = set_aside(store, inner)
    assert store.may_have(ELEVEN) == [name]


def test_the_next_one_is_another(store: MendingStore, inner: Inner) -> None:
    store.batches(9, 9)
    first = set_aside(store, inner)
    store.take([], 9)
    name = set_aside(store, inner)
    assert store.may_have(NINE) == [name]
    assert store.may_have(TEN) == [first]


def test_a_store_behind_a_link_stays_on_its_disk(tmp_path: Path) -> None:
    """Which may not be mounted, at a start or while the hub runs: that is no damage."""
    disk, away, data, told = tmp_path / "disk", tmp_path / "away", tmp_path / "data", list[str]()
    disk.mkdir()
    data.mkdir()
    (data / "store.duckdb").symlink_to(disk / "store.duckdb")

    def begin() -> MendingStore:
        path = store_path(data)
        return MendingStore(
            path, lambda: DuckStore(path), DiskFiles(), SystemClock(), lambda why, kept: told.append(kept)
        )

    store = begin()
    store.open()
    store.close()
    disk.rename(away)
    store = begin()
    for _ in range(2):
        with pytest.raises(StoreError, match=r"disk does not exist: create it"):
            store.open()
    away.rename(disk)
    store.open()
    disk.rename(away)
    assert store.check() is None
    away.rename(disk)
    assert (store.check(), told) == (None, [])
    store.condemn("its file was cut")
    store.open()
    assert sorted(path.name for path in disk.iterdir() if path.suffix != ".note") == [
        "store.duckdb", told[0], "store.duckdb.rebuilding",
    ]  # fmt: skip
    assert [path.name for path in data.iterdir()] == ["store.duckdb"]
    store.close()
