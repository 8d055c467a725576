"""A weather station: sun, clouds and fronts drive everything else. Nothing has a state: all is a function of time."""

import math
from collections.abc import Mapping

from devices.models.base import Arguments, Physics, Progress
from devices.signals import DAY, burst, diurnal, noise, uniform, walk
from devices.source import Handler
from hub.wire.messages import Plain, Value

FRONT = 40_000.0  # seconds a front takes to pass: half a day
GUST = 25.0  # seconds between gusts


class WeatherStation(Physics):
    """Clear days are warm, dry and bright; clouds damp the sun and the swing of the day; rain falls from them."""

    MODEL = "weather-station"

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self._front, self._gust, self._turn, self._rain, self._cloud, self._fine = self.seeds(
            "front", "gust", "turn", "rain", "cloud", "fine"
        )
        self._height = 250.0 * uniform(self.seed, 1)  # metres above the sea
        self._noon = 11.5 + uniform(self.seed, 2)  # hour (UTC) at which the sun is highest
        self._climate = 12.0 + 8.0 * uniform(self.seed, 3)  # mean temperature of the year
        self._offsets = {"temperature": 0.0, "humidity": 0.0, "pressure": 0.0}

    def measure(self, time: float) -> dict[str, Value]:
        self.now = time
        second = math.floor(time)
        front = walk(self._front, time, FRONT)  # -1 low with clouds, 1 high and clear
        shower = burst(self._rain, time, 5 * 3600.0, 2400.0)
        rain = max(0.0, math.sin(math.pi * shower) * (2.0 - 8.0 * front))
        clouds = min(1.0, max(0.0, 0.5 - 0.6 * front + 0.2 * walk(self._cloud, time, 300.0)) + (0.3 if rain else 0.0))
        sun = max(0.0, diurnal(time, self._noon) + 0.25 * self._season(time))
        swing = 6.0 * (1.2 - clouds)
        warmth = self._climate + 9.0 * self._season(time) + swing * diurnal(time, self._noon + 2.5) + 3.0 * front
        temperature = warmth - 0.0065 * self._height - 0.4 * rain**0.5 + 0.05 * noise(self._fine, second)
        humidity = 62.0 + 25.0 * clouds - 2.2 * swing * diurnal(time, self._noon + 2.5) + 3.0 * rain
        pressure = 1015.0 + 14.0 * front - self._height / 8.3 + 0.02 * noise(self._fine ^ 1, second)
        gust = walk(self._gust, time, GUST)
        wind = max(0.0, 4.0 - 3.0 * front + (2.0 + rain / 6.0) * gust)
        return {
            "temperature": temperature + self._offsets["temperature"],
            "humidity": min(100.0, max(5.0, humidity + self._offsets["humidity"])),
            "pressure": pressure + self._offsets["pressure"],
            "wind_speed": wind,
            "wind_direction": (240.0 + 150.0 * walk(self._turn, time, FRONT / 4) + 12.0 * gust) % 360.0,
            "rain_rate": rain,
            "irradiance": 850.0 * sun * (1.0 - 0.75 * clouds),
            "battery": 78.0 + 14.0 * diurnal(time, self._noon + 5.0) - 10.0 * clouds,
        }

    @staticmethod
    def _season(time: float) -> float:
        """1 in the middle of July, -1 in the middle of January."""
        return math.cos(2.0 * math.pi * (time / DAY - 196.0) / 365.25)

    @property
    def handlers(self) -> Mapping[str, Handler]:
        return {"calibrate": self._calibrate}

    async def _calibrate(self, args: Arguments, progress: Progress) -> Plain:
        metric, offset = args["metric"], args["offset"]
        self._offsets[metric] += offset
        self.properties[f"offset_{metric}"] = self._offsets[metric]
        return {"metric": metric, "offset": self._offsets[metric]}
