"""``telemetrio init``, ``config`` and ``completion``."""

import sys
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from hub.cli.options import OUTPUT, REACH, Output, Reach


def init(
    directory: Annotated[Path, Parameter(help="A new or empty folder.")] = Path("."),
    /,
    *,
    name: Annotated[
        tuple[str, ...],
        Parameter(negative=(), help="DNS name or address that the certificate is for; may be repeated."),
    ] = ("localhost", "127.0.0.1", "::1"),
    listen: Annotated[str, Parameter(help="HOST:PORT for devices and operators.")] = "127.0.0.1:8443",
    http: Annotated[str, Parameter(help="HOST:PORT for /metrics and health.")] = "127.0.0.1:8480",
) -> int:
    """Make settings, a development CA, the hub's certificate, an admin token and an enrol token."""
    from hub.config import ConfigError
    from hub.ports import Ports
    from hub.settings import address
    from hub.upkeep.init import initialise

    for text in (listen, http):
        try:
            address(text)
        except ValueError as error:
            raise ConfigError(str(error)) from None
    made = initialise(directory, name, Ports(), listen=listen, http=http)
    print(
        f"made {made.settings}, a development CA, the hub's certificate and two tokens\n"
        f"next: telemetrio hub serve -c {made.settings}",
        file=sys.stderr,
    )
    return 0


def show(*, reach: Reach = REACH, output: Output = OUTPUT) -> None:
    """The settings in force, one a line, and where each comes from. Tokens are never shown."""
    from hub.cli.hub import settings_of
    from hub.cli.output import write_rows
    from hub.config import origins

    context = reach.context()
    settings, said = settings_of(context.file), origins(context.file)
    told: list[list[Any]] = []
    for section, keys in settings.model_dump(mode="json").items():
        if isinstance(keys, dict) and section != "client":
            names = {key: f"{section}.{key}" for key in keys}
            told += [[names[key], value, said.get(names[key], "default")] for key, value in keys.items()]
    for key in ("url", "ca", "insecure_ws"):
        told.append([f"client.{key}", _text(getattr(context, key)), context.origins.get(key, "default")])
    for key in ("token", "enrol_token"):
        there = "(set)" if getattr(context, key) else "(none)"
        told.append([f"client.{key}", there, context.origins[key]])
    write_rows(["setting", "value", "origin"], told, output)


def _text(value: Any) -> Any:
    return str(value) if isinstance(value, Path) else value


def completion(shell: Literal["bash", "zsh", "fish"], /) -> None:
    """Print the completion script of a shell.

    For bash: telemetrio completion bash > ~/.local/share/bash-completion/completions/telemetrio
    """
    from hub.cli.tree import build

    print(build().generate_completion(shell=shell))
