"""Which hub, and as whom: flag > ``TELEMETRIO_…`` > file > default.

The file is ``./telemetrio.toml``, else ``~/.config/telemetrio/config.toml``, else ``/etc/telemetrio/config.toml``. The
keys are those of ``[client]`` in the hub's own settings file, so that one file made by ``init`` serves both ends.
"""

import json
import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final

from hub.client.dial import Target
from hub.client.errors import ContextError, Unreachable

DEFAULT_URL: Final = "wss://localhost:8443"
_KEYS: Final = ("url", "ca", "token_file", "enrol_token_file", "insecure_ws")
_TRUE: Final = frozenset({"1", "true", "yes", "on"})
_FALSE: Final = frozenset({"0", "false", "no", "off", ""})


@dataclass(frozen=True)
class Flags:
    """What the command line said; None where it said nothing."""

    config: Path | None = None
    url: str | None = None
    ca: Path | None = None
    token_file: Path | None = None
    insecure_ws: bool | None = None


@dataclass(frozen=True)
class Context:
    """Where the hub is and which tokens there are. ``origins``: where each value came from, for people."""

    url: str
    ca: Path | None
    token: str | None = field(repr=False)
    enrol_token: str | None = field(repr=False)
    insecure_ws: bool
    file: Path | None
    origins: Mapping[str, str]

    @property
    def target(self) -> Target:
        """As an operator; ContextError when there is no token."""
        if self.token is None:
            raise ContextError(
                "no token: run 'telemetrio init' and stay in its folder, or name the token's file with --token-file "
                "or TELEMETRIO_TOKEN_FILE"
            )
        return self.with_token(self.token)

    def with_token(self, token: str | None) -> Target:
        """The same hub with another token: a device's, or the one that enrols. ContextError when it can be no hub."""
        target = Target(self.url, token=token, ca=self.ca, insecure_ws=self.insecure_ws)
        try:
            target.check()
        except Unreachable as error:
            raise ContextError(error.text) from None
        return target


def find_file(named: Path | None, environment: Mapping[str, str]) -> Path | None:
    """The settings file: as named, else of the environment, of this folder, of the user, of the machine."""
    if named is None and environment.get("TELEMETRIO_CONFIG"):
        named = Path(environment["TELEMETRIO_CONFIG"])
    if named is not None:
        return named / "telemetrio.toml" if named.is_dir() else named
    home = environment.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")  # a user without a home has none
    places = (Path("telemetrio.toml"), Path(home, "telemetrio", "config.toml"), Path("/etc/telemetrio/config.toml"))
    return next((place for place in places if place.is_file()), None)


def find_context(flags: Flags | None = None, environment: Mapping[str, str] | None = None) -> Context:
    """Look in all places. Raises ContextError when a file that is named cannot be used."""
    flags = flags or Flags()
    environment = os.environ if environment is None else environment
    file = find_file(flags.config, environment)
    content = _read(file) if file else {}
    section = _section(content, file)
    found: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for key in _KEYS:
        flag = getattr(flags, key, None)
        name, variable = _variable(environment, key)
        if flag is not None:
            found[key], origins[key] = flag, "flag"
        elif variable is not None:
            found[key], origins[key] = variable, name
        elif key in section and file is not None:
            found[key], origins[key] = _beside(file, key, section[key]), str(file)
    if "url" not in found or str(found["url"]).endswith(":0"):  # port 0: whichever the hub took
        told = found.get("url", DEFAULT_URL), origins.get("url", "default")
        found["url"], origins["url"] = _own_url(file, content) or told
    token, origins["token"] = _token(found, origins, "token", environment)
    enrol_token, origins["enrol_token"] = _token(found, origins, "enrol_token", environment)
    return Context(
        url=str(found["url"]),
        ca=Path(found["ca"]) if found.get("ca") else None,
        token=token,
        enrol_token=enrol_token,
        insecure_ws=_truth(found.get("insecure_ws", False), origins),
        file=file,
        origins=origins,
    )


def _variable(environment: Mapping[str, str], key: str) -> tuple[str, str | None]:
    for name in (f"TELEMETRIO_{key.upper()}", f"TELEMETRIO_CLIENT__{key.upper()}"):
        if environment.get(name):
            return name, environment[name]
    return "", None


def _read(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ContextError(f"{file}: not TOML: {error}; correct it, or name another with --config") from None
    except OSError as error:
        raise ContextError(f"{file}: {error.strerror}; name another with --config, or run 'telemetrio init'") from None


def _section(content: Mapping[str, Any], file: Path | None) -> Mapping[str, Any]:
    """``[client]``; ContextError tells all that is wrong in it."""
    section = content.get("client", {})
    if not isinstance(section, dict):
        raise ContextError(f"{file}: client: must be a table: write [client] and its settings below it")
    wrong = []
    for key, value in section.items():
        near = get_close_matches(key, _KEYS, n=1)
        if key not in _KEYS:
            hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join(_KEYS)}"
            wrong.append(f"{file}: client.{key}: unknown setting; {hint}")
        elif type(value) is not (bool if key == "insecure_ws" else str):
            kind = "true or false" if key == "insecure_ws" else "a text in quotes"
            wrong.append(f"{file}: client.{key}: must be {kind}, not {value!r}")
    if wrong:
        raise ContextError("\n".join(wrong))
    return section


def _truth(value: bool | str, origins: Mapping[str, str]) -> bool:
    word = str(value).lower()
    if word not in _TRUE | _FALSE:
        raise ContextError(f"{origins['insecure_ws']}: must be true or false, not {value!r}")
    return word in _TRUE


def _beside(file: Path, key: str, value: Any) -> Any:
    """Paths in a file are relative to that file."""
    return file.parent / value if key in ("ca", "token_file", "enrol_token_file") else value


def _own_url(file: Path | None, content: Mapping[str, Any]) -> tuple[str, str] | None:
    """A running hub of the same file tells where it listens: it may have taken a free port."""
    if file is None:
        return None
    hub = content.get("hub", {})
    try:  # what is wrong in [hub] is the hub's to tell
        ready = Path(file.parent, hub.get("data", "data"), "hub.json")
        return str(json.loads(ready.read_text())["url"]), str(ready)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _token(
    found: Mapping[str, Any], origins: Mapping[str, str], what: str, environment: Mapping[str, str]
) -> tuple[str | None, str]:
    name = f"TELEMETRIO_{what.upper()}"
    key = f"{what}_file"
    if origins.get(key) != "flag" and environment.get(name):
        return _checked(environment[name], name), name
    if key not in found:
        return None, "none"
    file = Path(found[key])
    try:
        return _checked(file.read_text(encoding="ascii", errors="replace"), str(file)), str(file)
    except OSError as error:
        if what == "enrol_token":
            return None, f"{file}: {error.strerror}"  # most commands never need it
        raise ContextError(f"the token's file {file}: {error.strerror}; name another with --token-file") from None


def _checked(token: str, origin: str) -> str:
    """The token without what stands around it; it becomes a line of the request for a link."""
    token = token.strip()
    if not re.fullmatch(r"[!-~]+", token):
        raise ContextError(f"{origin} holds no token (one line, no spaces); name another with --token-file")
    return token
