"""Device models: the metrics a type of device has, their units, types and limits, and the commands it takes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


class ModelError(ValueError):
    """A model's TOML is wrong; the text names the file, the key and what is allowed."""


@dataclass(frozen=True, slots=True)
class ValueType:
    """float64, float32, int, decimal(n), bool or text. ``scale``: digits after the point of a decimal."""

    name: str
    scale: int = 0

    @classmethod
    def parse(cls, text: str) -> "ValueType":
        """Read ``decimal(2)`` and the like; ModelError when it is none of them."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Metric:
    """What is measured. ``min`` and ``max`` are limits of the plausible: outside is rejected as out_of_range.
    ``warn_min`` and ``warn_max``: outside is stored, and shown to operators as a limit violation."""

    name: str
    unit: str
    type: ValueType
    min: float | None = None
    max: float | None = None
    warn_min: float | None = None
    warn_max: float | None = None
    description: str = ""


@dataclass(frozen=True, slots=True)
class Argument:
    """A typed argument of a command: type float64, int, bool or text."""

    name: str
    type: ValueType
    required: bool = True
    default: Any = None
    min: float | None = None
    max: float | None = None
    choices: tuple[str, ...] = ()
    unit: str = ""
    description: str = ""


@dataclass(frozen=True, slots=True)
class CommandSpec:
    name: str
    arguments: tuple[Argument, ...] = ()
    description: str = ""


@dataclass(frozen=True, slots=True)
class Model:
    """A type of device. ``open``: the device's birth is taken as the model, without limits."""

    name: str
    description: str = ""
    open: bool = False
    metrics: Mapping[str, Metric] = field(default_factory=dict)
    commands: Mapping[str, CommandSpec] = field(default_factory=dict)
