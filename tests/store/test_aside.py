"""Stores that were set aside: how they are called."""

from pathlib import Path

import pytest

from hub.store.aside import DAMAGED, LOG, REPLACED, all_aside, free_name


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "store.duckdb"


def put(store: Path, word: str, seconds: int, suffix: str = "") -> Path:
    path = store.with_name(f"{store.name}.{word}-{seconds}{suffix}")
    path.write_bytes(b"rows")
    return path


def test_they_are_listed_oldest_first_whatever_they_are_called(store: Path) -> None:
    names = [put(store, DAMAGED, 1_000), put(store, REPLACED, 999), put(store, DAMAGED, 20_000)]
    put(store, DAMAGED, 1_000, LOG)
    store.write_bytes(b"the store itself")
    assert all_aside(store) == [names[1], names[0], names[2]]


@pytest.mark.parametrize("word", [DAMAGED, REPLACED])
def test_a_name_is_not_given_twice_nor_one_that_only_a_log_has(store: Path, word: str) -> None:
    put(store, DAMAGED, 5)
    put(store, REPLACED, 6)
    put(store, DAMAGED, 7, LOG)
    assert free_name(store, word, 5).name == f"store.duckdb.{word}-8"
    assert free_name(store, word, 4).name == f"store.duckdb.{word}-4"


def test_a_name_that_somebody_else_gave_is_listed_first(store: Path) -> None:
    mine = put(store, DAMAGED, 5)
    other = mine.with_name(f"{store.name}.damaged-before-the-move")
    other.write_bytes(b"rows")
    assert all_aside(store) == [other, mine]
