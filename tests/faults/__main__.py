"""``./run faults``: the rows of the matrix of faults, one after the other; one line of JSON on stdout.

./run faults [-o json] [--quick] [--only F1,F5] [--seeds N] [--plant NAME] [--evidence DIR]
./run faults --soak 30m [--evidence DIR]
"""

import argparse
import json
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import Any

from tests.faults.lab import TOTALS, Failed, Figures, Lab, Row
from tests.faults.rows import rows
from tests.faults.soak import soak

SEED = 20261122


def main(arguments: list[str]) -> int:
    """Run what is asked for; 1 when a row fails, also with a planted bug, 2 for words that are not understood."""
    options = _options(arguments)
    if options.soak:
        return soak(options.soak, Path(options.evidence) if options.evidence else None)
    began = time.monotonic()
    chosen = [row for row in rows() if not options.only or row.number in options.only.split(",")]
    if options.plant:
        chosen = [row for row in chosen if options.plant in row.catches]
    if not chosen:
        print("faults: no such row or planted bug in this tree", file=sys.stderr)
        return 2
    evidence = Path(options.evidence or tempfile.mkdtemp(prefix="telemetrio-faults-"))
    told = [_run(row, options, evidence, options.plant) for row in chosen]
    if not options.plant:
        told += [_planted(row, plant, options, evidence) for row in chosen for plant in row.catches]
    totals = {name: sum(row["figures"].get(name, 0) for row in told) for name in TOTALS}
    seconds = round(time.monotonic() - began, 1)
    print(json.dumps({"rows": told, "totals": totals, "evidence": str(evidence), "seconds": seconds}))
    return 0 if all(row["passed"] for row in told) else 1


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser("./run faults")
    parser.add_argument("-o", choices=["json"], default="json")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", default="", help="numbers of rows, as in F1,F2")
    parser.add_argument("--seeds", type=int, default=500, help="of the simulation")
    parser.add_argument("--plant", help="run one planted bug; exits 1 when a row catches it")
    parser.add_argument("--soak", metavar="DURATION", help="instead of rows: 500 devices for so long, as in 30m or 90s")
    parser.add_argument("--evidence", help="where the records of what was sent, acked and stored go")
    return parser.parse_args(arguments)


def _run(row: Row, options: argparse.Namespace, evidence: Path, plant: str | None) -> dict[str, Any]:
    """One row; what it says of itself."""
    folder = evidence / (row.number if plant is None else f"{row.number}-{plant}")
    folder.mkdir(parents=True, exist_ok=True)
    _say(f"{row.name} ..." if plant is None else f"{row.name}, with {plant} ...")
    with tempfile.TemporaryDirectory(prefix="telemetrio-faults-") as scratch:
        lab = Lab(Path(scratch), folder, SEED, options.quick, options.seeds, plant)
        figures: Figures = {}
        why = ""
        try:
            figures = row.run(lab)
        except Failed as failed:
            figures, why = failed.figures, str(failed)
        except Exception:
            why = traceback.format_exc()
    if why:
        _say(f"{row.name}: {'caught ' + plant if plant else 'FAILED'}: {why}")
    told = {"name": row.name, "passed": not why, "figures": figures}
    return told | {"why": why.strip().splitlines()[-1]} if why else told


def _planted(row: Row, plant: str, options: argparse.Namespace, evidence: Path) -> dict[str, Any]:
    """F29: the row with a planted bug passes when it is caught by what the row counts, not by an accident."""
    told = _run(row, options, evidence, plant)
    figures = told["figures"]
    caught = bool(figures.get("lost") or figures.get("duplicated") or figures.get("invented"))
    counts = {"planted": 1, "planted_caught": int(caught), "found": figures, "by": row.name}
    return {"name": f"F29 {plant}", "passed": caught, "figures": counts}


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
