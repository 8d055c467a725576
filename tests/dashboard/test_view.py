from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from dashboard.view import SORTS, STALE_AFTER, Device, View, in_order, lines, matching, natural
from tests.dashboard.stage import NOON, SECOND, small_fleet


def test_a_device_is_stale_after_some_of_its_own_intervals() -> None:
    quick = Device("a", state="online", seen=NOON, interval=SECOND)
    slow = Device("b", state="online", seen=NOON, interval=60 * SECOND)
    assert quick.liveness(NOON + STALE_AFTER) == "online"
    assert quick.liveness(NOON + STALE_AFTER + 1) == "stale"
    assert slow.liveness(NOON + 240 * SECOND) == "online"
    assert slow.liveness(NOON + 241 * SECOND) == "stale"


def test_a_device_that_just_came_back_is_not_stale() -> None:
    device = Device("a", state="online", since=NOON, seen=NOON - 3_600 * SECOND)
    assert device.liveness(NOON + SECOND) == "online"


def test_what_the_hub_calls_a_state_is_shown_as_such_and_the_unknown_as_never() -> None:
    assert [Device("a", state=state).liveness(NOON) for state in ("offline", "revoked", "never", "odd")] == [
        "offline", "revoked", "never", "never"
    ]  # fmt: skip


def test_a_search_wants_every_word_of_name_model_state_or_label() -> None:
    view = small_fleet().view
    assert {device.name for device in matching(view, "PUMP", NOON)} == {f"pump-000{n}" for n in range(1, 6)}
    assert [device.name for device in matching(view, "stale", NOON)] == ["pump-0004"]
    assert {device.model for device in matching(view, "site=north weather", NOON)} == {"weather-station"}
    assert matching(view, "pump nowhere", NOON) == []
    assert len(matching(view, "  ", NOON)) == 25


def test_numbers_in_names_sort_as_numbers() -> None:
    assert sorted(["pump-10", "pump-9", "pump", "10", "9"], key=natural) == ["9", "10", "pump", "pump-9", "pump-10"]


@given(st.lists(st.text(max_size=8), max_size=8))
@settings(deadline=None, max_examples=50)
def test_any_names_can_be_sorted(names: list[str]) -> None:
    assert all(natural(low) <= natural(high) for low, high in pairwise(sorted(names, key=natural)))


def test_every_sort_puts_every_device_once_in_both_directions() -> None:
    view = small_fleet().view
    everyone = list(view.devices.values())
    for by in SORTS:
        there = in_order(view, everyone, by, False, NOON)
        back = in_order(view, everyone, by, True, NOON)
        assert sorted(device.name for device in there) == sorted(view.devices)
        assert len(back) == len(there)


def test_by_state_the_trouble_comes_first() -> None:
    view = small_fleet().view
    found = in_order(view, list(view.devices.values()), "state", False, NOON)
    assert [device.name for device in found[:2]] == ["frz-0003", "pump-0004"]


def test_metrics_stand_in_the_order_of_the_model_and_strange_ones_after_them() -> None:
    stage = small_fleet()
    stage.readings("pump-0001", {"aardvark": 1.0})
    view = stage.view
    names = view.ordered(view.devices["pump-0001"])
    assert names[:2] == ["vibration_x", "vibration_y"]
    assert names[-1] == "aardvark"


def test_lines_of_the_log_come_newest_first_by_kind_device_and_words() -> None:
    view = small_fleet().view
    assert [line.device for line in lines(view, "", "")][:2] == ["ws-0005", "pm-0002"]
    assert {line.kind for line in lines(view, "command", "")} == {"command"}
    assert [line.text for line in lines(view, "", "SAG phase")] == ["voltage sag on phase 2"]
    assert {line.device for line in lines(view, "", "", "aq-0003")} == {"aq-0003"}
    assert len(lines(view, "", "", most=3)) == 3


def test_the_empty_view_is_a_view() -> None:
    assert matching(View(), "", NOON) == []
    assert not View().may_command
