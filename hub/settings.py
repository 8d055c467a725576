"""The settings of the hub: their sections, types, defaults and limits. How they are read: ``hub.config``.

Every setting stands, with its default, in ``configs/hub.toml``; a test holds the two together. Paths in a file are
relative to that file.
"""

from pathlib import Path
from typing import Annotated, Literal, TypeAlias
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from hub.mistakes import ENVIRONMENT
from hub.query.time import parse_duration


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
    links: Annotated[int, Field(ge=1)] = 3_000
    half_open: Annotated[int, Field(ge=1)] = 256
    ingest_mb: Annotated[int, Field(ge=1)] = 384
    idle_seconds: Annotated[float, Field(ge=1)] = 20.0
    dials_per_second: Annotated[float, Field(gt=0)] = 200.0
    tls_seconds: Annotated[float, Field(gt=0)] = 5.0
    request_seconds: Annotated[float, Field(gt=0)] = 5.0
    hello_seconds: Annotated[float, Field(gt=0)] = 10.0
    flaps_per_minute: Annotated[int, Field(ge=1)] = 15
    flap_pause_seconds: Annotated[float, Field(ge=0)] = 300.0


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
        return (init_settings,)  # hub.config merges file, environment and flags: flags must win

    def path(self, path: Path) -> Path:
        """A path of the file as seen from here."""
        return path if path.is_absolute() else self.base / path

    @property
    def data(self) -> Path:
        return self.path(self.hub.data)
