import pytest

from dashboard import rows
from dashboard.look import Look
from dashboard.view import View
from tests.dashboard.stage import NOON, Stage, small_fleet

PLAIN = Look("", "strong", "muted", "", "", "good", "warn", "bad", "bars")


def width_of(plan: rows.Plan) -> int:
    return sum(column.width + 2 for column in plan.columns)


@pytest.mark.parametrize("width", [60, 80, 100, 120, 160, 200, 300])
@pytest.mark.parametrize("words", ["", "pump"])
def test_columns_never_need_more_than_there_is(width: int, words: str) -> None:
    view = small_fleet().view
    shown = [device for device in view.devices.values() if words in device.name]
    plan = rows.plan(view, shown, width, "device", False, width >= 120)
    assert width_of(plan) <= width
    assert {"device", "m0", "trend", "age"} <= {column.key for column in plan.columns}
    for device in shown:
        for cell, column in zip(rows.cells(view, device, NOON, plan, PLAIN), plan.columns, strict=True):
            assert sum(len(part.text) for part in cell) <= column.width, column


def test_devices_of_one_model_get_a_column_for_each_metric() -> None:
    view = small_fleet().view
    pumps = [device for device in view.devices.values() if device.model == "pump"]
    plan = rows.plan(view, pumps, 200, "device", False, True)
    assert plan.metrics is not None
    assert [column.title for column in plan.columns][1:4] == ["vibration_x", "vibration_y", "vibration_z"]
    assert rows.plan(view, list(view.devices.values()), 200, "device", False, True).metrics is None


def test_the_sorted_column_says_so() -> None:
    view = small_fleet().view
    plan = rows.plan(view, list(view.devices.values()), 80, "model", True, False)
    assert "model ▾" in [column.title for column in plan.columns]


def test_an_empty_fleet_has_columns_too() -> None:
    assert rows.plan(View(), [], 80, "device", False, False).columns


def test_beyond_a_limit_that_warns_a_value_is_marked_by_colour_and_symbol() -> None:
    stage = small_fleet()
    stage.readings("frz-0001", {"temperature": 2.0}, NOON)
    view = stage.view
    device = view.devices["frz-0001"]
    plan = rows.plan(view, [device], 80, "device", False, False)
    value = rows.cells(view, device, NOON, plan, PLAIN)[1]
    assert value[0] == ("▲", "warn")
    assert value[1].style == "warn"


def test_whoever_is_away_is_muted() -> None:
    view = small_fleet().view
    device = view.devices["frz-0003"]
    plan = rows.plan(view, [device], 80, "device", False, False)
    styles = {part.style for cell in rows.cells(view, device, NOON, plan, PLAIN) for part in cell if part.text}
    assert styles == {"bad", "muted"}


@pytest.mark.parametrize("seconds", [None, 0.2, 95.0, 59 * 60.0, 1e300])
@pytest.mark.parametrize("waiting", [1, 999, 1_240, 999_999, 5_000_000, 2**62])
@pytest.mark.parametrize("width", [60, 80, 200])
def test_a_device_that_catches_up_says_how_much_and_how_long_in_the_cells_there_are(
    width: int, waiting: int, seconds: float | None
) -> None:
    stage = Stage()
    stage.device("pump-1", "pump", waiting=waiting, catch_up=seconds)
    stage.readings("pump-1", {"flow": 1.5})
    view = stage.view
    shown = list(view.devices.values())
    plan = rows.plan(view, shown, width, "device", False, width >= 120)
    at = [column.key for column in plan.columns].index("trend")
    told = "".join(part.text for part in rows.cells(view, shown[0], NOON, plan, PLAIN)[at])
    assert len(told) <= plan.columns[at].width
    assert told.startswith("↑")
    if waiting == 1_240 and seconds == 95.0:
        assert told.startswith("↑1k 1m ")


def test_a_device_that_is_gone_is_not_shown_as_catching_up() -> None:
    stage = Stage()
    stage.device("pump-1", "pump", "offline", waiting=40)
    stage.readings("pump-1", {"flow": 1.5})
    view = stage.view
    shown = list(view.devices.values())
    plan = rows.plan(view, shown, 80, "device", False, False)
    assert not any("↑" in part.text for cell in rows.cells(view, shown[0], NOON, plan, PLAIN) for part in cell)
