"""What a hub's process holds: to see that it is back where it was."""

import os
from pathlib import Path
from typing import NamedTuple
from urllib.request import urlopen

from tests.end_to_end.processes import HubProcess

LOOKS = 30


class Standing(NamedTuple):
    tasks: float
    descriptors: float
    connections: float


def counted(hub: HubProcess) -> dict[str, float]:
    """The hub's gauges by name, and how many file descriptors its process has."""
    lines = urlopen(f"{hub.http}/metrics").read().decode().splitlines()
    gauges = {name: float(value) for name, value in (line.split() for line in lines if not line.startswith("#"))}
    return gauges | {"descriptors": len(os.listdir(f"/proc/{hub.pid}/fd"))}


def standing(hub: HubProcess) -> Standing:
    """The least of many looks, because the hub's own work comes and goes."""
    names = ("telemetrio_process_tasks", "descriptors", "telemetrio_edge_connections")
    looks = [counted(hub) for _ in range(LOOKS)]
    return Standing(*(min(look[name] for look in looks) for name in names))


def memory_mb(hub: HubProcess, what: str = "VmRSS") -> float:
    """Of the hub's process: VmRSS now, VmHWM at its highest, VmPeak of address space."""
    lines = Path(f"/proc/{hub.pid}/status").read_text().splitlines()
    (size,) = [line.split()[1] for line in lines if line.startswith(f"{what}:")]
    return int(size) / 1024
