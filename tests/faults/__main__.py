"""``./run faults``: the rows of the matrix of faults, on real processes and in simulation, and whether they see a bug.

./run faults [-o json] [--quick] [--only F1,F5] [--seeds N] [--plant NAME] [--evidence DIR]
./run faults --soak 30m [--evidence DIR]
"""

import argparse
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

from tests.faults.lab import OTHER_PLANTS, PLANTS, SIMULATED, TOTALS, Lab, Row

SEED = 20261122
SEEDS, QUICK_SEEDS = 420, 50  # of F28; F3 runs a fifth of that beside: 504 in all
QUICK_PLANTS = ("ack-before-sync", "window-ignored", "no-deduplication")  # planted with --quick: soon found
QUICK = ("F28",)  # rows that are part of --quick beside those that say so themselves
MEMORY = Path("/dev/shm")
USAGE, NOT_CAUGHT = 2, 3  # exit codes

Plain = dict[str, Any]


def main(arguments: list[str]) -> int:
    """Run what is asked for; 1 when a row fails or has caught ``--plant``, 2 for words that are not understood, 3 when
    nothing has caught ``--plant``."""
    options = _options(arguments)
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before numpy: who forks may have one thread only
    from tests.faults.rows import rows

    there = rows()
    wrong = _mistake(options, there)
    if wrong:
        print(f"faults: {wrong}", file=sys.stderr)
        return USAGE
    if options.soak:
        from tests.faults.soak import soak

        return soak(options.soak, Path(options.evidence) if options.evidence else None)
    began = time.monotonic()
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # and sweep away what runs
    with _laboratory(options) as lab:
        told = _with_bug(options.plant, there, lab) if options.plant else _all(options, there, lab)
    totals = _totals(told)
    found = {
        "rows": told,
        "totals": totals,
        "evidence": str(lab.evidence),
        "seconds": round(time.monotonic() - began, 1),
    }
    (lab.evidence / "result.json").write_text(json.dumps(found))
    print(json.dumps(found) if options.output == "json" else _table(found))
    if options.plant:
        return 1 if totals["planted_caught"] else NOT_CAUGHT
    return 0 if all(row["passed"] for row in told) else 1


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser("./run faults")
    parser.add_argument("-o", dest="output", choices=["json", "table"], default="table")
    parser.add_argument("--quick", action="store_true", help="a few rows, kills, seeds and bugs: under two minutes")
    parser.add_argument("--only", default="", help="numbers of rows, as in F1,F2; F29 are the planted bugs")
    parser.add_argument("--seeds", type=int, help=f"of the simulation [{SEEDS}]")
    parser.add_argument("--plant", metavar="NAME", help="plant one bug; exits 1, naming the row that caught it")
    parser.add_argument("--soak", metavar="DURATION", help="instead of rows: 500 devices for so long, as in 30m or 90s")
    parser.add_argument("--evidence", metavar="DIR", help="where the records of what was sent, acked and stored go")
    return parser.parse_args(arguments)


def _mistake(options: argparse.Namespace, there: list[Row]) -> str:
    """What is wrong with what was asked for."""
    if options.plant and options.plant not in (*PLANTS, *OTHER_PLANTS):
        return f"there is no planted bug {options.plant!r}; there are {', '.join((*PLANTS, *OTHER_PLANTS))}"
    if options.seeds is not None and options.seeds < 1:
        return f"--seeds {options.seeds} would show nothing: name at least 1"
    numbers = {row.number for row in there} | {"F29"}
    if options.only and (unknown := set(options.only.split(",")) - numbers):
        known = ", ".join(sorted(numbers, key=lambda number: int(number[1:])))
        return f"there is no row {', '.join(sorted(unknown))}; there are {known}"
    if options.evidence and Path(options.evidence).is_dir() and any(Path(options.evidence).iterdir()):
        return f"{options.evidence} has evidence of another run in it; name an empty directory"
    return ""


@contextmanager
def _laboratory(options: argparse.Namespace) -> Iterator[Lab]:
    """What all rows have in common; the evidence stays."""
    scratch = Path(tempfile.mkdtemp(prefix="telemetrio-lab-"))
    memory = Path(tempfile.mkdtemp(prefix="telemetrio-lab-", dir=MEMORY)) if MEMORY.is_dir() else scratch
    evidence = Path(options.evidence or tempfile.mkdtemp(prefix="telemetrio-faults-"))
    evidence.mkdir(parents=True, exist_ok=True)
    seeds = options.seeds or (QUICK_SEEDS if options.quick else SEEDS)
    try:
        yield Lab(scratch, evidence, SEED, options.quick, seeds, template=_template(scratch), memory=memory)
    finally:
        for folder in {scratch, memory}:
            shutil.rmtree(folder, ignore_errors=True)


