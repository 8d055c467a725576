"""The simulation itself: a seed is a run, what breaks a promise is counted, and a plant is found. ``./run faults`` runs
the seeds."""

from collections.abc import Callable
from pathlib import Path

import pytest

from hub.store.memory import Reading
from tests.faults.lab import Failed, Lab
from tests.faults.rows import simulation
from tests.simulation.api import PLANTS, Outcome, run_seed
from tests.simulation.store import SimulatedStore

pytestmark = pytest.mark.slow

MakeLab = Callable[[str | None], Lab]


@pytest.fixture
def make_lab(tmp_path: Path) -> MakeLab:
    return lambda plant: Lab(scratch=tmp_path, evidence=tmp_path, seed=0, quick=True, seeds=5, plant=plant)


@pytest.mark.parametrize("power", [False, True])
def test_what_was_acked_is_stored_once(power: bool) -> None:
    outcome = run_seed(1, power=power)
    assert outcome.passed, f"{outcome.problems}; again: {outcome.replay}"
    assert outcome.acked > 100
    assert outcome.power_cuts + outcome.kills > 3
    assert outcome.kills == 0 or not power


def test_a_seed_gives_the_same_run_twice() -> None:
    assert run_seed(1) == run_seed(1)


def test_what_is_shown_is_what_happens(capsys: pytest.CaptureFixture[str]) -> None:
    hidden, shown = run_seed(2), run_seed(2, show=True)
    assert hidden == shown
    assert "the hub is up" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("spoil", "counted"),
    [
        (lambda readings: readings[:-1], "lost"),
        (lambda readings: [*readings, readings[-1]], "duplicated"),
        (lambda readings: [*readings, readings[-1]._replace(value=1e6)], "invented"),
    ],
)
def test_the_checker_sees_what_is_not_as_it_was(
    monkeypatch: pytest.MonkeyPatch, spoil: Callable[[list[Reading]], list[Reading]], counted: str
) -> None:
    honest = SimulatedStore.ever
    monkeypatch.setattr(SimulatedStore, "ever", lambda store: spoil(honest(store)))
    outcome = run_seed(1)
    assert getattr(outcome, counted) == 1
    assert not outcome.passed


def test_a_row_tells_how_to_see_a_failure_again(make_lab: MakeLab, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(seed: int, plant: str | None, *, power: bool) -> Outcome:
        outcome = Outcome(seed, plant, power, acked=10, virtual_seconds=36.0)
        if seed == 3:
            outcome.lost, outcome.problems = 1, ["acked and not stored"]
        return outcome

    monkeypatch.setattr(simulation, "run_seed", run)
    with pytest.raises(Failed, match=r"1 of 5 seeds failed; first: python -m tests\.simulation --seed 3 ") as failed:
        simulation.everything(make_lab(None))
    figures = failed.value.figures
    assert (figures["seeds"], figures["acked"], figures["lost"], figures["problems"]) == (5, 50, 1, 1)
    assert figures["virtual_hours"] == 0.05
    assert len((make_lab(None).evidence / "seeds.jsonl").read_text().splitlines()) == 5


def test_a_planted_bug_is_found_by_what_is_counted(make_lab: MakeLab) -> None:
    with pytest.raises(Failed) as failed:
        simulation.everything(make_lab("no-deduplication"))
    assert failed.value.figures["duplicated"]
    assert set(simulation.ROWS[1].catches) == set(PLANTS)


def test_time_a_hub_that_believes_its_clock_is_found(make_lab: MakeLab) -> None:
    with pytest.raises(Failed, match=r"though nothing above .* is too old"):
        simulation.everything(make_lab("clock-believed"))
