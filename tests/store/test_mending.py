"""What is known of a store that is set aside is what it was handed and what it said while it was open."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from hub.disk import DiskFiles
from hub.ports import SystemClock
from hub.store.base import StoreError
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


def test_a_link_to_what_is_not_there_is_told_and_nothing_is_set_aside(inner: Inner, tmp_path: Path) -> None:
    """The store is on a disk that is not mounted yet."""
    inner.path.symlink_to(tmp_path / "unmounted" / "store.duckdb")
    store = MendingStore(inner.path, lambda: inner, DiskFiles(), SystemClock(), lambda why, kept: None)  # type: ignore[arg-type, return-value]
    for _ in range(2):
        with pytest.raises(
            StoreError, match=r"leads to .*unmounted/store\.duckdb, which is not there: mount or make it"
        ):
            store.open()
    assert inner.path.is_symlink()
    assert [path.name for path in tmp_path.iterdir()] == ["store.duckdb"]
    (tmp_path / "unmounted").mkdir()
    (tmp_path / "unmounted" / "store.duckdb").touch()
    assert store.open() == 0
