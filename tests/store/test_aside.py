"""Stores that were set aside: how they are called, and what is known of each."""

import errno
import os
from pathlib import Path

import pytest

from hub.disk import DiskFile, DiskFiles
from hub.store import aside
from hub.store.aside import DAMAGED, LOG, NOTE, REPLACED, Had, all_aside, free_name, read_note, write_note
from hub.wire.ranges import Ranges

HAD = Had(20, Ranges([(3, 5), (9, 9)]))


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "store.duckdb"


def put(store: Path, word: str, seconds: int, suffix: str = "") -> Path:
    path = store.with_name(f"{store.name}.{word}-{seconds}{suffix}")
    path.write_bytes(b"rows")
    return path


def test_they_are_listed_oldest_first_whatever_they_are_called(store: Path) -> None:
    names = [put(store, DAMAGED, 1_000), put(store, REPLACED, 999), put(store, DAMAGED, 20_000)]
    for suffix in (LOG, NOTE):
        put(store, DAMAGED, 1_000, suffix)
    store.write_bytes(b"the store itself")
    assert all_aside(store) == [names[1], names[0], names[2]]


@pytest.mark.parametrize("word", [DAMAGED, REPLACED])
def test_a_name_is_not_given_twice_nor_one_that_only_a_log_has(store: Path, word: str) -> None:
    put(store, DAMAGED, 5)
    put(store, REPLACED, 6)
    put(store, DAMAGED, 7, LOG)
    put(store, DAMAGED, 8, NOTE)
    assert free_name(store, word, 5).name == f"store.duckdb.{word}-9"
    assert free_name(store, word, 4).name == f"store.duckdb.{word}-4"


@pytest.mark.parametrize(
    ("records", "may"),
    [
        ([(3, 5)], False), ([(4, 4), (9, 9)], False), ([(21, 90)], False), ([(3, 6)], True), ([(20, 21)], True),
        ([(9, 9), (12, 12)], True), ([], False),
    ],
)  # fmt: skip
def test_it_may_have_what_it_was_handed_and_does_not_say_to_lack(records: list[tuple[int, int]], may: bool) -> None:
    assert HAD.may_have(Ranges(records)) is may


def test_a_note_is_believed_as_long_as_the_file_is_the_one_that_it_is_of(store: Path) -> None:
    kept, files = put(store, DAMAGED, 5), DiskFiles()
    assert read_note(files, kept) is None
    write_note(files, kept, HAD)
    assert read_note(files, kept) == HAD
    os.utime(kept, ns=(1, 1))  # it was the store again for a while
    assert read_note(files, kept) is None


@pytest.mark.parametrize("cut", [0, 1, 20, -1])
def test_half_a_note_is_none(store: Path, cut: int) -> None:
    kept, files = put(store, DAMAGED, 5), DiskFiles()
    write_note(files, kept, HAD)
    note = kept.with_name(kept.name + NOTE)
    note.write_bytes(note.read_bytes()[:cut])
    assert read_note(files, kept) is None


@pytest.mark.parametrize("text", ["[]", "{}", "null", '{"file": 1}', "\ufffd"])
def test_what_is_no_note_is_none(store: Path, text: str) -> None:
    kept = put(store, DAMAGED, 5)
    kept.with_name(kept.name + NOTE).write_text(text)
    assert read_note(DiskFiles(), kept) is None


def test_a_full_disk_has_no_note(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(DiskFile, "append", full)
    kept = put(store, DAMAGED, 5)
    write_note(DiskFiles(), kept, HAD)
    assert read_note(DiskFiles(), kept) is None
    assert all_aside(store) == [kept]


def test_a_name_that_somebody_else_gave_is_listed_first(store: Path) -> None:
    mine = put(store, DAMAGED, 5)
    other = mine.with_name(f"{store.name}.damaged-before-the-move")
    other.write_bytes(b"rows")
    assert aside.all_aside(store) == [other, mine]
