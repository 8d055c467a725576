"""The physics of simulated devices, one file a model. What a metric is called and its unit stand in configs/models."""

from devices.models.air import AirQuality
from devices.models.base import Physics
from devices.models.freezer import Freezer
from devices.models.meter import PowerMeter
from devices.models.pump import Pump
from devices.models.simulated import Simulated
from devices.models.weather import WeatherStation
from hub.model import Model, ModelError

PHYSICS: dict[str, type[Physics]] = {
    kind.MODEL: kind for kind in (WeatherStation, Freezer, PowerMeter, Pump, AirQuality)
}


def physics_of(model: Model, seed: int) -> Physics:
    """A new simulated device of that model; ModelError when no physics is known for it."""
    kind = PHYSICS.get(model.name)
    if kind is None:
        raise ModelError(f"no simulation for the model {model.name!r}; there is one for {', '.join(sorted(PHYSICS))}")
    return kind(seed)


__all__ = ["PHYSICS", "Physics", "Simulated", "physics_of"]
