"""Rows that are pytest modules: their tests are their cases."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from tests.faults.lab import Failed, Figures, Lab, Row

MODULES = {
    "F6 store damaged": "test_store_damage.py",
    "F7 sync fails": "test_failed_sync.py",
    "F8 disk full": "test_full_disk.py",
}


def _module(path: Path) -> Callable[[Lab], Figures]:
    """A row that is a pytest module; its tests are its cases."""

    def run(lab: Lab) -> Figures:
        command = [sys.executable, "-m", "pytest", "-q", "-n", "0", "--no-header", str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        (lab.evidence / "pytest.txt").write_text(done.stdout + done.stderr)
        tail = (done.stdout.strip().splitlines() or ["nothing"])[-1]
        if done.returncode != 0:
            raise Failed(tail)
        return {"tests": tail}

    return run


ROWS = [Row(name, _module(Path(__file__).parents[1] / file)) for name, file in MODULES.items()]
