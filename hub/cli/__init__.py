"""The command line. Kept tiny: every command imports what it needs when it runs."""


def main() -> None:
    """Entry point of the console script."""
    raise SystemExit("not built yet")
