"""``telemetrio dash``: the dashboard."""

from importlib import import_module

from hub.cli.options import REACH, Reach


def dash(*, reach: Reach = REACH) -> int:
    """The dashboard of a hub, in this terminal."""
    import sys

    from hub.cli.exits import CommandError, Exit

    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise CommandError("the dashboard needs a terminal; in a pipe use 'telemetrio tail' or 'query'", Exit.USAGE)
    run = import_module("dashboard.app").run
    return int(run(reach.target()) or 0)
