"""The command line. Kept tiny: every command imports what it needs when it runs."""


def main() -> None:
    """Entry point of the console script: ends the process with one of the documented exit codes."""
    import sys

    from hub.cli.run import run

    sys.exit(run(sys.argv[1:]))
