"""The rows that are simulated: a whole hub and twenty devices in one process, on virtual time, seed after seed."""

import gc
import json
from collections.abc import Callable, Iterable
from typing import Final

from tests.faults.lab import Failed, Figures, Lab, Row
from tests.simulation.api import PLANTS, Outcome, run_seed

PLANT_SEEDS: Final = 60  # by then each planted bug has long been seen; the first that shows it ends the row
POWER_SHARE: Final = 5  # for each so many seeds with every fault, one in which all that dies loses its power
COUNTED: Final = ("acked", "stored", "rejected", "lost", "duplicated", "invented", "kills", "power_cuts",
                  "torn", "unsynced_bytes", "takeovers")  # fmt: skip
COLLECT: Final = 16  # seeds until garbage is looked for: runs leave cycles behind, and look for none themselves
TOLD: Final = 20  # failures that are told; all of them are in the evidence


def everything(lab: Lab) -> Figures:
    """F28: every fault that the simulation knows. With a bug planted, whatever dies loses its power in every other
    seed: what is taken in before it is synced costs nothing else."""
    if lab.plant:
        return _run(lab, range(PLANT_SEEDS), lambda seed: seed % 2 == 0)
    return _run(lab, range(lab.seeds), lambda seed: False)


def power_cut(lab: Lab) -> Figures:
    """F3: every death is a power cut, of hub or device; journal and store are on disks of their own."""
    return _run(lab, range(max(1, lab.seeds // POWER_SHARE)), lambda seed: True)


def _run(lab: Lab, seeds: Iterable[int], power: Callable[[int], bool]) -> Figures:
    """One seed after another; nothing of a run is kept but its line in ``seeds.jsonl`` and what is summed."""
    sums: Figures = dict.fromkeys(("seeds", *COUNTED), 0)
    failures: list[str] = []
    problems, seconds = 0, 0.0
    with (lab.evidence / "seeds.jsonl").open("a", buffering=1) as lines:
        for seed in seeds:
            outcome = run_seed(seed, lab.plant, power=power(seed))
            if sums["seeds"] % COLLECT == 0:
                gc.collect()
            lines.write(json.dumps(outcome.to_plain()) + "\n")
            sums["seeds"] += 1
            seconds += outcome.virtual_seconds
            for name in COUNTED:
                sums[name] += getattr(outcome, name)
            if not outcome.passed:
                problems += 1
                _tell(outcome, failures)
                if lab.plant:
                    break
    figures = sums | {"virtual_hours": round(seconds / 3600, 2), "failures": failures, "problems": problems}
    if problems:
        raise Failed(f"{problems} of {sums['seeds']} seeds failed; first: {failures[0]}", figures)
    return figures


def _tell(outcome: Outcome, failures: list[str]) -> None:
    text = f"{outcome.replay}  # {outcome.problems[0]}"
    print(text, flush=True)
    if len(failures) < TOLD:
        failures.append(text[:500])


ROWS = [Row("F3 power cut", power_cut), Row("F28 simulation", everything, tuple(PLANTS))]
