"""Runs rows, each in a process of its own, side by side: most of them wait for processes most of the time."""

import faulthandler
import json
import os
import re
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tests.faults.checker import PLANTED
from tests.faults.forge import Forge, redirect, run
from tests.faults.lab import SIMULATED, Failed, Lab, Row

#: Rows at once, on two cores: the long simulation, which keeps one of them busy, and others, which wait a lot. When it
#: is through, one more of these has its place.
LONG, OTHERS = "F28", 2
ROW_SECONDS = 900.0  # no row may take longer, however busy the machine; then it tells where it hangs
SEED_SECONDS = (0.5, 10.0)  # the same for a seed of the simulation: what it should take, and may take

Say = Callable[[str], None]


@dataclass(frozen=True)
class Task:
    """A row that is to be run, with a bug planted or without."""

    row: Row
    plant: str | None = None

    @property
    def label(self) -> str:
        return self.row.name if self.plant is None else f"{self.row.name}, with {self.plant}"

    @property
    def folder(self) -> str:
        """Below the evidence. What a planted bug has done stands apart: there the counts must differ."""
        name = re.sub(r"[^A-Za-z0-9-]+", "-", self.label).strip("-")
        return name if self.plant is None else f"{PLANTED}/{name}"


@dataclass(frozen=True)
class Told:
    """How a row ended: ``passed``, or ``failed`` (what it counts does not hold), or ``broken`` (it could not be carried
    out); and why."""

    task: Task
    ended: str
    figures: dict[str, Any]
    why: str
    seconds: float

    def to_plain(self) -> dict[str, Any]:
        plain = {"name": self.task.row.name, "passed": self.ended == "passed", "figures": self.figures}
        return plain | ({"why": self.why.strip().splitlines()[-1]} if self.why else {}) | {"seconds": self.seconds}


def run_tasks(tasks: Sequence[Task], lab: Lab, say: Say) -> list[Told]:
    """Run them all, the longest first; ``lab`` is what all rows have in common. In the order of ``tasks``."""
    waiting = sorted(tasks, key=lambda task: (task.row.alone, -_length(task, lab)))
    running: dict[int, tuple[Task, float]] = {}
    told: dict[Task, Told] = {}
    try:
        while waiting or running:
            while (task := _next(waiting, [task for task, _ in running.values()])) is not None:
                waiting.remove(task)
                running[_start(task, lab)] = task, time.monotonic()
                say(f"{task.label} ...")
            pid, status = os.waitpid(-1, 0)
            if pid in running:
                task, began = running.pop(pid)
                _sweep(pid)
                told[task] = found = _read(task, lab, status, round(time.monotonic() - began, 1))
                say(f"{task.label}: {_words(found)}")
    finally:
        for pid in running:
            _sweep(pid)
    return [told[task] for task in tasks]


def _length(task: Task, lab: Lab) -> float:
    """Seconds that it should take."""
    if task.plant is not None:
        return task.row.plant_seconds
    share = SIMULATED.get(task.row.number)
    return task.row.seconds if share is None else SEED_SECONDS[0] * lab.seeds * share


def _next(waiting: Sequence[Task], running: Sequence[Task]) -> Task | None:
    """The first that there is room for."""
    if any(task.row.alone for task in running):
        return None
    long = any(map(_long, running))
    reserved = long or any(map(_long, waiting))
    full = {True: long, False: len(running) - long >= OTHERS + (not reserved)}
    for task in waiting:
        if not (running if task.row.alone else full[_long(task)]):
            return task
    return None


def _long(task: Task) -> bool:
    """Whether it computes for minutes; with a planted bug it ends soon."""
    return task.plant is None and task.row.number == LONG


def _start(task: Task, lab: Lab) -> int:
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid == 0:
        os.setsid()  # whatever it starts is of its group, and is swept away with it
        os._exit(run(lambda: _row(task, lab)))
    return pid


def _row(task: Task, common: Lab) -> None:
    """In the process of the row."""
    evidence = common.evidence / task.folder
    evidence.mkdir(parents=True)
    redirect(evidence / "row.log", evidence / "row.log")
    limit = ROW_SECONDS + SEED_SECONDS[1] * common.seeds * (task.row.number in SIMULATED)
    faulthandler.dump_traceback_later(limit, exit=True)
    with tempfile.TemporaryDirectory(dir=common.scratch) as scratch, _memory(common) as memory:
        lab = replace(common, scratch=Path(scratch), evidence=evidence, plant=task.plant, forge=Forge(), memory=memory)
        ended, why, figures = "passed", "", {}
        try:
            figures = task.row.run(lab)
        except Failed as failed:
            ended, why, figures = "failed", str(failed), failed.figures
        except Exception:
            ended, why = "broken", traceback.format_exc()
            print(why)
    (evidence / "result.json").write_text(json.dumps({"ended": ended, "why": why, "figures": figures}))


@contextmanager
def _memory(common: Lab) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir=common.memory or common.scratch) as memory:
        yield Path(memory)


def _read(task: Task, lab: Lab, status: int, seconds: float) -> Told:
    """What the process of a row has left."""
    folder = lab.evidence / task.folder
    try:
        result = json.loads((folder / "result.json").read_text())
    except (OSError, ValueError):
        code = os.waitstatus_to_exitcode(status)
        result = {"ended": "broken", "why": f"its process ended with {code}; see {folder}/row.log", "figures": {}}
    return Told(task, seconds=seconds, **result)


def _words(told: Told) -> str:
    took = f"in {told.seconds:.0f} s"
    if told.ended == "passed":
        return f"passed {took}" if told.task.plant is None else f"NOT CAUGHT {took}"
    if told.ended == "failed":
        return f"{'FAILED' if told.task.plant is None else 'caught'} {took}: {told.why}"
    return f"BROKEN {took}: {told.why.strip()}"


def _sweep(group: int) -> None:
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        return
