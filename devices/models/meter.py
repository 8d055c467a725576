"""An electricity meter: appliances that come and go, sunshine on the roof of some, and a counter that only rises."""

import math
from collections.abc import Mapping

from devices.models.base import Arguments, Physics, Progress
from devices.signals import diurnal, noise, on_duty, uniform, walk
from devices.source import Handler
from hub.wire.messages import Plain, Value

STARTED = 1_577_836_800  # 2020-01-01: when the meters were put in
#: Appliances: watts, seconds of a cycle, share of it they run, power factor.
APPLIANCES = (
    (95.0, 2_700.0, 0.35, 0.82),  # fridge
    (2_000.0, 14_400.0, 0.02, 1.0),  # kettle
    (1_800.0, 30_000.0, 0.12, 0.97),  # washing machine
    (120.0, 9_000.0, 0.5, 0.93),  # screens
    (7_200.0, 80_000.0, 0.15, 0.99),  # car
)


class PowerMeter(Physics):
    """Power is the sum of what is switched on; voltage sags with it; energy is its integral."""

    MODEL = "power-meter"

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self._base, self._grid, self._voltage, self._cloud = self.seeds("base", "grid", "voltage", "cloud")
        self._switches = self.seeds(*(f"appliance{number}" for number in range(len(APPLIANCES))))
        self._has_car = uniform(self.seed, 1) < 0.3
        self._peak_sun = 4_500.0 if uniform(self.seed, 2) < 0.25 else 0.0  # watts of the panels on the roof
        self._energy = 0.0  # kWh drawn from the grid
        self._power = self._factor = 0.0

    def _begin(self, second: int) -> None:
        self._energy = max(0.0, (second - STARTED) / 3600.0 * (0.35 + 0.2 * uniform(self.seed, 3)))
        self._power, self._factor = self._load(second)

    def _second(self, second: int) -> None:
        self._power, self._factor = self._load(second + 1)
        self._energy += max(0.0, self._power) / 3.6e6  # fed in is not counted back

    def _load(self, second: int) -> tuple[float, float]:
        """Watts drawn and the power factor."""
        watts = 60.0 + 140.0 * max(0.0, diurnal(second, 20.0)) + 30.0 * walk(self._base, second, 90.0)
        apparent = watts / 0.9
        for (power, period, share, factor), seed in zip(APPLIANCES, self._switches, strict=True):
            if (power < 5_000.0 or self._has_car) and on_duty(seed, second, period, share):
                now = power * (1.0 + 0.01 * noise(seed, second))
                watts += now
                apparent += now / factor
        sun = self._peak_sun * max(0.0, diurnal(second, 12.5)) * (0.65 + 0.35 * walk(self._cloud, second, 400.0))
        return watts - sun, math.copysign(watts / apparent, watts - sun)

    def measure(self, time: float) -> dict[str, Value]:
        self.pass_time(time)
        tick = int(time * 10)
        voltage = 231.0 + 3.0 * walk(self._voltage, time, 1_200.0) - self._power / 2_500.0
        voltage += 0.2 * noise(self._voltage, tick)
        power = self._power + 2.0 * noise(self._base, tick)
        return {
            "voltage": voltage,
            "current": abs(power / (voltage * self._factor)),
            "power": power,
            "power_factor": self._factor,
            "frequency": 50.0 + 0.03 * walk(self._grid, time, 45.0),
            "energy": self._energy,
        }

    @property
    def handlers(self) -> Mapping[str, Handler]:
        return {"reset_energy": self._reset}

    async def _reset(self, args: Arguments, progress: Progress) -> Plain:
        before, self._energy = self._energy, 0.0
        return {"before": round(before, 3)}
