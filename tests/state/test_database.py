"""The state file: what was told as written is there, all of it or nothing, and damage says what to do."""

from pathlib import Path

import pytest

from hub.state import AccountRow, DeviceRow, State, StateError, TokenRow
from hub.state.schema import VERSION
from hub.wire.messages import Declared
from hub.wire.ranges import Ranges
from tests.state.older import older_file


def opened(path: Path) -> State:
    state = State(path)
    state.open()
    return state


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.sqlite"


def test_what_was_written_is_there_after_a_restart(path: Path) -> None:
    state = opened(path)
    state.devices.save([DeviceRow("pump-1", 5, "pump", labels={"hall": "2"}, last_seen=7)])
    state.tokens.replace(TokenRow(b"h" * 32, "admin", "ada", 1))
    state.close()
    state = opened(path)
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


@pytest.mark.parametrize("version", [1, 2, 3])
def test_a_file_of_an_older_version_is_brought_to_this_one(path: Path, version: int) -> None:
    device = (
        "INSERT INTO devices VALUES ('pump-1', 'pump', '', '[[\"rpm\", \"1/min\", \"int\"]]', '{}', 5, 0, 7, 8, 1, 3)"
    )
    columns = "device, epoch, highest, kept, dropped, lost, moved, closed, unknown_above, received, rejected, "
    account = (
        f"INSERT INTO account ({columns} dropped_readings) "
        "VALUES ('pump-1', 1, 3, '[[1,3]]', '[]', '[]', '[]', 0, 0, 4, '{}', 0)"
    )
    rejected = (
        "INSERT INTO quarantine (id, lsn, device, epoch, seq, row, metric, time, received, code, text, value) "
        "VALUES (9, 4, 'pump-1', 1, 2, 0, 'rpm', 6, 7, 'range', 'too fast', x'01')"
    )
    older_file(path, version, device, account, rejected)
    for _ in range(2):  # the second time it is of this version, and checked as such
        state = opened(path)
        assert state.account.all() == [AccountRow("pump-1", 1, 3, Ranges([(1, 3)]), received=4, expired=0)]
        assert state.devices.all() == [
            DeviceRow(
                "pump-1",
                5,
                "pump",
                metrics=(Declared("rpm", "1/min", "int"),),
                since=7,
                last_seen=8,
                epoch=1,
                through=3,
            )
        ]
        assert [(id, each.value, each.model) for id, each in state.quarantine.list()] == [(9, 1, "")]
        assert state.cursors.missed("influx") == []
        state.close()
