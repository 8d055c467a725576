"""A centrifugal pump: affinity laws for flow, head and current; vibration sampled hundreds of times a second."""

import math
from collections.abc import Mapping

import numpy as np
import trio

from devices.models.base import Arguments, Physics, Progress
from devices.signals import Floats, noise, noises, uniform, walk
from devices.source import Handler
from hub.wire.messages import Columns, Plain, Regular, Value

RATED = 1_450.0  # 1/min
RAMP = 400.0  # 1/min gained or lost in a second
FLOW, PRESSURE, CURRENT = 28.0, 3_200.0, 21.0  # l/s, hPa, A at the rated speed
BLADES = 5
RATE = 200  # vibration readings a second and axis
LONGEST = 2_000  # readings at once and axis: three columns of float32 fit a frame twice
MIN_SPEED, MAX_SPEED = 300.0, 3_600.0


class Pump(Physics):
    """Speed follows the set speed along a ramp. Imbalance shakes at the speed of rotation, blades at five times that;
    both grow with the square of the speed, and slowly with wear."""

    MODEL = "pump"
    BULK = ("vibration_x", "vibration_y", "vibration_z")

    def __init__(self, seed: int, rate: int = RATE) -> None:
        super().__init__(seed)
        self._shake, self._wear, self._load = self.seeds("shake", "wear", "load")
        self._step = 1_000_000 // rate
        self._upto: int | None = None  # index of the next vibration reading, counted in steps since 1970
        self._phase = 0.0
        self.set_speed = RATED * (0.85 + 0.3 * uniform(self.seed, 1))
        self.speed = self.set_speed
        self._on = True
        self._bearing = 48.0
        self.properties.update(set_speed=round(self.set_speed, 1), rate=rate)

    def _second(self, second: int) -> None:
        wanted = self.target
        self.speed += max(-RAMP, min(RAMP, wanted - self.speed))
        share = self.speed / RATED
        warm = 22.0 + 3.0 * walk(self._load, second, 9_000.0) + (26.0 + 8.0 * self._worn(second)) * share**1.5
        self._bearing += (warm - self._bearing) / 400.0

    @property
    def target(self) -> float:
        """The speed it ramps to."""
        return self.set_speed if self._on else 0.0

    @property
    def state(self) -> str:
        """What the drive does."""
        if abs(self.speed - self.target) < 1.0:
            return "running" if self._on else "stopped"
        return "starting" if self.target > self.speed else "stopping"

    def _worn(self, time: float) -> float:
        return 0.5 + 0.5 * walk(self._wear, time, 200_000.0)

    def measure(self, time: float) -> dict[str, Value]:
        self.pass_time(time)
        share = self.speed / RATED
        load = 1.0 + 0.05 * walk(self._load, time, 120.0)
        tick = int(time * 10)
        hiss = 1.0 + 0.004 * noise(self._load, tick)
        return {
            "speed": max(0.0, self.speed * (1.0 + 0.001 * noise(self._shake, tick))),
            "flow": FLOW * share * load * hiss,
            "pressure": PRESSURE * share**2 * (2.0 - load) * hiss,
            "bearing_temperature": self._bearing + 0.05 * noise(self._wear, tick),
            "motor_current": CURRENT * (0.08 * (share > 0.01) + 0.92 * share**3) * load * hiss,
            "state": self.state,
        }

    def bulk(self, start: int, until: int) -> Columns | None:
        first = start // self._step if self._upto is None else self._upto
        last = until // self._step
        first = max(first, last - LONGEST)  # after a pause the latest are worth more
        count = last - first
        if count <= 0:
            return None
        self._upto = last
        axes = self._vibration(first, count)
        return Columns(0, Regular(first * self._step, self._step, count), list(enumerate(axes)))

    def _vibration(self, first: int, count: int) -> list[np.ndarray[tuple[int], np.dtype[np.float32]]]:
        turn = 2.0 * math.pi * self.speed / 60.0 * self._step / 1e6  # radians between two readings
        phase = self._phase + turn * np.arange(1, count + 1)
        self._phase = float(phase[-1]) % (2.0 * math.pi * 1_000)
        share = self.speed / RATED
        swing = share**2 * (3.0 + 4.0 * self._worn(first * self._step / 1e6))
        once, blades = np.sin(phase), np.sin(BLADES * phase)
        hiss: Floats = noises(self._shake, first, 3 * count).reshape(3, count) * (0.05 + 0.5 * share)
        x = swing * once + 0.8 * share**2 * blades + hiss[0]
        y = 0.8 * swing * np.cos(phase) + 0.8 * share**2 * blades + hiss[1] + 9.81
        z = 0.25 * swing * np.sin(2.0 * phase) + hiss[2]
        return [axis.astype(np.float32) for axis in (x, y, z)]

    def set_property(self, name: str, value: Plain) -> bool:
        if name != "set_speed" or not isinstance(value, int | float) or not MIN_SPEED <= value <= MAX_SPEED:
            return False
        self.set_speed = self.properties["set_speed"] = float(value)
        return True

    @property
    def handlers(self) -> Mapping[str, Handler]:
        return {"start": self._start, "stop": self._stop, "set_speed": self._set}

    async def _start(self, args: Arguments, progress: Progress) -> Plain:
        self._on = True
        return await self._ramp(progress)

    async def _stop(self, args: Arguments, progress: Progress) -> Plain:
        self._on = False
        return await self._ramp(progress)

    async def _set(self, args: Arguments, progress: Progress) -> Plain:
        self.set_property("set_speed", args["speed"])
        return await self._ramp(progress)

    async def _ramp(self, progress: Progress) -> Plain:
        """Answers when the ramp is over, and tells once a second how far it is."""
        left = seconds = abs(self.target - self.speed) / RAMP
        while left > 0.0:
            await trio.sleep(min(1.0, left))
            left -= 1.0
            progress({"percent": round(100.0 * min(1.0, 1.0 - left / seconds))})
        return {"speed": round(self.target, 1)}
