"""Settings of the hub: flag > environment (``TELEMETRIO_SECTION__KEY``) > file > default, all errors told at once.

Every setting stands, with its default, in ``configs/hub.toml``; a test holds the two together. Paths in a file are
relative to that file.
"""

import difflib
import os
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


class ConfigError(Exception):
    """The settings cannot be used; one line for each thing that is wrong, each saying what to write instead."""


class Section(BaseModel):
    """A table of the file; an unknown key is an error, not a wish."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def address(text: str) -> tuple[str, int]:
    """Read ``HOST:PORT`` (``[::1]:8443`` for IPv6); ValueError says what is wrong."""
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdigit() or int(port) > 65535:
        raise ValueError(f"{text!r} is not HOST:PORT; write for example 127.0.0.1:8443 (port 0 takes a free one)")
    return host.strip("[]") or "127.0.0.1", int(port)


class HubSection(Section):
    data: Path = Path("data")
    listen: str = "127.0.0.1:8443"
    http: str = "127.0.0.1:8480"

    @field_validator("listen", "http")
    @classmethod
    def _address(cls, text: str) -> str:
        address(text)
        return text


class TlsSection(Section):
    certificate: Path = Path("hub.pem")
    key: Path = Path("hub.key")
    insecure_ws: bool = False


class LimitsSection(Section):
    frame_bytes: Annotated[int, Field(ge=1_024, le=1_048_576)] = 65_536
    links: Annotated[int, Field(ge=1)] = 3_000
    half_open: Annotated[int, Field(ge=1)] = 256
    ingest_mb: Annotated[int, Field(ge=1)] = 256
    idle_seconds: Annotated[float, Field(ge=1)] = 20.0


class JournalSection(Section):
    group_ms: Annotated[float, Field(ge=0, le=10)] = 5.0
    segment_mb: Annotated[int, Field(ge=1)] = 64
    tail_mb: Annotated[int, Field(ge=1)] = 32


class StoreSection(Section):
    kind: Literal["duckdb", "memory"] = "duckdb"
    memory_mb: Annotated[int, Field(ge=64)] = 256
    query_seconds: Annotated[float, Field(gt=0)] = 30.0
    query_rows: Annotated[int, Field(ge=1)] = 1_000_000


class MirrorSection(Section):
    url: str = ""
    token_file: Path | None = None
    org: str = ""
    bucket: str = "telemetrio"


class ModelsSection(Section):
    directory: Path | None = None


class LogSection(Section):
    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "json", "console"] = "auto"


class ClientSection(Section):
    """For the command line and the dashboard, read by hub/client; here so that the hub knows the keys."""

    url: str = "wss://localhost:8443"
    ca: Path | None = None
    token_file: Path | None = None
    enrol_token_file: Path | None = None
    insecure_ws: bool = False


class Settings(BaseSettings):
    """All sections, validated."""

    model_config = SettingsConfigDict(
        env_prefix="TELEMETRIO_",
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
    """The settings file when none is named: environment, this folder, the user's, the machine's."""
    named = os.environ.get("TELEMETRIO_CONFIG")
    if named:
        return Path(named)
    home = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    places = (Path("telemetrio.toml"), home / "telemetrio" / "config.toml", Path("/etc/telemetrio/config.toml"))
    return next((place for place in places if place.is_file()), None)


def load(path: Path | None = None, overrides: Mapping[str, Any] | None = None) -> Settings:
    """Read file and environment; ``overrides`` (``{"hub": {"listen": ...}}``) are the command line's flags.

    Raises ConfigError with one line for each mistake.
    """
    path = path or find()
    content = _read(path) if path else {}
    merged = _merge(_merge(content, EnvSettingsSource(Settings)()), overrides or {})
    try:
        settings = Settings(**_merge(merged, {"base": path.parent if path else Path()}))
    except ValidationError as error:
        raise ConfigError("\n".join(_explain(error, path))) from None
    _check(settings)
    return settings


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: not TOML: {error}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}; name another with --config") from None


def _merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        merged[key] = _merge(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return merged


def _explain(error: ValidationError, path: Path | None) -> Iterator[str]:
    origin = str(path) if path else "settings"
    for problem in error.errors():
        where = ".".join(str(part) for part in problem["loc"])
        if problem["type"] == "extra_forbidden":
            near = difflib.get_close_matches(str(problem["loc"][-1]), _known(problem["loc"][:-1]), n=1)
            yield f"{origin}: {where}: unknown setting" + (f"; did you mean {near[0]}?" if near else "; remove it")
        else:
            yield f"{origin}: {where}: {problem['msg'].removeprefix('Value error, ')} (given: {problem['input']!r})"


def _known(location: tuple[int | str, ...]) -> list[str]:
    fields = Settings.model_fields
    if not location:
        return [name for name in fields if name != "base"]
    section = fields[str(location[0])].annotation if str(location[0]) in fields else None
    return list(section.model_fields) if isinstance(section, type) and issubclass(section, BaseModel) else []


def _check(settings: Settings) -> None:
    host, _ = address(settings.hub.listen)
    if settings.tls.insecure_ws and host not in LOOPBACK:
        raise ConfigError(
            f"tls.insecure_ws: plain ws is only for loopback, and hub.listen is {settings.hub.listen}; "
            "remove insecure_ws or listen on 127.0.0.1 behind a proxy that ends TLS"
        )
