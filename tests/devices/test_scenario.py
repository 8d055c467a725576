"""Fleets written down: what is read, what is refused, how they are scaled."""

from pathlib import Path

import pytest

from devices.models import PHYSICS
from devices.scenario import Scenario, ScenarioError, load_scenario, parse_scenario
from hub.model import shipped

SHIPPED = sorted(path.stem for path in shipped("fleets").glob("*.toml"))


def test_five_fleets_come_along() -> None:
    assert SHIPPED == ["chaos", "city", "demo", "factory", "greenhouse"]


@pytest.mark.parametrize("name", SHIPPED)
def test_what_comes_along_can_be_read(name: str) -> None:
    scenario = load_scenario(name)
    assert scenario.description
    assert {group.model for group in scenario.groups} <= set(PHYSICS)


def test_the_demo_has_25_devices_of_five_models() -> None:
    demo = load_scenario("demo")
    assert demo.devices == 25
    assert len({group.model for group in demo.groups}) == 5


@pytest.mark.parametrize("devices", [1, 3, 5, 7, 25, 26, 100, 500])
def test_scaling_gives_exactly_that_many(devices: int) -> None:
    scaled = load_scenario("demo").scaled(devices)
    assert scaled.devices == devices
    assert len(scaled.groups) == min(5, devices)
    names = [name for group in scaled.groups for name in group.names()]
    assert len(set(names)) == devices


def test_names_count_from_one_and_sort() -> None:
    [group] = parse_scenario('[[group]]\nmodel = "pump"\ncount = 120\n', "x").groups
    names = list(group.names())
    assert (names[0], names[-1]) == ("pump-001", "pump-120")
    assert names == sorted(names)


@pytest.mark.parametrize(("text", "words"), [
    ("", "needs at least one"),
    ("[[group]]", "model is missing"),
    ('sed = 1\n[[group]]\nmodel = "pump"', "unknown key 'sed': did you mean seed?"),
    ('[[group]]\nmodel = "pump"\nperiods = 1', "unknown key 'periods': did you mean period?"),
    ('[[group]]\nmodel = "pump"\nsensors = { stick = 0.1 }', "unknown key 'stick': did you mean stuck?"),
    ('[[group]]\nmodel = "pump"\nsensors = { stuck = 2 }', "stuck must be a number from 0 to 1"),
    ('[[group]]\nmodel = "pump"\nperiod = 0', "period must be a number from 0.01 to 3600"),
    ('[[group]]\nmodel = "pump"\ncount = "many"', "count must be a number"),
    ('[[group]]\nmodel = 7', "model must be a str"),
    ('[[group]]\nmodel = "pump"\nlabels = { a = 1 }', "labels are texts"),
    ('[[group]]\nmodel = "pump"\n[[group]]\nmodel = "pump"', "the same names"),
    ("[[group]\n", "fleet.toml"),
])  # fmt: skip
def test_mistakes_are_named(text: str, words: str) -> None:
    with pytest.raises(ScenarioError) as failure:
        parse_scenario(text, "fleet", "fleet.toml")
    assert words in str(failure.value)


def test_an_unknown_fleet_is_told_with_what_there_is(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match="did you mean factory"):
        load_scenario("factori")
    with pytest.raises(ScenarioError, match="cannot be read"):
        load_scenario(tmp_path / "mine.toml")


def test_a_fleet_of_none_or_too_many_is_refused() -> None:
    scenario: Scenario = load_scenario("demo")
    for devices in (0, 20_001):
        with pytest.raises(ScenarioError, match="from 1 to 20000"):
            scenario.scaled(devices)
