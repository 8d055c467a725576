"""Processes that are watched for a long time: their figures, and what these grow by."""

import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from urllib.request import urlopen

from tests.end_to_end.processes import HubProcess
from tests.faults import slopes
from tests.faults.lab import Figures


@dataclass
class Watched:
    """A process that is looked at, and killed at random."""

    name: str
    life: int = 0
    began: float = 0.0
    dies: float = 0.0  # when it is killed next
    kills: int = 0
    looks: list[slopes.Look] = field(default_factory=list)

    def born(self, lasts: float) -> None:
        self.life += 1
        self.began = time.monotonic()
        self.dies = self.began + lasts

    def look(self, pid: int, blocks: float, tasks: float, links: float) -> None:
        descriptors = float(len(os.listdir(f"/proc/{pid}/fd")))
        figures = {"rss_mb": _rss_mb(pid), "blocks": blocks, "descriptors": descriptors, "tasks": tasks}
        self.looks.append(slopes.Look(self.life, time.monotonic() - self.began, figures, links))

    def figures(self) -> Figures:
        """Slopes an hour with twice their standard error and what is tolerated, and how long was looked at."""
        told: Figures = {f"{self.name}_judged_s": round(slopes.seconds(self.looks))}
        tolerated = slopes.tolerated(self.looks)
        chosen = slopes.judged(self.looks) or self.looks
        for name in slopes.TOLERANCES:
            found, error = slopes.slope(self.looks, name)
            told[f"{self.name}_{name}_per_h"] = [round(found, 1), round(error, 1) if error < 1e9 else None]
            told[f"{self.name}_{name}_tolerated_per_h"] = round(tolerated[name], 1)
            told[f"{self.name}_{name}_max"] = round(max(look.figures[name] for look in chosen), 1)
        return told


def gauges(hub: HubProcess) -> dict[str, float]:
    """The hub's gauges by name, and its descriptors."""
    lines = urlopen(f"{hub.http}/metrics", timeout=60).read().decode().splitlines()
    told = {name: float(value) for name, value in (line.split() for line in lines if not line.startswith("#"))}
    found = {name.removeprefix("telemetrio_"): value for name, value in told.items()}
    return found | {
        "descriptors": float(len(os.listdir(f"/proc/{hub.pid}/fd"))), "tasks": found["process_tasks"],
    }  # fmt: skip


def _rss_mb(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))
