"""Reads the settings: flag > environment (``TELEMETRIO_SECTION__KEY``) > file > default, all errors told at once."""

import os
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError
from pydantic_settings import EnvSettingsSource, SettingsError

from hub.mistakes import ENVIRONMENT, explain, near
from hub.settings import Settings, address

LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})


class ConfigError(Exception):
    """The settings cannot be used; one line for each thing that is wrong, each saying what to write instead."""


def find() -> Path | None:
    """The settings file when none is named: the same that the commands for operators find."""
    from hub.client.files import find_file

    return find_file(None, os.environ)


def load(path: Path | None = None, overrides: Mapping[str, Any] | None = None) -> Settings:
    """Read file and environment; ``overrides`` (``{"hub": {"listen": ...}}``) are the command line's flags.

    Raises ConfigError with one line for each mistake.
    """
    path = path or find()
    environment, problems = _environment()
    sources = (("the command line", overrides or {}), (ENVIRONMENT, environment), (str(path), _read(path)))
    merged: dict[str, Any] = {}
    for _, content in reversed(sources):
        merged = _merge(merged, content)
    problems += [f"{name}: base: unknown setting; remove it" for name, content in sources if "base" in content]
    merged["base"] = path.parent if path else Path()
    settings: Settings | None = None
    try:
        settings = Settings(**merged)
    except ValidationError as error:
        problems += explain(error, Settings, sources)
        settings = _rest(merged, error)
    problems += _contradictions(settings) if settings is not None else ()
    if settings is None or problems:
        raise ConfigError("\n".join(problems))
    return settings


def origins(path: Path | None = None) -> dict[str, str]:
    """Where each setting (``section.key``) comes from that is not a default: a variable's name, or the file."""
    path = path or find()
    found = {f"{section}.{key}": str(path) for section, keys in _read(path).items() for key in _keys(keys)}
    environment, _ = _environment()
    for section, keys in environment.items():
        for key in _keys(keys):
            variable = f"{ENVIRONMENT}{section}__{key}".upper()
            found[f"{section}.{key}"] = variable if variable in os.environ else f"{ENVIRONMENT}{section}".upper()
    return found


def _keys(section: Any) -> Iterator[str]:
    return iter(section if isinstance(section, Mapping) else ())


def _read(path: Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: not TOML: {error}; correct it, or name another with --config") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: not UTF-8, so not TOML; correct it, or name another with --config") from None
    except OSError as error:
        text = f"{path}: {error.strerror}; name another with --config, or run 'telemetrio init'"
        raise ConfigError(text) from None


def _environment() -> tuple[dict[str, Any], list[str]]:
    """What the environment sets, and what is wrong with the names of its variables."""
    sections = [name for name in Settings.model_fields if name != "base"]
    problems = []
    for name in sorted(os.environ):
        section, more, _ = name.removeprefix(ENVIRONMENT).lower().partition("__")
        if name.startswith(ENVIRONMENT) and more and section not in sections:
            problems.append(f"{name}: there is no section [{section}]" + near(section, sections))
    try:
        return EnvSettingsSource(Settings)(), problems
    except SettingsError:  # a whole section in one variable has to be JSON
        whole = [name for name in sorted(os.environ) if name.removeprefix(ENVIRONMENT).lower() in sections]
        text = f"{', '.join(whole)}: not JSON; write one setting a variable, as in {ENVIRONMENT}HUB__LISTEN"
        raise ConfigError("\n".join([*problems, text])) from None


def _merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        merged[key] = _merge(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return merged


def _rest(merged: Mapping[str, Any], error: ValidationError) -> Settings | None:
    """The settings without what is wrong, so that the rest can be looked at too."""
    rest: dict[str, Any] = {key: dict(value) if isinstance(value, Mapping) else value for key, value in merged.items()}
    for problem in error.errors():
        section, *keys = map(str, problem["loc"])
        inner = rest.get(section)
        if keys and isinstance(inner, dict):
            inner.pop(keys[0], None)
        else:
            rest.pop(section, None)
    try:
        return Settings(**rest)
    except ValidationError:
        return None


def _contradictions(settings: Settings) -> Iterator[str]:
    host, _ = address(settings.hub.listen)
    if settings.tls.insecure_ws and host not in LOOPBACK:
        yield (
            f"tls.insecure_ws: plain ws is only for loopback, and hub.listen is {settings.hub.listen}; "
            "remove insecure_ws or listen on 127.0.0.1 behind a proxy that ends TLS"
        )
