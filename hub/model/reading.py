"""Reads models from TOML. Whatever is wrong is said with file, key and what would be right."""

import re
import tomllib
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from hub.model.arguments import ArgumentRefused, check_argument
from hub.model.model import Argument, CommandSpec, Metric, Model, ModelError, ValueType
from hub.model.shipped import shipped
from hub.model.units import is_unit, nearest_unit

NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")  # as on the wire: safe in every store, subject and file
MAX_METRICS: Final = 1_024  # per device, as on the wire
MODEL_KEYS: Final = ("name", "description", "open", "metrics", "commands")
METRIC_KEYS: Final = ("unit", "type", "min", "max", "warn_min", "warn_max", "description")
COMMAND_KEYS: Final = ("description", "arguments")
ARGUMENT_KEYS: Final = ("type", "required", "default", "min", "max", "choices", "unit", "description")
ARGUMENT_TYPES: Final = ("float64", "int", "bool", "text")


def load_models(directory: Path | None = None) -> dict[str, Model]:
    """Every ``*.toml`` of a directory, by model name; the shipped models when ``directory`` is ``None``."""
    folder = shipped("models") if directory is None else directory
    if not folder.is_dir():
        raise ModelError(f"{folder}: no such directory; name the one that holds your models' *.toml files")
    models: dict[str, Model] = {}
    for path in sorted(folder.glob("*.toml")):
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ModelError(f"{path}: cannot be read: {error}") from error
        model = parse_model(text, str(path))
        if model.name in models:
            raise ModelError(f"{path}: name: there is another model {model.name!r} in {folder}; rename one of them")
        models[model.name] = model
    return models


def parse_model(text: str, name: str) -> Model:
    """One model. ``name`` is the file: for messages, and its stem is the model's name where the text gives none."""
    try:
        tree = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ModelError(f"{name}: not TOML: {error}") from error
    table = _Table(name, "", tree)
    table.allow(MODEL_KEYS)
    title = table.text("name", Path(name).stem)
    table.check_name("name", title)
    metrics = {key: _metric(key, part) for key, part in table.tables("metrics")}
    commands = {key: _command(key, part) for key, part in table.tables("commands")}
    is_open = table.flag("open", False)
    if not metrics and not is_open:
        raise table.wrong("metrics", "has none; describe at least one as [metrics.NAME], or say open = true")
    if len(metrics) > MAX_METRICS:
        raise table.wrong("metrics", f"has {len(metrics)}; a device may have {MAX_METRICS}")
    return Model(title, table.text("description", ""), is_open, metrics, commands)


def _metric(name: str, table: "_Table") -> Metric:
    table.allow(METRIC_KEYS)
    unit = table.text("unit", "")
    if not is_unit(unit):
        near = nearest_unit(unit)
        hint = f"did you mean {near!r}?" if near else "see RFC 8428, section 12.1"
        raise table.wrong("unit", f"{unit!r} is no SenML unit; {hint}")
    kind = table.value_type()
    low, high, warn_low, warn_high = (table.number(key) for key in ("min", "max", "warn_min", "warn_max"))
    if not kind.numeric and (low, high, warn_low, warn_high) != (None,) * 4:
        raise table.wrong("min", "a text has no limits; leave min, max, warn_min and warn_max out")
    table.ascending(("min", low), ("warn_min", warn_low), ("warn_max", warn_high), ("max", high))
    return Metric(name, unit, kind, low, high, warn_low, warn_high, table.text("description", ""))


def _command(name: str, table: "_Table") -> CommandSpec:
    table.allow(COMMAND_KEYS)
    arguments = tuple(_argument(key, part) for key, part in table.tables("arguments"))
    return CommandSpec(name, arguments, table.text("description", ""))


def _argument(name: str, table: "_Table") -> Argument:
    table.allow(ARGUMENT_KEYS)
    kind = table.value_type()
    if kind.name not in ARGUMENT_TYPES:
        raise table.wrong("type", f"an argument is one of {', '.join(ARGUMENT_TYPES)}")
    choices = table.get("choices", [])
    if not isinstance(choices, list) or not all(isinstance(choice, str) for choice in choices):
        raise table.wrong("choices", 'must be a list of texts, such as ["slow", "fast"]')
    if choices and kind.name != "text":
        raise table.wrong("choices", 'only an argument of type = "text" has choices')
    default = table.get("default", None)
    required = table.flag("required", default is None)
    if required and default is not None:
        raise table.wrong("required", "an argument with a default is not required; leave one of the two out")
    low, high = table.number("min"), table.number("max")
    table.ascending(("min", low), ("max", high))
    texts = table.text("unit", ""), table.text("description", "")
    argument = Argument(name, kind, required, None, low, high, tuple(choices), *texts)
    if default is not None:
        try:
            default = check_argument(argument, default)
        except ArgumentRefused as error:
            raise table.wrong("default", str(error)) from error
    return Argument(name, kind, required, default, low, high, tuple(choices), *texts)


class _Table:
    """One table of a model's TOML: typed access, and errors that name file and key."""

    def __init__(self, file: str, path: str, content: Mapping[str, Any]) -> None:
        self._file, self._path, self._content = file, path, content

    def wrong(self, key: str, text: str) -> ModelError:
        return ModelError(f"{self._file}: {self._path}{key}: {text}")

    def get(self, key: str, default: Any) -> Any:
        return self._content.get(key, default)

    def allow(self, keys: Iterable[str]) -> None:
        allowed = tuple(keys)
        for key in self._content:
            if key not in allowed:
                near = get_close_matches(key, allowed, n=1, cutoff=0.5)
                hint = f"did you mean {near[0]!r}?" if near else f"allowed here: {', '.join(allowed)}"
                raise self.wrong(key, f"unknown key; {hint}")

    def text(self, key: str, default: str) -> str:
        value = self.get(key, default)
        if not isinstance(value, str):
            raise self.wrong(key, f"must be a text in quotes, not {value!r}")
        return value

    def flag(self, key: str, default: bool) -> bool:
        value = self.get(key, default)
        if not isinstance(value, bool):
            raise self.wrong(key, f"must be true or false, not {value!r}")
        return value

    def number(self, key: str) -> float | None:
        value = self.get(key, None)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float) or value - value != 0:
            raise self.wrong(key, f"must be a finite number, not {value!r}")
        return float(value)

    def value_type(self) -> ValueType:
        try:
            return ValueType.parse(self.text("type", "float64"))
        except ModelError as error:
            raise self.wrong("type", str(error)) from None

    def check_name(self, key: str, name: str) -> None:
        if NAME.fullmatch(name) is None:
            raise self.wrong(key, f"{name!r} is no name: up to 64 of A-Z a-z 0-9 . _ -, the first a letter or digit")

    def ascending(self, *limits: tuple[str, float | None]) -> None:
        given = [(key, value) for key, value in limits if value is not None]
        for (low_key, low), (high_key, high) in pairwise(given):
            if low > high:
                raise self.wrong(low_key, f"{low:g} is above {high_key} = {high:g}")

    def tables(self, key: str) -> list[tuple[str, "_Table"]]:
        content = self.get(key, {})
        if not isinstance(content, dict):
            raise self.wrong(key, f"must be tables, written [{self._path}{key}.NAME]")
        found = []
        for name, part in content.items():
            self.check_name(f"{key}.{name}", name)
            if not isinstance(part, dict):
                raise self.wrong(f"{key}.{name}", f"must be a table, written [{self._path}{key}.{name}]")
            found.append((name, _Table(self._file, f"{self._path}{key}.{name}.", part)))
        return found
