"""Options that many commands share."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal

from cyclopts import Group, Parameter

if TYPE_CHECKING:
    from hub.client import Context, Target

_HUB = Group("Which hub", sort_key=10)
_OUTPUT = Group("Output", sort_key=11)

Format = Literal["table", "json", "ndjson", "csv"]


@Parameter(name="*", group=_HUB)
@dataclass(frozen=True)
class Reach:
    """Where the hub is and with which token: flag, else environment, else file, else default."""

    config: Annotated[
        Path | None, Parameter(name=["--config", "-c"], help="Settings file, or its folder [$TELEMETRIO_CONFIG].")
    ] = None
    url: Annotated[str | None, Parameter(help="wss://HOST:PORT [$TELEMETRIO_URL].")] = None
    ca: Annotated[Path | None, Parameter(help="Certificate of the CA to trust [$TELEMETRIO_CA].")] = None
    token_file: Annotated[
        Path | None, Parameter(help="File with the token [$TELEMETRIO_TOKEN_FILE; $TELEMETRIO_TOKEN is a token].")
    ] = None
    insecure_ws: Annotated[
        bool | None, Parameter(negative=(), help="Allow plain ws:// to loopback [$TELEMETRIO_INSECURE_WS].")
    ] = None

    def context(self) -> "Context":
        """Looks in all places; ContextError says what is wrong."""
        from hub.client import Flags, find_context

        return find_context(Flags(self.config, self.url, self.ca, self.token_file, self.insecure_ws))

    def target(self) -> "Target":
        """The hub, as an operator."""
        return self.context().target


@Parameter(name="*", group=_OUTPUT)
@dataclass(frozen=True)
class Output:
    """How data is written to stdout."""

    output: Annotated[
        Format | None,
        Parameter(name=["--output", "-o"], help="[default: table on a terminal, else ndjson]", show_default=False),
    ] = None
    no_headers: Annotated[bool, Parameter(negative=(), help="Leave out the headers of table and csv.")] = False


LONGEST_SECONDS: Final = 1e9  # thirty years: a timer beyond it is a mistake
REACH = Reach()
OUTPUT = Output()

Labels = Annotated[
    tuple[str, ...], Parameter(name="--label", negative=(), show_default=False, help="KEY=VALUE; may be repeated.")
]
Config = Annotated[
    Path | None, Parameter(name=["--config", "-c"], help="Settings file, or its folder [$TELEMETRIO_CONFIG].")
]


def pairs(words: tuple[str, ...], what: str) -> dict[str, str]:
    """``KEY=VALUE`` words as a mapping; a CommandError of usage when one is not."""
    from hub.cli.exits import CommandError, Exit

    found: dict[str, str] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or not key:
            raise CommandError(f"{word!r} is no {what}: write KEY=VALUE", Exit.USAGE)
        found[key] = value
    return found


def seconds(text: str) -> float:
    """A length of time above 0, such as ``90s``, ``1h30m`` or a bare number of seconds. CommandError and QuestionError
    say what to write instead."""
    from hub.cli.exits import CommandError, Exit
    from hub.query import parse_duration

    try:
        found = float(text)
    except ValueError:
        return parse_duration(text) / 1e6
    if not 0 < found <= LONGEST_SECONDS:
        raise CommandError(f"{text!r} is no length of time: write 30, 90s, 15m or 1h30m, but not 0", Exit.USAGE)
    return found


def at_least_one(kind: object, number: int | None) -> None:
    """Says what is wrong with a count of 0 or below, while the command line is read."""
    if number is not None and number < 1:
        raise ValueError("must be at least 1")
