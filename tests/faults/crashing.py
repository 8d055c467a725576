"""Starts a hub that kills itself when it comes to a named step for the n-th time.

    TELEMETRIO_CRASH_AT=sync:3 python -m tests.faults.crashing

Without the variable it is the hub as it is. Segments are small and checkpoints frequent, so that every step comes soon.
"""

import os
import re
import signal
import sys
from pathlib import Path

from hub import crashpoints
from hub.app import serve
from hub.config import load
from hub.store.duck import store

VARIABLE = "TELEMETRIO_CRASH_AT"
SEGMENT_MB = 0.0625  # 64 KiB: less than the settings allow
CHECKPOINT_COMMITS = 5
_REACH = re.compile(r"""\breach\("([a-z ]+)"\)""")


def points(room: str = "hub") -> list[str]:
    """The steps that the sources of ``hub`` or ``devices`` name."""
    sources = (Path(__file__).parents[2] / room).rglob("*.py")
    return sorted({name for source in sources for name in _REACH.findall(source.read_text())})


def arm(where: str) -> None:
    """Kill this process with SIGKILL at ``NAME:N``."""
    name, _, number = where.partition(":")
    left = int(number or 1)

    def step(reached: str) -> None:
        nonlocal left
        left -= reached == name
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    crashpoints.armed = step


def main() -> int:
    where = os.environ.pop(VARIABLE, "")  # not a setting: the hub must not see it
    if where:
        arm(where)
    store.CHECKPOINT_COMMITS = CHECKPOINT_COMMITS  # type: ignore[misc]
    settings = load()
    journal = settings.journal.model_copy(update={"segment_mb": SEGMENT_MB})
    return serve(settings.model_copy(update={"journal": journal}))


if __name__ == "__main__":
    sys.exit(main())
