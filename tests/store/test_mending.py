"""What is known of a store that is set aside is what it was handed and what it said while it was open."""

import errno
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from hub.disk import DiskFiles
from hub.ports import SystemClock
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

    def interrupt(self) -> None: ...


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


@pytest.mark.parametrize("leaves", [False, True], ids=["nothing", "empty"])
def test_a_store_on_a_disk_that_is_not_mounted_is_not_damaged(tmp_path: Path, leaves: bool) -> None:
    """At a start or while the hub runs; an empty folder may stand where the disk was."""
    disk, away, data, told = tmp_path / "disk", tmp_path / "away", tmp_path / "data", list[str]()
    disk.mkdir()
    data.mkdir()
    DuckStore(disk / "store.duckdb").open()
    path = data / "store.duckdb"
    path.symlink_to(disk / "store.duckdb")

    def unmount() -> None:
        disk.rename(away)
        if leaves:
            disk.mkdir()

    def mount() -> None:
        if leaves:
            disk.rmdir()
        away.rename(disk)

    store = MendingStore(path, lambda: DuckStore(path), DiskFiles(), SystemClock(), lambda why, kept: told.append(why))
    unmount()
    for _ in range(2):
        with pytest.raises(StoreError, match=r"leads to .*disk/store\.duckdb, which is not there: mount its disk"):
            store.open()
    mount()
    store.open()
    unmount()
    assert store.check() is None
    mount()
    assert (store.check(), store.damage, told) == (None, None, [])
    assert [path.name for path in data.iterdir()] == ["store.duckdb"]
    store.close()


def test_a_path_that_cannot_be_looked_at_says_nothing_of_the_store(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    store = MendingStore(
        folder / "store.duckdb", lambda: DuckStore(folder / "store.duckdb"), DiskFiles(), SystemClock(),
        lambda why, kept: None,
    )  # fmt: skip
    store.open()
    folder.rename(tmp_path / "away")
    folder.touch()  # it stands for EIO: there is an error that is not FileNotFoundError
    assert store.check() is None
    assert store.statistics()["file_bytes"] == 0
    folder.unlink()
    (tmp_path / "away").rename(folder)
    assert store.check() is None
    store.close()


def test_a_store_that_is_set_aside_in_two_attempts_has_one_name_with_its_log(
    store: MendingStore, inner: Inner, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = inner.path.with_name("store.duckdb.wal")
    log.touch()
    rename = DiskFiles.rename

    def fails(self: DiskFiles, old: Path, new: Path) -> None:
        if old == inner.path:
            raise OSError(errno.EIO, "Input/output error")
        rename(self, old, new)

    store.condemn("its file was cut")
    with monkeypatch.context() as patched:
        patched.setattr(DiskFiles, "rename", fails)
        with pytest.raises(OSError, match="Input/output"):
            store.open()
    store._clock = LaterClock()
    store.open()
    kept = {path.name for path in inner.path.parent.iterdir() if ".damaged-" in path.name and path.suffix != ".note"}
    assert kept == {store.kept.name, f"{store.kept.name}.wal"} if store.kept else False


class LaterClock(SystemClock):
    """An hour later."""

    def now(self) -> int:
        return super().now() + 3_600_000_000
