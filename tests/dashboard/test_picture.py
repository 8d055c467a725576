"""``docs/dashboard.svg`` is a picture of the real dashboard, drawn by this test and checked by it.

TELEMETRIO_DRAW=1 pytest tests/dashboard/test_picture.py    draws it anew
"""

import os
from pathlib import Path
from xml.etree import ElementTree

from textual.pilot import Pilot

from dashboard.app import DashboardApp
from tests.dashboard.conftest import drawn, play, settle
from tests.dashboard.stage import small_fleet

PICTURE = Path(__file__).parents[2] / "docs" / "dashboard.svg"
SIZE = (132, 40)  # cells: all there is in sight, and readable in a page's width


def test_the_picture_in_the_docs_is_the_dashboard_as_it_is() -> None:
    pictures: list[str] = []

    async def scene(app: DashboardApp, pilot: "Pilot[int]") -> None:
        await settle(app, pilot)
        pictures.append(drawn(app))

    play(small_fleet(), scene, SIZE)
    if os.environ.get("TELEMETRIO_DRAW"):
        PICTURE.write_text(pictures[0], encoding="utf-8")
    assert PICTURE.read_text(encoding="utf-8") == pictures[0], "draw it anew: TELEMETRIO_DRAW=1 pytest " + __file__


def test_the_picture_needs_nothing_from_elsewhere() -> None:
    svg = PICTURE.read_text(encoding="utf-8")
    ElementTree.fromstring(svg)
    assert "url(http" not in svg
    assert "@import" not in svg
