"""The state file: what was told as written is there, all of it or nothing, and damage says what to do."""

import sqlite3
from pathlib import Path

import pytest

from hub.state import AccountRow, DeviceRow, State, StateError, TokenRow
from hub.state.database import VERSION


def opened(path: Path) -> State:
    state = State(path)
    state.open()
    return state


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.sqlite"


def test_what_was_written_is_there_after_a_restart(path: Path) -> None:
    state = opened(path)
    assert state.created
    state.devices.save([DeviceRow("pump-1", 5, "pump", labels={"hall": "2"}, last_seen=7)])
    state.tokens.replace(TokenRow(b"h" * 32, "admin", "ada", 1))
    state.close()
    state = opened(path)
    assert not state.created
    assert state.devices.all() == [DeviceRow("pump-1", 5, "pump", labels={"hall": "2"}, last_seen=7)]
    assert state.tokens.all() == [TokenRow(b"h" * 32, "admin", "ada", 1)]


def test_a_transaction_is_all_or_nothing(path: Path) -> None:
    state = opened(path)

    def rows_then_trouble() -> None:
        with state.transaction():
            state.account.save([AccountRow("pump-1", 1, 3)])
            state.cursors.set("account", 9)
            raise ValueError("half way")

    with pytest.raises(ValueError, match="half way"):
        rows_then_trouble()
    assert (state.account.all(), state.cursors.get("account")) == ([], 0)
    with state.transaction(), state.transaction():  # one inside another joins it
        state.cursors.set("account", 9)
    assert state.cursors.get("account") == 9


def test_the_file_is_for_its_owner_only_and_survives_power_cuts(path: Path) -> None:
    state = opened(path)
    assert path.stat().st_mode & 0o777 == 0o600
    database = state._database
    assert database.query("PRAGMA journal_mode") == [("wal",)]
    assert database.query("PRAGMA synchronous") == [(2,)]  # FULL


def test_a_damaged_file_says_how_to_restore_it(path: Path) -> None:
    state = opened(path)
    state.devices.save([DeviceRow(f"device-{n}", 0, software="x" * 200) for n in range(500)])
    state.close()
    content = bytearray(path.read_bytes())
    content[8192:40000] = b"\x5a" * (40000 - 8192)
    path.write_bytes(content)
    with pytest.raises(StateError, match="telemetrio hub restore"):
        opened(path)


def test_something_else_is_no_state_file(path: Path) -> None:
    path.write_bytes(b"this is a letter to my aunt" * 100)
    with pytest.raises(StateError, match="damaged"):
        opened(path)


def test_a_file_of_a_newer_version_is_left_alone(path: Path) -> None:
    state = opened(path)
    state._database.write(f"PRAGMA user_version = {VERSION + 1}")
    state.close()
    with pytest.raises(StateError, match="newer version"):
        opened(path)


def test_a_place_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="cannot be made"):
        opened(tmp_path / "nowhere" / "state.sqlite")


def test_a_file_of_the_version_before_is_brought_to_this_one(path: Path) -> None:
    state = opened(path)
    with state.transaction():
        state.account.save([AccountRow("pump-1", 1, 3, received=4)])
    state.close()
    with sqlite3.connect(path) as older:
        for column in ("expired", "removed"):
            older.execute(f"ALTER TABLE account DROP COLUMN {column}")
        older.execute("DROP INDEX quarantine_by_batch")
        for column in ("model", "unit", "type", "quality", "rows_before"):
            older.execute(f"ALTER TABLE quarantine DROP COLUMN {column}")
        older.execute("DROP TABLE gaps")
        older.execute("PRAGMA user_version = 1")
    older.close()
    state = opened(path)
    assert state.account.all() == [AccountRow("pump-1", 1, 3, received=4, expired=0)]
    assert state.cursors.missed("influx") == []
    state.close()


def test_a_file_of_version_2_is_brought_to_this_one(path: Path) -> None:
    opened(path).close()
    with sqlite3.connect(path) as older:
        older.execute("DROP TABLE gaps")
        older.execute("PRAGMA user_version = 2")
    older.close()
    state = opened(path)
    with state.transaction():
        state.cursors.miss("influx", 8, 14)
        state.cursors.set("influx", 20)
    assert state.cursors.missed("influx") == [(8, 14)]
    state.close()
