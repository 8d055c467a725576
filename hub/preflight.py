"""What the settings name and a hub needs before it starts: certificate, models, the mirror's token. It is opened here
alone, so that ``hub check`` and ``hub serve`` say the same of it."""

import ssl
from collections.abc import Callable, Mapping
from typing import Final

import structlog

from hub.data_directory import HubError
from hub.disk import raise_open_files
from hub.edge.certificates import CertificateError, server_context
from hub.edge.listener import WAITING
from hub.model import Model, ModelError, load_models
from hub.settings import Settings

OWN_FILES: Final = 512  # descriptors besides those of connections: journal, stores, HTTP

log = structlog.get_logger(__name__)


def server_tls(settings: Settings) -> ssl.SSLContext | None:
    """TLS for the hub's links, None where plain ws is allowed."""
    if settings.tls.insecure_ws:
        return None
    try:
        return server_context(settings.path(settings.tls.certificate), settings.path(settings.tls.key))
    except CertificateError as error:
        raise HubError(str(error), usage=True) from None


def device_models(settings: Settings) -> Mapping[str, Model]:
    """The models that devices may have."""
    directory = settings.models.directory
    try:
        return load_models(settings.path(directory) if directory else None)
    except ModelError as error:
        raise HubError(str(error), usage=True) from None


def mirror_token(settings: Settings) -> str:
    """The token of the mirror, empty where none is named."""
    file = settings.mirror.token_file
    if file is None:
        return ""
    try:
        return settings.path(file).read_text(encoding="ascii").strip()
    except UnicodeDecodeError:
        raise HubError(f"{settings.path(file)} holds no token: correct mirror.token_file", usage=True) from None
    except OSError as error:
        text = f"{settings.path(file)}: {error.strerror}: correct mirror.token_file, or remove it"
        raise HubError(text, usage=True) from None


def allow_files(settings: Settings) -> int:
    """Raise the soft limit of open files to what the links allowed take, as far as the hard one lets it (many systems
    begin at 1,024); how many may be open now."""
    limits = settings.limits
    needed = limits.links + (1 + WAITING) * limits.half_open + OWN_FILES
    allowed = raise_open_files(needed)
    if allowed < needed:
        log.warning("fewer files may be open than all links allowed would take: raise the hard limit (ulimit -Hn), or "
                    "lower limits.links", allowed=allowed, needed=needed)  # fmt: skip
    return allowed


_LOOKS: Final[tuple[Callable[[Settings], object], ...]] = (server_tls, device_models, mirror_token)


def problems(settings: Settings) -> list[str]:
    """All that stands in the way of a start, as far as it can be told without one."""
    found: list[str] = []
    for look in _LOOKS:
        try:
            look(settings)
        except HubError as error:
            found += str(error).splitlines()
    return found
