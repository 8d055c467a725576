"""Makes a place for a hub: settings, development CA, certificate, and the first two tokens."""

import hashlib
import os
import re
import tomllib
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Final

import trio

from hub.journal.identity import log_id
from hub.ports import Clock, InlineWorker, Ports, Randomness
from hub.state import State
from hub.state.tokens import TokenRow
from hub.upkeep.certificates import make_authority, make_certificate

TOKEN_BYTES: Final = 32  # 256 bit: nobody guesses it, so its hash needs no salt and no slow function
_LABEL: Final = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
DNS_NAME: Final = re.compile(rf"(?=.{{1,253}}\Z)(?:\*\.)?{_LABEL}(?:\.{_LABEL})*")
SETTINGS: Final = """\
# Settings of this hub and of the commands that talk to it. Every setting with its default: configs/hub.toml.

[hub]
data = "data"
listen = "{listen}"
http = "{http}"

[tls]
certificate = "hub.pem"
key = "hub.key"

[client]
url = "wss://{name}:{port}"
ca = "ca.pem"
token_file = "admin.token"
enrol_token_file = "enrol.token"
"""


class InitError(Exception):
    """The place cannot be made; nothing that was there has been touched."""


@dataclass(frozen=True)
class Initialised:
    """What was made, all below ``folder``; keys and tokens are readable by their owner alone."""

    folder: Path
    settings: Path
    authority: Path
    admin_token: Path
    enrol_token: Path


def initialise(
    folder: Path, names: Sequence[str], ports: Ports, *, listen: str = "127.0.0.1:8443", http: str = "127.0.0.1:8480"
) -> Initialised:
    """Make ``folder`` ready for ``hub serve``. The certificate is for ``names`` (DNS names and addresses).

    Blocks, and runs trio: not for calling under it. Raises InitError when something of a hub is there already.
    """
    made = Initialised(
        folder, folder / "telemetrio.toml", folder / "ca.pem", folder / "admin.token", folder / "enrol.token"
    )
    taken = [path for path in (made.settings, made.authority, folder / "hub.pem", folder / "data") if path.exists()]
    if taken:
        raise InitError(f"{taken[0]} is there already: this is a hub's folder; name an empty one")
    for name in names:
        _check_name(name)
    try:
        trio.run(log_id, folder / "data", ports.files, InlineWorker(), ports.randomness)
        tokens = _tokens(folder / "data" / "state.sqlite", ports.clock, ports.randomness)
    except OSError as error:
        raise InitError(f"{folder}: {error.strerror}; name a folder that you may write to") from None
    shown = os.fsencode(folder.resolve().name).decode(errors="replace")
    authority = make_authority(f"Telemetrio development CA of {shown}")
    hub = make_certificate(authority, names)
    _, _, port = listen.rpartition(":")
    first = f"[{names[0]}]" if ":" in names[0] else names[0]
    settings = SETTINGS.format(listen=listen, http=http, name=first, port=port)
    tomllib.loads(settings)  # what was given must not become a broken file
    _write(made.authority, authority.certificate, 0o644)
    _write(folder / "ca.key", authority.key, 0o600)
    _write(folder / "hub.pem", hub.certificate, 0o644)
    _write(folder / "hub.key", hub.key, 0o600)
    _write(made.admin_token, tokens["admin"].encode() + b"\n", 0o600)
    _write(made.enrol_token, tokens["enrol"].encode() + b"\n", 0o600)
    _write(made.settings, settings.encode(), 0o644)
    return made


def _check_name(name: str) -> None:
    try:
        ip_address(name)
    except ValueError:
        if not DNS_NAME.fullmatch(name):
            raise InitError(
                f"{name!r} is neither a DNS name nor an address: write hub.example.org or 192.0.2.7"
            ) from None


def _tokens(path: Path, clock: Clock, randomness: Randomness) -> dict[str, str]:
    made = {role: urlsafe_b64encode(randomness.token(TOKEN_BYTES)).decode().rstrip("=") for role in ("admin", "enrol")}
    state = State(path)
    state.open()
    try:
        for role, token in made.items():
            state.tokens.replace(TokenRow(hashlib.sha256(token.encode()).digest(), role, role, clock.now()))
    finally:
        state.close()
    return made


def _write(path: Path, content: bytes, mode: int) -> None:
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(content)
