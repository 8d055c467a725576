"""Device models: the metrics a type of device has, their units, types and limits, and the commands it takes."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final

MAX_SCALE: Final = 15  # digits: beyond it 10^n no longer divides exactly in a double
MAX_INT: Final = 2**53  # whole numbers up to here are exact in a double, and so in every store
MAX_TEXT: Final = 256  # bytes of UTF-8 in a text argument, as in a text value
VALUE_TYPES: Final = ("float64", "float32", "int", "decimal(n)", "bool", "text")


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
        if text in VALUE_TYPES and text != "decimal(n)":
            return cls(text)
        found = re.fullmatch(r"decimal\(([0-9]{1,2})\)", text) if isinstance(text, str) else None
        if found is None or int(found[1]) > MAX_SCALE:
            raise ModelError(f"{text!r} is no value type: use one of {', '.join(VALUE_TYPES)}, n from 0 to {MAX_SCALE}")
        return cls("decimal", int(found[1]))

    @property
    def numeric(self) -> bool:
        """Is it stored as a number (a bool as 0 or 1)?"""
        return self.name != "text"

    def __str__(self) -> str:
        return f"decimal({self.scale})" if self.name == "decimal" else self.name


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

    def to_plain(self) -> dict[str, Any]:
        """As it travels to operators: plain maps and lists, what is not set left out."""
        return {
            "name": self.name,
            "description": self.description,
            "open": self.open,
            "metrics": [_plain(metric) for metric in self.metrics.values()],
            "commands": [
                {**_plain(spec), "arguments": [_plain(argument) for argument in spec.arguments]}
                for spec in self.commands.values()
            ],
        }

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> "Model":
        """Read what ``to_plain`` made; ModelError when it is no model."""
        try:
            metrics = [Metric(**{**entry, "type": ValueType.parse(entry["type"])}) for entry in plain["metrics"]]
            commands = [
                CommandSpec(entry["name"], tuple(map(_argument, entry["arguments"])), entry.get("description", ""))
                for entry in plain["commands"]
            ]
            return cls(
                name=plain["name"],
                description=plain["description"],
                open=plain["open"],
                metrics={metric.name: metric for metric in metrics},
                commands={spec.name: spec for spec in commands},
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise ModelError(f"this is no model of a device: {error!r}") from error


def _argument(plain: Mapping[str, Any]) -> Argument:
    choices = tuple(plain.get("choices", ()))
    return Argument(**{**plain, "type": ValueType.parse(plain["type"]), "choices": choices})


def _plain(thing: Metric | Argument | CommandSpec) -> dict[str, Any]:
    plain: dict[str, Any] = {}
    for entry in fields(thing):
        value = getattr(thing, entry.name)
        if isinstance(value, ValueType):
            plain[entry.name] = str(value)
        elif isinstance(value, tuple):
            plain[entry.name] = list(value)
        elif value is not None:
            plain[entry.name] = value
    return plain
