"""Each repository gives back what it was given."""

import math
from collections.abc import Iterator
from pathlib import Path

import pytest

from hub.state import AccountRow, Change, Rejected, State
from hub.state.commands import TRANSITIONS
from hub.wire.messages import COMMAND_STATES, FINAL_STATES
from hub.wire.ranges import Ranges
from hub.wire.shapes import CommandInfo, EventInfo


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    state = State(tmp_path / "state.sqlite")
    state.open()
    yield state
    state.close()


def command(id: str, state: str = "queued", device: str = "pump-1", created: int = 0) -> CommandInfo:
    return CommandInfo(
        id=id, device=device, name="stop", args={"why": "test", "raw": b"\0"}, state=state, value=None, late=False,
        by="ada", created=created, expiry=created + 10, changed=created,
    )  # fmt: skip


def test_an_account_row_comes_back_as_it_was(state: State) -> None:
    row = AccountRow(
        "pump-1", 3, 90, Ranges([(1, 40), (50, 90)]), Ranges([(41, 42)]), Ranges([(43, 49)]), Ranges(), True, True,
        900, {"out_of_range": 4}, 12,
    )  # fmt: skip
    with state.transaction():
        state.account.save([row, AccountRow("pump-2", 1, received=10, rejected={"malformed": 1})])
    assert state.account.all("pump-1") == [row]
    assert [each.device for each in state.account.open()] == ["pump-2"]
    assert state.account.get("pump-1", 3) == row
    assert state.account.get("pump-1", 4) is None
    assert state.account.totals() == (910, 5)


@pytest.mark.parametrize("value", [1.5, -3, True, False, "text", None, math.inf, 2**53])
def test_quarantine_keeps_values_exactly(state: State, value: object) -> None:
    reading = Rejected(7, "pump-1", 1, 2, 0, "flow", 5, 6, "out_of_range", "too much", value)  # type: ignore[arg-type]
    with state.transaction():
        state.quarantine.add([reading])
    [(_, found)] = state.quarantine.list("pump-1")
    assert found == reading
    assert type(found.value) is type(value)


def test_quarantine_keeps_what_is_no_number(state: State) -> None:
    with state.transaction():
        state.quarantine.add([Rejected(7, "a", 1, 2, 0, "flow", None, 6, "not_finite", "", math.nan)])
        state.quarantine.add([Rejected(8, "b", 1, 2, 0, "flow", None, 6, "not_finite", "", 1.0)])
    assert [reading.device for _, reading in state.quarantine.list()] == ["b", "a"]
    assert math.isnan(state.quarantine.list("a")[0][1].value)  # type: ignore[arg-type]
    assert state.quarantine.count() == 2


def test_a_twin_is_patched_and_a_null_takes_away(state: State) -> None:
    state.twins.report("pump-1", {"speed": 10, "mode": "auto"})
    state.twins.desire("pump-1", {"speed": 20})
    twin = state.twins.report("pump-1", {"mode": None, "oil": {"level": 0.5}})
    assert twin == ({"speed": 20}, 1, {"speed": 10, "oil": {"level": 0.5}})
    assert state.twins.get("pump-1") == twin
    assert state.twins.get("nobody") == ({}, 0, {})


def test_an_event_taken_in_twice_is_there_once(state: State) -> None:
    event = EventInfo(device="pump-1", time=5, level="info", text="started")
    for _ in range(2):
        with state.transaction():
            state.events.add([(3, event), (4, {**event, "text": "stopped"})])
    assert [each["text"] for each in state.events.list("pump-1")] == ["stopped", "started"]


def test_commands_are_listed_newest_first_and_by_state(state: State) -> None:
    state.commands.insert([command("a", created=1), command("b", "failed", created=2), command("c", device="p2")])
    assert [info["id"] for info in state.commands.list(None, None, 10)] == ["b", "a", "c"]
    assert [info["id"] for info in state.commands.list(["pump-1"], ["queued", "sent"], 10)] == ["a"]
    assert state.commands.list([], None, 10) == []
    assert [info["id"] for info in state.commands.open()] == ["a", "c"]
    assert state.commands.get("a") == command("a", created=1)


@pytest.mark.parametrize("before", COMMAND_STATES)
@pytest.mark.parametrize("after", COMMAND_STATES)
def test_only_what_the_table_allows_changes_a_command(state: State, before: str, after: str) -> None:
    state.commands.insert([command("a", before)])
    changed = state.commands.advance([Change("a", "pump-1", after, {"n": 1}, 5)])
    if after in TRANSITIONS.get(before, ()):
        assert changed == [{**command("a", after), "value": {"n": 1}, "changed": 5, "late": before == "timed_out"}]
        assert state.commands.get("a") == changed[0]
    else:
        assert changed == []
        assert state.commands.get("a") == command("a", before)


def test_what_is_over_stays_over() -> None:
    assert set(TRANSITIONS) & FINAL_STATES == {"timed_out"}
    assert "queued" not in {state for states in TRANSITIONS.values() for state in states}


def test_only_the_device_that_was_asked_may_answer(state: State) -> None:
    state.commands.insert([command("a", "sent")])
    assert (
        state.commands.advance([Change("a", "pump-2", "succeeded", None, 5), Change("x", "p", "failed", None, 5)]) == []
    )
    assert state.commands.advance([Change("a", "pump-1", "timed_out", None, 5, only_from="acknowledged")]) == []
