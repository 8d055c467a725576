"""The rows that need real processes: hub, devices or both are killed while they stream."""

import random
import statistics
import time

from tests.end_to_end.processes import HubProcess
from tests.faults.crashing import points
from tests.faults.lab import Failed, Figures, Lab, Row
from tests.faults.stage import Stage

LIVES = (0.05, 0.6)  # seconds that hub and devices live after the first ack, drawn anew each time
KILLS = {"hub": 48, "devices": 28, "both": 28}
QUICK_KILLS = {"hub": 5, "devices": 3, "both": 2}
#: Planted bugs, and whose kills show them.
PLANT_KILLS = {
    "cursor-apart": {"hub": 4}, "ack-before-sync": {"hub": 7}, "no-deduplication": {"devices": 3},
    "number-reused": {"devices": 5},
}  # fmt: skip
COLD_STARTS = 3  # of the command as a person types it
CRASHING = "tests.faults.crashing:main"
#: How often a step is passed before it kills, where once is not enough to say all; several calls may share a name.
TIMES = {
    "append": (1, 30), "sync": (1, 30), "archive": (1, 2, 3, 4), "commit": (1, 6), "apply": (1, 6),
    "spool ack": (1, 30), "spool append": (1, 30),
}  # fmt: skip
RETENTION = "TELEMETRIO_STORE__RETENTION"
COLLECTED = ("collect",)
COLLECT_TIMES = (1, 2, 3)  # its three calls


def killed_under_load(lab: Lab) -> Figures:
    """F1: random kills of the hub, of the devices, of both at once."""
    hub = {"target": "tests.faults.launcher:main", "arguments": (lab.plant,)} if lab.plant else {}
    stage = Stage(lab, {"TELEMETRIO_JOURNAL__SEGMENT_MB": "1"}, **hub)  # so that segments roll and are archived
    kills = PLANT_KILLS[lab.plant] if lab.plant else QUICK_KILLS if lab.quick else KILLS
    chance = random.Random(lab.seed)
    whom = [name for name, count in kills.items() for _ in range(count)]
    chance.shuffle(whom)
    restarts: list[float] = []
    try:
        stage.start_hub()
        stage.start_devices()
        for each in whom:
            stage.progress()
            time.sleep(chance.uniform(*LIVES))
            if each != "devices":
                stage.kill_hub()
            if each != "hub":
                stage.kill_devices()
            if each != "devices":
                restarts.append(stage.start_hub())
            if each != "hub":
                stage.start_devices()
        stage.progress()
        figures = stage.finish()
    finally:
        stage.end()
    told = {f"kills_of_{name}": count for name, count in kills.items()}
    figures |= {"kills": len(whom)} | told | _spread("restart_forked_s", restarts or [0.0])
    return figures if lab.plant or lab.quick else figures | _spread("restart_s", _cold_starts(stage))


def _cold_starts(stage: Stage) -> list[float]:
    """Seconds to start on the same files with the command that a person types."""
    hub = HubProcess(stage.hub.folder, settings=stage.hub.settings)
    took = []
    for _ in range(COLD_STARTS):
        began = time.monotonic()
        with hub:
            took.append(time.monotonic() - began)
    return took


def each_step(lab: Lab) -> Figures:
    """F2: hub and devices kill themselves at every named step but those of collecting."""
    stage = Stage(lab, target=CRASHING, arguments=())
    try:
        stage.start_hub()
        stage.start_devices()
        stage.progress()
        passed = [*_through_the_hub(stage, _steps("hub")), *_through_the_devices(stage, _steps("devices"))]
        stage.progress()
        figures = stage.finish()
    finally:
        stage.end()
    return figures | {"kills": len(passed), "points": passed}


def _through_the_hub(stage: Stage, steps: list[str]) -> list[str]:
    """Each start is the recovery from the step before; in the end the hub runs."""
    stage.kill_hub()
    for where in steps:
        stage.arm_hub(where)
        if not stage.hub_died():
            raise Failed(f"the step {where} was not reached")
    stage.start_hub()
    return steps


def _through_the_devices(stage: Stage, steps: list[str]) -> list[str]:
    for where in steps:
        stage.progress()
        stage.kill_devices()
        stage.start_devices(where)
        lonely = where.startswith("spool append")
        if lonely:
            stage.kill_hub()  # what is not acked goes to the spool
        if not stage.devices_died():
            raise Failed(f"the step {where} of the devices was not reached")
        if lonely:
            stage.start_hub()
        stage.start_devices()
    return steps


def _steps(room: str) -> list[str]:
    names = [name for name in points(room) if name not in COLLECTED]
    return [f"{name}:{number}" for name in names for number in TIMES.get(name, (1,))]


def collecting(lab: Lab) -> Figures:
    """F2: the hub kills itself at every step of collecting what has expired."""
    stage = Stage(lab, {RETENTION: "4s"}, target=CRASHING, arguments=())
    try:
        stage.start_hub()
        stage.start_devices()
        stage.progress()
        passed = _through_the_hub(stage, [f"collect:{number}" for number in COLLECT_TIMES])
        stage.progress()
        stage.drain()
        stage.kill_hub()
        stage.hub.settings = {**stage.hub.settings, RETENTION: ""}  # what is counted must not change meanwhile
        stage.start_hub()
        figures = stage.judge()
    finally:
        stage.end()
    return figures | {"kills": len(passed) + 1, "points": passed}


def _spread(name: str, seconds: list[float]) -> Figures:
    return {f"{name}_p50": round(statistics.median(seconds), 2), f"{name}_max": round(max(seconds), 2)}


ROWS = [
    Row("F1 hub, devices, both killed under load", killed_under_load, tuple(PLANT_KILLS), 110.0, 15.0, quick=True),
    Row("F2 killed at each step", each_step, seconds=35.0),
    Row("F2 killed at each step of collecting", collecting, seconds=20.0),
]
