"""CPU-seconds that the dashboard takes for a thousand devices, in memory: folding, repainting, keys."""

from time import process_time

from textual.pilot import Pilot

from dashboard.app import DashboardApp
from dashboard.screens.page import Page
from tests.dashboard.conftest import LARGE, play, press
from tests.dashboard.stage import NOON, SECOND, Stage, shipped_models, status, values_of

DEVICES = 1_000


def crowd() -> Stage:
    stage = Stage()
    models = list(shipped_models())
    told = []
    for number in range(DEVICES):
        model = models[number % 5]
        stage._infos[f"dev-{number:04}"] = {
            "device": f"dev-{number:04}", "model": model, "state": "online", "since": NOON, "last_seen": None,
            "software": "s", "labels": {"site": "x"}, "address": None, "epoch": 1, "through": 1, "waiting": 0,
            "catch_up": None, "clock_offset": None,
        }  # fmt: skip
        told += values_of(f"dev-{number:04}", shipped_models()[model], NOON)
    stage.fold.inventory(stage._infos.values())
    stage.say("readings", told)
    stage.say("hub", status(devices=DEVICES))
    return stage


def thousand() -> dict[str, float]:
    """A second's readings of all of them (``fold_s``), one repaint (``repaint_s``), and eight keys (``keys_s``)."""
    stage = crowd()
    spent: dict[str, float] = {}

    async def scene(app: DashboardApp, pilot: "Pilot[int]") -> None:
        await press(app, pilot, "j")
        later = [[*row[:2], NOON + SECOND, row[3], 0] for name in stage.view.devices for row in rows_of(stage, name)]
        start = process_time()
        stage.say("readings", later)
        spent["fold"] = process_time() - start
        page = app.screen
        assert isinstance(page, Page)
        app.view = stage.view
        start = process_time()
        for _ in range(5):
            page.repaint()
        spent["repaint"] = (process_time() - start) / 5
        start = process_time()
        await press(app, pilot, "G", "k", "pageup", "g", "slash", "7", "escape")
        spent["keys"] = process_time() - start

    play(stage, scene, LARGE)
    return {f"{name}_s": round(seconds, 4) for name, seconds in spent.items()}


def rows_of(stage: Stage, name: str) -> list[list[object]]:
    series = stage.view.devices[name].series
    return [[name, metric, one.time, one.value] for metric, one in series.items()]
