"""This machine as a device: what psutil tells of it, read in a worker thread because some of it blocks."""

import platform
from collections.abc import Mapping, Sequence
from typing import Final

import psutil

from devices.models.base import Arguments, Progress
from devices.models.simulated import LONGEST_PERIOD
from devices.source import Handler
from devices.spool import Numbered
from hub.model import CommandSpec, Metric, Model, ValueType
from hub.ports import Worker
from hub.wire.messages import Declared, Plain, Row, Value

MODEL: Final = "host"
PLAUSIBLE: Final = (-40.0, 150.0)  # degrees; sensors that are not connected answer with nonsense


class Sensors:
    """Reads the machine; every call may block, so make it through a worker. Rates are since the call before."""

    def __init__(self) -> None:
        self._network: tuple[int, int, int] | None = None  # us, bytes sent, bytes received
        self._disk: tuple[int, int, int] | None = None  # us, bytes read, bytes written
        self._processor = _processor()

    def read(self, time: int) -> dict[str, Value]:
        """All that this machine can tell, by metric; what it has no sensor for is left out."""
        before, self._processor = self._processor, _processor()
        values: dict[str, Value] = {
            "cpu_percent": _percent(before, self._processor),
            "memory_percent": float(psutil.virtual_memory().percent),
            "load1": psutil.getloadavg()[0],
            "disk_percent": float(psutil.disk_usage("/").percent),
            "temperature": _hottest(),
        }
        network = psutil.net_io_counters()
        if network is not None:
            now = (time, network.bytes_sent, network.bytes_recv)
            values["net_sent_bytes_s"], values["net_recv_bytes_s"] = _rates(self._network, now)
            self._network = now
        disk = psutil.disk_io_counters()
        if disk is not None:
            now = (time, disk.read_bytes, disk.write_bytes)
            values["disk_read_bytes_s"], values["disk_write_bytes_s"] = _rates(self._disk, now)
            self._disk = now
        return values

    def describe(self) -> dict[str, Plain]:
        """What the machine says of itself."""
        return {
            "name": platform.node(), "system": platform.platform(terse=True), "machine": platform.machine(),
            "processors": psutil.cpu_count() or 0, "memory_bytes": psutil.virtual_memory().total,
        }  # fmt: skip


#: Beyond the shipped model, which is open: not every machine tells of its disks.
EXTRA: Final = (
    Metric("disk_read_bytes_s", "B/s", ValueType("float64")),
    Metric("disk_write_bytes_s", "B/s", ValueType("float64")),
)


class Host:
    """A source over this machine's sensors; a metric it cannot measure is not declared."""

    def __init__(self, model: Model, worker: Worker, sensors: Sensors, has: frozenset[str], period: float) -> None:
        self.model = model.name
        self.period = period
        self.commands: Mapping[str, CommandSpec] = model.commands
        every = [*model.metrics.values(), *(metric for metric in EXTRA if metric.name not in model.metrics)]
        self._names = [metric.name for metric in every if metric.name in has]
        self.metrics = tuple(
            Declared(metric.name, metric.unit, str(metric.type)) for metric in every if metric.name in has
        )
        self.handlers: Mapping[str, Handler] = {"set_interval": self._set_interval, "identify": self._identify}
        self._worker = worker
        self._sensors = sensors
        self._about: Mapping[str, Plain] = {}

    @classmethod
    async def find(cls, model: Model, worker: Worker, time: int, period: float = 1.0) -> "Host":
        """Look at what this machine can measure."""
        sensors = await worker.run(Sensors)
        first = await worker.run(sensors.read, time)
        host = cls(
            model, worker, sensors, frozenset(name for name, value in first.items() if value is not None), period
        )
        host._about = await worker.run(sensors.describe)
        return host

    @property
    def properties(self) -> Mapping[str, Plain]:
        return {"interval": self.period, **self._about}

    def set_property(self, name: str, value: Plain) -> bool:
        if name != "interval" or not isinstance(value, int | float) or not 0.1 <= value <= LONGEST_PERIOD:
            return False
        self.period = float(value)
        return True

    async def sample(self, time: int) -> Sequence[Numbered]:
        values = await self._worker.run(self._sensors.read, time)
        return [Row(0, time, [values.get(name) for name in self._names])]

    async def _set_interval(self, args: Arguments, progress: Progress) -> Plain:
        before, self.period = self.period, float(args["seconds"])
        return {"before": before, "now": self.period}

    async def _identify(self, args: Arguments, progress: Progress) -> Plain:
        return await self._worker.run(self._sensors.describe)


def _rates(before: tuple[int, int, int] | None, now: tuple[int, int, int]) -> tuple[Value, Value]:
    """Bytes a second of both counters; 0 at first, and when a counter began anew."""
    if before is None or now[0] <= before[0]:
        return 0.0, 0.0
    seconds = (now[0] - before[0]) / 1e6
    return max(0.0, (now[1] - before[1]) / seconds), max(0.0, (now[2] - before[2]) / seconds)


def _processor() -> tuple[float, float]:
    """Seconds since the boot, of all processors together: at work, and in all. (``psutil.cpu_percent`` remembers the
    call before by thread, and a worker's calls come from any.)"""
    times = psutil.cpu_times()
    total = sum(times) - getattr(times, "guest", 0.0) - getattr(times, "guest_nice", 0.0)  # Linux: in user and nice
    return total - times.idle - getattr(times, "iowait", 0.0), total


def _percent(before: tuple[float, float], now: tuple[float, float]) -> float:
    """Of the processors' time that was used; 0 where no tick lies between."""
    worked, total = now[0] - before[0], now[1] - before[1]
    return min(100.0, max(0.0, round(100 * worked / total, 1))) if total > 0 else 0.0


def _hottest() -> Value:
    """The highest plausible temperature of all sensors, None where there are none."""
    read = getattr(psutil, "sensors_temperatures", None)  # not on every system
    try:
        found = read() if read is not None else {}
    except OSError:
        return None
    low, high = PLAUSIBLE
    temperatures = [float(each.current) for group in found.values() for each in group if low < each.current < high]
    return max(temperatures, default=None)
