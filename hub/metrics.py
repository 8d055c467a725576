"""Counters of all rooms in the Prometheus text format. Rooms hand in their ``statistics()``; this file imports none."""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

Statistics: TypeAlias = Callable[[], Mapping[str, Any]]


class RoomsCollector(Collector):
    """The rooms' own counters as metrics ``telemetrio_ROOM_NAME``, read when somebody asks."""

    def __init__(self, rooms: Mapping[str, Statistics]) -> None:
        self._rooms = rooms

    def collect(self) -> Iterable[Metric]:
        """One sample for each number that a room tells; what is not a number is left out."""
        for room, statistics in self._rooms.items():
            for name, value in statistics().items():
                if isinstance(value, int | float):
                    full = re.sub(r"[^a-z0-9_]", "_", f"telemetrio_{room}_{name}".lower())
                    yield GaugeMetricFamily(full, f"{name} of {room}", value=float(value))


class Exposition:
    """What ``/metrics`` answers."""

    media_type = "text/plain; version=0.0.4; charset=utf-8"

    def __init__(self, rooms: Mapping[str, Statistics]) -> None:
        self._registry = CollectorRegistry()  # our own: nothing of the process or of Python slips in
        self._registry.register(RoomsCollector(rooms))

    def text(self) -> bytes:
        """Every counter as it is now."""
        return generate_latest(self._registry)
