"""Settings of the hub: flag > environment (``TELEMETRIO_SECTION__KEY``) > file > default, all errors told at once.

Every setting stands, with its default, in ``configs/hub.toml``; a test holds the two together. Paths in a file are
relative to that file.
"""

import os
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, field_validator
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from hub.mistakes import ENVIRONMENT, explain, near
from hub.query.time import parse_duration

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


class ConfigError(Exception):
    """The settings cannot be used; one line for each thing that is wrong, each saying what to write instead."""


class Section(BaseModel):
    """A table of the file; an unknown key is an error, not a wish."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def _possible(path: Path) -> Path:
    if "\0" in str(path):
        raise ValueError(f"{str(path)!r} holds a zero byte: no file has such a name")
    return path


FilePath: TypeAlias = Annotated[Path, AfterValidator(_possible)]


def address(text: str) -> tuple[str, int]:
    """Read ``HOST:PORT`` (``[::1]:8443`` for IPv6); ValueError says what is wrong."""
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdigit() or int(port) > 65535:
        raise ValueError(f"{text!r} is not HOST:PORT; write for example 127.0.0.1:8443 (port 0 takes a free one)")
    return host.strip("[]") or "127.0.0.1", int(port)


class HubSection(Section):
    data: FilePath = Path("data")
    listen: str = "127.0.0.1:8443"
    http: str = "127.0.0.1:8480"
    reserve_mb: Annotated[int, Field(ge=0)] = 16

    @field_validator("listen", "http")
    @classmethod
    def _address(cls, text: str) -> str:
        address(text)
        return text


class TlsSection(Section):
    certificate: FilePath = Path("hub.pem")
    key: FilePath = Path("hub.key")
    insecure_ws: bool = False


class LimitsSection(Section):
    frame_bytes: Annotated[int, Field(ge=1_024, le=1_048_576)] = 65_536
    links: Annotated[int, Field(ge=1)] = 3_000
    half_open: Annotated[int, Field(ge=1)] = 256
    ingest_mb: Annotated[int, Field(ge=1)] = 256
    idle_seconds: Annotated[float, Field(ge=1)] = 20.0
    dials_per_second: Annotated[float, Field(gt=0)] = 200.0


class JournalSection(Section):
    group_ms: Annotated[float, Field(ge=0, le=10)] = 10.0
    segment_mb: Annotated[int, Field(ge=1)] = 64
    tail_mb: Annotated[int, Field(ge=1)] = 64


class StoreSection(Section):
    kind: Literal["duckdb", "memory"] = "duckdb"
    memory_mb: Annotated[int, Field(ge=64)] = 256
    log_mb: Annotated[int, Field(ge=1)] = 32
    query_seconds: Annotated[float, Field(gt=0)] = 30.0
    query_rows: Annotated[int, Field(ge=1)] = 1_000_000
    retention: str = ""

    @field_validator("retention")
    @classmethod
    def _retention(cls, text: str) -> str:
        if text:
            parse_duration(text)
        return text

    @property
    def retention_us(self) -> int | None:
        """How long readings are kept, in us; None: for ever."""
        return parse_duration(self.retention) if self.retention else None


class MirrorSection(Section):
    url: str = ""
    token_file: FilePath | None = None
    org: str = ""
    bucket: str = "telemetrio"
    hold_gb: Annotated[float, Field(ge=0)] = 20.0
    hold: str = "7d"

    @field_validator("hold")
    @classmethod
    def _hold(cls, text: str) -> str:
        parse_duration(text)
        return text

    @property
    def hold_us(self) -> int:
        """How long collecting waits for the mirror, in us."""
        return parse_duration(self.hold)

    @field_validator("url")
    @classmethod
    def _url(cls, text: str) -> str:
        parts = urlsplit(text)
        if text and (parts.scheme not in ("http", "https") or not parts.hostname):
            raise ValueError(f"{text!r} is no address of InfluxDB: write http://HOST:8086, or nothing for no mirror")
        return text


class ModelsSection(Section):
    directory: FilePath | None = None


class LogSection(Section):
    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "json", "console"] = "auto"


class ClientSection(Section):
    """For the command line and the dashboard, read by hub/client; here so that the hub knows the keys."""

    url: str = "wss://localhost:8443"
    ca: FilePath | None = None
    token_file: FilePath | None = None
    enrol_token_file: FilePath | None = None
    insecure_ws: bool = False


class Settings(BaseSettings):
    """All sections, validated."""

    model_config = SettingsConfigDict(
        env_prefix=ENVIRONMENT,
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
        nested_model_default_partial_update=True,
    )

    hub: HubSection = HubSection()
    tls: TlsSection = TlsSection()
    limits: LimitsSection = LimitsSection()
    journal: JournalSection = JournalSection()
    store: StoreSection = StoreSection()
    mirror: MirrorSection = MirrorSection()
    models: ModelsSection = ModelsSection()
    log: LogSection = LogSection()
    client: ClientSection = ClientSection()
    base: Path = Path()  # what relative paths are relative to: the file's folder

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings,)  # load() merges file, environment and flags itself: flags must win

    def path(self, path: Path) -> Path:
        """A path of the file as seen from here."""
        return path if path.is_absolute() else self.base / path

    @property
    def data(self) -> Path:
        return self.path(self.hub.data)


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
