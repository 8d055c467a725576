"""Numbers for what a reading belongs to: device, metric, unit and type become one small integer, once per birth."""

from collections.abc import Iterable
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from hub.model import ModelError, ValueType
from hub.wire.kept import Birth
from hub.wire.messages import Declared

#: Metrics of births whose plans are kept at hand, 100 bytes each, beyond two for each series: devices that are born
#: again and again. Plans are made again when they are needed.
METRICS_REMEMBERED: Final = 500_000


class Series(NamedTuple):
    """One metric of one device in one unit and type. ``number`` counts from 0, in the order of first sight."""

    number: int
    device: str
    metric: str
    unit: str
    type: str

    @property
    def is_text(self) -> bool:
        return self.type == "text"


class Shape:
    """Births with equally many metrics, the same ones of them texts: their rows become one matrix.

    Line ``slot`` of the tables belongs to one birth: the series of its metrics, what to divide their values by, and
    the number of its device.
    """

    def __init__(self, width: int, texts: frozenset[int]) -> None:
        self.width = width
        self.texts = texts
        self.numbers = [index for index in range(width) if index not in texts]
        self._series: list[list[int]] = []
        self._divisors: list[list[float]] = []
        self._devices: list[int] = []
        self._tables: tuple[npt.NDArray[np.uint32], npt.NDArray[np.float64], npt.NDArray[np.uint32]] | None = None
        self.scaled = False  # any divisor other than 1

    def add(self, device: int, series: list[int], divisors: list[float]) -> int:
        """Give a birth its slot."""
        self._series.append(series)
        self._divisors.append(divisors)
        self._devices.append(device)
        self._tables = None
        self.scaled = self.scaled or any(divisor != 1.0 for divisor in divisors)
        return len(self._devices) - 1

    def tables(self) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.float64], npt.NDArray[np.uint32]]:
        """Series and divisors by slot and metric, device by slot."""
        if self._tables is None:
            self._tables = (
                np.array(self._series, dtype=np.uint32).reshape(-1, self.width),
                np.array(self._divisors, dtype=np.float64).reshape(-1, self.width),
                np.array(self._devices, dtype=np.uint32),
            )
        return self._tables


class Plan(NamedTuple):
    """How readings of one birth are stored, by metric index."""

    shape: Shape
    slot: int
    device: int
    series: list[int]
    divisors: list[float]


class SeriesBook:
    """All series and devices of a store. What is new stays ``fresh`` until the store has committed it."""

    def __init__(self) -> None:
        self._series: dict[tuple[str, str, str, str], Series] = {}
        self._devices: dict[str, int] = {}
        self._plans: dict[int, Plan] = {}
        self._planned = 0  # metrics in them
        self._shapes: dict[tuple[int, frozenset[int]], Shape] = {}
        self.fresh_series: list[Series] = []
        self.fresh_devices: list[tuple[int, str]] = []

    def load(self, series: Iterable[Series], devices: Iterable[tuple[int, str]]) -> None:
        """Start from what the store holds."""
        self.__init__()  # type: ignore[misc]
        self._series = {(one.device, one.metric, one.unit, one.type): one for one in series}
        self._devices = {name: number for number, name in devices}

    def plan(self, birth: Birth) -> Plan:
        """The plan of a birth; new series get their numbers now."""
        plan = self._plans.get(birth.id)
        if plan is None:
            if self._planned >= METRICS_REMEMBERED + 2 * len(self._series):
                self._forget_plans()
            self._planned += len(birth.metrics) + 1
            plan = self._plans[birth.id] = self._make(birth)
        return plan

    def one(self, device: str, metric: Declared) -> tuple[int, int, float]:
        """Numbers of a device and of one of its series, and what to divide raw values by."""
        return self._device(device), self._number(device, *metric), _divisor(metric.type)

    def committed(self) -> None:
        """What was fresh is in the store now."""
        self.fresh_series, self.fresh_devices = [], []

    def forget(self) -> None:
        """The transaction was rolled back: numbers given in it are free again."""
        for one in self.fresh_series:
            del self._series[one.device, one.metric, one.unit, one.type]
        for _, name in self.fresh_devices:
            del self._devices[name]
        self._forget_plans()
        self.committed()

    def select(self, devices: Iterable[str] | None, metrics: Iterable[str] | None) -> list[Series]:
        """The series of these devices and metrics (``None``: of all), by number. Safe beside the other calls."""
        wanted_devices = None if devices is None else set(devices)
        wanted_metrics = None if metrics is None else set(metrics)
        return [
            one
            for one in list(self._series.values())
            if (wanted_devices is None or one.device in wanted_devices)
            and (wanted_metrics is None or one.metric in wanted_metrics)
        ]

    def __len__(self) -> int:
        return len(self._series)

    def _forget_plans(self) -> None:
        self._plans.clear()
        self._shapes.clear()
        self._planned = 0

    def _make(self, birth: Birth) -> Plan:
        device = self._device(birth.device)
        series = [self._number(birth.device, *metric) for metric in birth.metrics]
        divisors = [_divisor(metric.type) for metric in birth.metrics]
        texts = frozenset(index for index, metric in enumerate(birth.metrics) if metric.type == "text")
        width = len(birth.metrics)
        shape = self._shapes.get((width, texts))
        if shape is None:
            shape = self._shapes[width, texts] = Shape(width, texts)
        return Plan(shape, shape.add(device, series, divisors), device, series, divisors)

    def _device(self, name: str) -> int:
        number = self._devices.get(name)
        if number is None:
            number = self._devices[name] = len(self._devices)
            self.fresh_devices.append((number, name))
        return number

    def _number(self, device: str, metric: str, unit: str, kind: str) -> int:
        found = self._series.get((device, metric, unit, kind))
        if found is None:
            found = Series(len(self._series), device, metric, unit, kind)
            self._series[device, metric, unit, kind] = found
            self.fresh_series.append(found)
        return found.number


def _divisor(kind: str) -> float:
    try:
        return float(10 ** ValueType.parse(kind).scale)
    except ModelError:
        return 1.0  # a type this version does not know: its readings were rejected, or are plain numbers
