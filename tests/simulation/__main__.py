"""``python -m tests.simulation --seed N``, or ``--seeds COUNT --from K``: exit 1 when a run found something."""

import argparse
import json
import sys

from tests.simulation.api import PLANTS, run_seed


def main() -> int:
    """Run them; one line of JSON for each, and the command that replays what failed on stderr."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--from", type=int, default=0, dest="start")
    parser.add_argument("--plant", choices=sorted(PLANTS))
    parser.add_argument("--power", action="store_true", help="all that dies loses its power")
    parser.add_argument("--trace", action="store_true", help="print what happens")
    asked = parser.parse_args()
    seeds = range(asked.start, asked.start + asked.seeds) if asked.seed is None else [asked.seed]
    failed = 0
    for seed in seeds:
        outcome = run_seed(seed, asked.plant, power=asked.power, show=asked.trace)
        print(json.dumps(outcome.to_plain()), flush=True)
        if not outcome.passed:
            failed += 1
            print(f"seed {seed} failed; again: {outcome.replay}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
