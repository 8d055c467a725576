"""Dashboards on a stage: fixed clock, fixed zone, no blinking, pictures without ids that differ from run to run."""

import asyncio
import os
import re
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress

import pytest
from syrupy.assertion import SnapshotAssertion
from syrupy.extensions.single_file import SingleFileSnapshotExtension, WriteMode
from textual.pilot import Pilot
from textual.widgets import Input
from textual.worker import WorkerCancelled

from dashboard.app import DashboardApp
from tests.dashboard.stage import Stage

Scene = Callable[[DashboardApp, "Pilot[int]"], Awaitable[None]]
SMALL, LARGE = (80, 24), (200, 60)


@pytest.fixture(autouse=True)
def _same_everywhere(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    for name in ("NO_COLOR", "TEXTUAL_ANIMATIONS", "TEXTUAL_THEME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Input.cursor_blink, "_default", False)
    time.tzset()
    yield
    monkeypatch.undo()
    os.environ.setdefault("TZ", "")
    time.tzset()


class Picture(SingleFileSnapshotExtension):
    """A snapshot as an SVG that any browser shows."""

    _write_mode = WriteMode.TEXT
    file_extension = "svg"


@pytest.fixture
def picture(snapshot: SnapshotAssertion) -> SnapshotAssertion:
    return snapshot.use_extension(Picture)


def play(stage: Stage, scene: Scene, size: tuple[int, int] = SMALL, **options: bool) -> DashboardApp:
    """Run the dashboard on this stage through a scene."""

    async def run() -> DashboardApp:
        app = DashboardApp(stage, **options)
        app.animation_level = "none"
        async with app.run_test(size=size, notifications=True) as pilot:
            await settle(app, pilot)
            await scene(app, pilot)
        return app

    return asyncio.run(run())


async def press(app: DashboardApp, pilot: "Pilot[int]", *keys: str) -> None:
    """Press keys one after the other, each after all that the one before it set off."""
    for key in keys:
        app.simulate_key(key)
        await settle(app, pilot)


async def settle(app: DashboardApp, pilot: "Pilot[int]") -> None:
    """Wait until every message is handled, every request answered and every repaint that they asked for done."""
    quiet = 0
    for _ in range(100):
        await pilot.pause(0)
        with suppress(WorkerCancelled):  # by a newer one of its group
            await app.workers.wait_for_complete()
        nodes = [app, *app.screen.walk_children(with_self=True)]
        quiet = quiet + 1 if all(node._message_queue.empty() for node in nodes) else 0
        if quiet > 2:
            return


def text_of(app: DashboardApp) -> str:
    """What stands on the screen."""
    return "\n".join(strip.text.rstrip() for strip in app.screen._compositor.render_strips())


def drawn(app: DashboardApp) -> str:
    """The screen as an SVG that is the same in every run, needs no font from elsewhere, and keeps its spaces."""
    svg = app.export_screenshot(title="Telemetrio", simplify=True)
    svg = re.sub(r"terminal-\d+", "terminal", svg)
    svg = re.sub(r"\s*@font-face \{.*?\}\n", "\n", svg, flags=re.S)
    svg = svg.replace("Fira Code, monospace", "ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace")
    svg = svg.replace("<text ", '<text xml:space="preserve" ').replace("&#160;", " ")
    return "\n".join(line.rstrip() for line in svg.splitlines()) + "\n"
