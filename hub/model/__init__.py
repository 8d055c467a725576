"""Device models: metrics, units, value types, limits and typed commands, and the TOML they are written in."""

from hub.model.arguments import check_arguments, parse_arguments
from hub.model.model import Argument, CommandSpec, Metric, Model, ModelError, ValueType
from hub.model.reading import load_models, parse_model
from hub.model.shipped import shipped

__all__ = [
    "Argument", "CommandSpec", "Metric", "Model", "ModelError", "ValueType", "check_arguments", "load_models",
    "parse_arguments", "parse_model", "shipped",
]  # fmt: skip
