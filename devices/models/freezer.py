"""A cold-chain freezer: a heat balance, a compressor with hysteresis, a door that people open, and defrosting."""

from collections.abc import Mapping

from devices.models.base import Arguments, Physics, Progress
from devices.signals import burst, noise, uniform, walk
from devices.source import Handler
from hub.wire.messages import Plain, Value

HEAT_CAPACITY = 42_000.0  # J/K of the goods and the air around them
LOSS = 3.0  # W/K through the walls
DOOR_LOSS = 55.0  # W/K more with the door open
COOLING = 420.0  # W that the compressor moves out
COMPRESSOR_POWER = 310.0  # W it takes
HEATER = 450.0  # W while defrosting
HYSTERESIS = 0.8  # K around the setpoint
DEFROST_EVERY = 8 * 3600  # seconds
DEFROST_LASTS = 600  # seconds
ALARM_ABOVE = 8.0  # K above the setpoint


class Freezer(Physics):
    """Warms through its walls and its door, cools while the compressor runs; frost is melted off every eight hours."""

    MODEL = "cold-chain-freezer"

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self._room, self._door, self._probe = self.seeds("room", "door", "probe")
        self.setpoint = -20.0 - round(4.0 * uniform(self.seed, 1)) / 2.0
        self.properties["setpoint"] = self.setpoint
        self._inside = self.setpoint
        self._evaporator = self.setpoint - 5.0
        self._compressor = False
        self._defrost_left = 0
        self._door_open = False
        self._alarm = False

    def _begin(self, second: int) -> None:
        self._inside = self.setpoint + HYSTERESIS * (2.0 * uniform(self.seed, 2) - 1.0)
        self._compressor = uniform(self.seed, 3) < 0.35

    def _second(self, second: int) -> None:
        self._switch(second)
        room = 21.0 + 3.0 * walk(self._room, second, 20_000.0)
        watts = (LOSS + (DOOR_LOSS if self._door_open else 0.0)) * (room - self._inside)
        if self._defrost_left:
            watts += 6.0 * max(0.0, self._evaporator - self._inside)
            self._evaporator += (9.0 - self._evaporator) / 150.0
        elif self._compressor:
            watts -= COOLING
            self._evaporator += (self._inside - 9.0 - self._evaporator) / 60.0
        else:
            self._evaporator += (self._inside - self._evaporator) / 240.0
        self._inside += watts / HEAT_CAPACITY

    def _switch(self, second: int) -> None:
        """Door, defrosting and compressor, as their controllers decide."""
        opened = burst(self._door, second, 1500.0, 70.0) > 0.0
        if opened != self._door_open:
            self._door_open = opened
            self.event("info", "door opened" if opened else "door closed")
        if self._defrost_left:
            self._defrost_left -= 1
            if not self._defrost_left:
                self.event("info", "defrosting ended")
        elif (second + self.seed % DEFROST_EVERY) % DEFROST_EVERY == 0:
            self.defrost(DEFROST_LASTS)
        if self._defrost_left or self._inside < self.setpoint - HYSTERESIS:
            self._compressor = False
        elif self._inside > self.setpoint + HYSTERESIS:
            self._compressor = True
        alarm = self._inside > self.setpoint + ALARM_ABOVE
        if alarm and not self._alarm:
            self.event("error", f"too warm: {self._inside:.1f} Cel, setpoint {self.setpoint:.1f} Cel")
        self._alarm = alarm

    def measure(self, time: float) -> dict[str, Value]:
        self.pass_time(time)
        power = 12.0 + (25.0 if self._door_open else 0.0)  # controller; light
        power += HEATER if self._defrost_left else COMPRESSOR_POWER if self._compressor else 0.0
        return {
            "temperature": self._inside + 0.02 * noise(self._probe, int(time * 10)),
            "evaporator_temperature": self._evaporator + 0.05 * noise(self._probe ^ 1, int(time * 10)),
            "setpoint": self.setpoint,
            "door_open": self._door_open,
            "compressor": self._compressor,
            "power": power * (1.0 + 0.01 * noise(self._probe ^ 2, int(time))),
            "state": self.state,
        }

    @property
    def state(self) -> str:
        """What the controller does."""
        if self._defrost_left:
            return "defrosting"
        return "alarm" if self._alarm else "cooling" if self._compressor else "idle"

    def defrost(self, seconds: int) -> None:
        """Warm the evaporator up for that long."""
        self._defrost_left = max(1, seconds)
        self._compressor = False
        self.event("info", f"defrosting for {seconds} s")

    def set_property(self, name: str, value: Plain) -> bool:
        if name != "setpoint" or not isinstance(value, int | float) or not -40.0 <= value <= 10.0:
            return False
        self.setpoint = self.properties["setpoint"] = float(value)
        return True

    @property
    def handlers(self) -> Mapping[str, Handler]:
        return {"defrost": self._defrost, "set_setpoint": self._set_setpoint}

    async def _defrost(self, args: Arguments, progress: Progress) -> Plain:
        seconds = round(60.0 * args["minutes"])
        self.defrost(seconds)
        return {"seconds": seconds}

    async def _set_setpoint(self, args: Arguments, progress: Progress) -> Plain:
        before = self.setpoint
        self.set_property("setpoint", args["temperature"])
        return {"before": before, "now": self.setpoint}