def _template(scratch: Path) -> Path:
    """What ``telemetrio init`` makes, once for all hubs."""
    from hub.cli.run import run

    folder = scratch / "template"
    with (scratch / "init.log").open("w") as log, redirect_stdout(log), redirect_stderr(log):
        code = run(["init", str(folder)])
    if code != 0:
        raise RuntimeError(f"telemetrio init failed: {(scratch / 'init.log').read_text()}")
    return folder


def _chosen(options: argparse.Namespace, there: list[Row]) -> list[Row]:
    if options.only:
        return [row for row in there if row.number in options.only.split(",")]
    usual = [row for row in there if not row.apart]
    return [row for row in usual if row.quick or row.number in QUICK or not options.quick]


def _all(options: argparse.Namespace, there: list[Row], lab: Lab) -> list[Plain]:
    """Every row that is asked for, and every bug that the lab knows, planted where it is found soonest."""
    from tests.faults.running import Task, run_tasks

    chosen = _chosen(options, there)
    planting = not options.only or "F29" in options.only.split(",")
    finders = {plant: _finders(plant, there) for plant in (PLANTS if planting else ())}
    if options.quick:
        soonest = sorted((plant for plant in finders if finders[plant]), key=lambda plant: plant not in QUICK_PLANTS)
        finders = {plant: finders[plant] for plant in soonest[: len(QUICK_PLANTS)]}
    tasks = [Task(row) for row in chosen]
    tasks += [Task(found[0], plant) for plant, found in finders.items() if found]
    told = run_tasks(tasks, lab, _say)
    plain = [each.to_plain() for each in told if each.task.plant is None]
    plain += [_judged(each) for each in told if each.task.plant is not None]
    return plain + [_unfound(plant) for plant, found in finders.items() if not found]


def _with_bug(plant: str, there: list[Row], lab: Lab) -> list[Plain]:
    """Rows with one bug planted, until one of them has caught it."""
    from tests.faults.running import Task, run_tasks

    told: list[Plain] = []
    for row in _finders(plant, there):
        (found,) = run_tasks([Task(row, plant)], lab, _say)
        judged = _judged(found)
        told.append(found.to_plain() | {"figures": judged["figures"]})
        if found.ended == "failed":
            _say(f"faults: {plant} was caught by {row.name}: {found.why}")
            return told
    _say(f"faults: {plant} was NOT caught" + (f" by {', '.join(row['name'] for row in told)}" if told else
         ": no row of this tree looks for it"))  # fmt: skip
    return told


def _finders(plant: str, there: list[Row]) -> list[Row]:
    return sorted((row for row in there if plant in row.catches), key=lambda row: row.plant_seconds)


def _judged(told: Any) -> Plain:
    """F29: a row with a planted bug passes when what it counts did not hold, and not because of an accident."""
    caught = told.ended == "failed"
    figures = {"planted": 1, "planted_caught": int(caught), "by": told.task.row.name, "found": told.figures}
    plain = {"name": f"F29 {told.task.plant}", "passed": caught, "figures": figures, "seconds": told.seconds}
    return plain | {"why": told.why.strip().splitlines()[-1] if told.why else "it was not caught"}


def _unfound(plant: str) -> Plain:
    figures = {"planted": 1, "planted_caught": 0}
    return {"name": f"F29 {plant}", "passed": False, "figures": figures, "why": "no row looks for it"}


def _totals(told: list[Plain]) -> dict[str, int]:
    """Sums over rows. Kills are of processes: those of simulated ones stay with their rows."""
    real = [row for row in told if row["name"].split()[0] not in SIMULATED]
    return {name: sum(row["figures"].get(name, 0) for row in (real if name == "kills" else told)) for name in TOTALS}


def _table(found: Plain) -> str:
    """For a person."""
    width = max(len(row["name"]) for row in found["rows"]) if found["rows"] else 0
    lines = []
    for row in found["rows"]:
        figures = ", ".join(f"{name} {value}" for name, value in row["figures"].items() if not isinstance(value, dict))
        seconds = f"{row.get('seconds', 0.0):6.1f} s"
        lines.append(f"{'ok  ' if row['passed'] else 'FAIL'} {row['name']:{width}} {seconds}  {figures}")
        if not row["passed"]:
            lines.append(f"     {row.get('why', '')}")
    totals = ", ".join(f"{name} {value}" for name, value in found["totals"].items())
    return "\n".join([*lines, "", totals, f"{found['seconds']} s; evidence in {found['evidence']}"])


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
