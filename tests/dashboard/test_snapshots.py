"""Pictures of every page at both sizes. After a change that is meant: ``pytest tests/dashboard --snapshot-update``, and
look at them."""

import pytest
from syrupy.assertion import SnapshotAssertion
from textual.pilot import Pilot

from dashboard.app import DashboardApp
from dashboard.view import Link
from tests.dashboard.conftest import LARGE, SMALL, drawn, play, press, settle
from tests.dashboard.stage import Stage, small_fleet

PUMP = ("slash", *"pump-0002", "enter")
SCENES: dict[str, tuple[tuple[int, int], tuple[str, ...]]] = {
    "fleet-small": (SMALL, ()),
    "fleet-large": (LARGE, ()),
    "fleet-one-model": (LARGE, ("slash", *"pump", "enter")),
    "fleet-light": (SMALL, ("t",)),
    "device-small": (SMALL, (*PUMP, "enter", "down", "down", "down", "down")),
    "device-large": (LARGE, (*PUMP, "enter", "down", "down", "down", "down", "right_square_bracket")),
    "log-small": (SMALL, ("3",)),
    "log-large": (LARGE, ("3", "down")),
    "command-small": (SMALL, (*PUMP, "c", "down", "down", "enter", *"90", "ctrl+s")),
    "help-small": (SMALL, ("question_mark",)),
}


@pytest.mark.parametrize("name", SCENES)
def test_it_looks_like_this(name: str, picture: SnapshotAssertion) -> None:
    size, keys = SCENES[name]
    pictures: list[str] = []

    async def scene(app: DashboardApp, pilot: "Pilot[int]") -> None:
        await press(app, pilot, *keys)
        await settle(app, pilot)
        pictures.append(drawn(app))

    play(small_fleet(), scene, size)
    assert pictures[0] == picture


def test_a_lost_link_looks_like_this(picture: SnapshotAssertion) -> None:
    stage = Stage()
    stage.fold.link(Link("lost", "10.0.0.1:8443 refuses the connection; check that the hub runs", 3.2))
    pictures: list[str] = []

    async def scene(app: DashboardApp, pilot: "Pilot[int]") -> None:
        pictures.append(drawn(app))

    play(stage, scene)
    assert pictures[0] == picture
