"""Air in a room: people come and go, breathe and bring dust; air is exchanged with the outside."""

import math
from collections.abc import Mapping

import trio

from devices.models.base import Arguments, Physics, Progress
from devices.signals import DAY, burst, diurnal, noise, uniform, walk
from devices.source import CommandFailed, Handler
from hub.wire.messages import Plain, Value

OUTSIDE = 420.0  # ppm of carbon dioxide
BREATH = 0.018  # m3 of carbon dioxide that a person breathes out in an hour
AVERAGING = 2.0  # seconds a calibration takes


class AirQuality(Physics):
    """Carbon dioxide by a mass balance of people and ventilation; particles and vapours by what people do."""

    MODEL = "air-quality"

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self._people, self._dust, self._cook, self._probe = self.seeds("people", "dust", "cook", "probe")
        self._volume = 60.0 + 140.0 * uniform(self.seed, 1)  # m3
        self._seats = 2 + int(self._volume / 25.0)
        self._exchange = 0.8 + 1.8 * uniform(self.seed, 2)  # of the room's air in an hour
        self._co2 = OUTSIDE
        self._offset = 0.0  # ppm, by calibration
        self._fan = "auto"
        self._dust_seen = self._vapour_seen = math.nan  # what the fan drew past the sensors
        self.properties["fan"] = self._fan

    def occupants(self, time: float) -> float:
        """People in the room: most at work hours, fewer at weekends, moving between rooms."""
        weekend = (int(time // DAY) + 3) % 7 >= 5  # the first of January 1970 was a Thursday
        hours = max(0.0, diurnal(time, 12.5) + 0.35)
        coming = 0.6 + 0.4 * walk(self._people, time, 1_500.0)
        return self._seats * min(1.0, hours) * coming * (0.1 if weekend else 1.0) + 0.3

    def _begin(self, second: int) -> None:
        inflow = self.occupants(second) * BREATH / self._volume * 1e6
        self._co2 = OUTSIDE + inflow / self._exchange  # as if people had been there long enough

    def _second(self, second: int) -> None:
        inflow = self.occupants(second) * BREATH / self._volume * 1e6
        self._co2 += (inflow - self._exchange * (self._co2 - OUTSIDE)) / 3600.0

    def measure(self, time: float) -> dict[str, Value]:
        self.pass_time(time)
        people = self.occupants(time)
        tick = int(time * 10)
        cooking = math.sin(math.pi * burst(self._cook, time, 10_000.0, 900.0))
        if self._fan != "off" or math.isnan(self._dust_seen):  # still air tells nothing new
            hiss = {"high": 0.02, "low": 0.06}.get(self._fan, 0.04)
            self._dust_seen = (6.0 + 4.0 * walk(self._dust, time, 5_000.0) + 0.8 * people + 30.0 * cooking) * (
                1.0 + hiss * noise(self._dust, tick)
            )
            self._vapour_seen = 90.0 + 14.0 * people + 500.0 * cooking + 8.0 * noise(self._cook, tick)
        return {
            "co2": self._co2 + self._offset + 4.0 * noise(self._probe, tick),
            "pm2_5": max(0.0, self._dust_seen),
            "pm10": max(0.0, 1.7 * self._dust_seen),
            "tvoc": max(0.0, self._vapour_seen),
            "temperature": 21.0 + 1.2 * diurnal(time, 16.0) + 0.12 * people + 0.03 * noise(self._probe ^ 1, tick),
            "humidity": 42.0 + 6.0 * walk(self._probe, time, 15_000.0) + 0.6 * people,
        }

    def set_property(self, name: str, value: Plain) -> bool:
        if name != "fan" or value not in ("off", "low", "high", "auto"):
            return False
        self._fan = str(value)
        self.properties["fan"] = value
        return True

    @property
    def handlers(self) -> Mapping[str, Handler]:
        return {"calibrate": self._calibrate, "set_fan": self._set_fan}

    async def _set_fan(self, args: Arguments, progress: Progress) -> Plain:
        self.set_property("fan", args["mode"])
        if self._fan == "off":
            self.event("warning", "the fan is off: particles and vapours are not measured anew")
        return {"fan": self._fan}

    async def _calibrate(self, args: Arguments, progress: Progress) -> Plain:
        if self._fan == "off":
            raise CommandFailed("the fan is off; switch it on (set_fan) so that fresh air reaches the sensor")
        progress({"percent": 0})
        await trio.sleep(AVERAGING)
        before, self._offset = self._offset, args["reference"] - self._co2
        self.properties["co2_offset"] = round(self._offset, 1)
        return {"shift": round(self._offset - before, 1)}
