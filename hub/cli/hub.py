"""``telemetrio hub``: run it, check its settings, ask how it is."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from hub.cli.options import OUTPUT, REACH, Config, Output, Reach

if TYPE_CHECKING:
    from hub.settings import Settings


def settings_of(config: Path | None, overrides: dict[str, dict[str, Any]] | None = None) -> "Settings":
    """The hub's settings; ConfigError tells every mistake."""
    import os

    from hub.client.files import find_file
    from hub.config import load

    return load(find_file(config, os.environ), overrides)


def serve(
    *,
    config: Config = None,
    data: Annotated[Path | None, Parameter(help="Where journal, store and state live [hub.data].")] = None,
    listen: Annotated[str | None, Parameter(help="HOST:PORT for devices and operators; port 0: a free one.")] = None,
    http: Annotated[str | None, Parameter(help="HOST:PORT for /metrics, /healthz and /readyz.")] = None,
    insecure_ws: Annotated[bool | None, Parameter(negative=(), help="Plain ws, on loopback, behind a proxy.")] = None,
    log_level: Annotated[str | None, Parameter(help="debug, info, warning or error.")] = None,
) -> int:
    """Run the hub until SIGTERM or Ctrl-C; it then lets devices finish before it ends.

    Settings: flag, else environment (TELEMETRIO_SECTION__KEY), else file, else default.
    """
    from hub.app import serve as run_hub

    flags: dict[str, dict[str, Any]] = {
        "hub": {"data": data.absolute() if data else None, "listen": listen, "http": http},
        "tls": {"insecure_ws": insecure_ws},
        "log": {"level": log_level},
    }
    given = {
        section: {key: value for key, value in keys.items() if value is not None} for section, keys in flags.items()
    }
    return run_hub(settings_of(config, {section: keys for section, keys in given.items() if keys}))


def check(*, config: Config = None) -> int:
    """Check settings, certificate, models and the mirror's token; every mistake is told, and nothing is started."""
    from hub.cli.exits import Exit
    from hub.cli.run import say
    from hub.preflight import problems

    settings = settings_of(config)
    if found := problems(settings):
        say("\n".join(found))
        return Exit.USAGE
    print(f"the settings are good: {settings.hub.listen}, data in {settings.data}", file=sys.stderr)
    return Exit.OK


def status(*, reach: Reach = REACH, output: Output = OUTPUT) -> int:
    """How the running hub is: links, rates, lag of each follower, problems. Exit code 1 when it is not ready."""
    from hub.cli.ask import call
    from hub.cli.exits import Exit
    from hub.cli.output import chosen, write_record, write_records

    found = call(reach.target(), "status")
    followers = found["followers"]
    if chosen(output) != "table":
        write_record(found, output)
    else:
        found["refused"] = ", ".join(f"{code} {count}" for code, count in found.get("refused", {}).items())
        write_record({key: value for key, value in found.items() if key not in ("followers", "problems")}, output)
        print()
        for follower in followers:
            follower["missing"] = ", ".join(f"{first}-{last}" for first, last in follower.get("missing", ()))
        write_records(followers, ["name", "cursor", "lag", "healthy", "error", "missing"], output)
        for problem in found["problems"]:
            print(f"\n! {problem}")
    return Exit.OK if found["ready"] else Exit.FAILED


def trust_clock(*, reach: Reach = REACH, output: Output = OUTPUT) -> None:
    """Say that the hub's clock is right although its newest record says otherwise.

    Behind it, the clock was ahead for a while: until then the hub rejects no time, because it cannot tell which clock
    is wrong. Ahead of it by more than 7 days, the hub was off for so long: until then nothing expires; what is older
    than store.retention does so at once when the clock is trusted. Needs an admin token.
    """
    from hub.cli.ask import call
    from hub.cli.output import write_record

    found = call(reach.target(), "clock.trust")
    write_record({"behind_s": found["behind"] / 1e6, "ahead_s": found["ahead"] / 1e6}, output)
