"""Named steps of the hub at which the fault lab may stop it; they do nothing otherwise."""

from collections.abc import Callable

armed: Callable[[str], None] | None = None  # set by the lab's launcher only


def reach(name: str) -> None:
    """The hub has come to the step ``name``."""
    if armed is not None:
        armed(name)
