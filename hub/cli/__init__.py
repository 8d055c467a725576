"""The command line. Kept tiny: every command imports what it needs when it runs."""


def main() -> None:
    """Entry point of the console script: ends the process with one of the documented exit codes."""
    import sys

    try:
        from hub.cli.run import run

        code = run(sys.argv[1:])
    except KeyboardInterrupt:  # while modules are imported, or while the end is told
        code = 130
    sys.exit(code)
