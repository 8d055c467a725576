"""The whole hub and twenty devices in one process, on a virtual clock, under faults: what was acked is stored once."""

import pytest

from tests.simulation.api import run_seed

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("seed", range(3))
def test_what_was_acked_is_stored_once(seed: int) -> None:
    outcome = run_seed(seed)
    assert outcome.passed, f"{outcome.problems}; again: {outcome.replay}"
    assert outcome.acked > 300


def test_a_seed_gives_the_same_run_twice() -> None:
    first, second = run_seed(0), run_seed(0)
    assert first == second


@pytest.mark.parametrize("plant", ["ack-before-sync", "no-directory-sync"])
def test_a_planted_bug_is_caught(plant: str) -> None:
    outcome = run_seed(0, plant)
    assert outcome.lost
    assert outcome.duplicated
