"""The door of the simulation: one seed, one run, one outcome. ``PLANTS``: bugs that can be planted, by name."""

from dataclasses import asdict, dataclass, field
from typing import Any

from tests.simulation.plants import NONE, PLANTS

__all__ = ["PLANTS", "Outcome", "run_seed"]


@dataclass
class Outcome:
    """What one run showed. ``problems`` is empty when nothing was lost, doubled or invented; ``trace``: a hash that two
    runs of one seed share. Counts of readings, and of events."""

    seed: int
    plant: str | None = None
    power: bool = False
    problems: list[str] = field(default_factory=list)
    virtual_seconds: float = 0.0
    acked: int = 0
    stored: int = 0
    rejected: int = 0
    lost: int = 0
    duplicated: int = 0
    invented: int = 0
    kills: int = 0
    power_cuts: int = 0
    unsynced_bytes: int = 0  # that power cuts put at risk
    takeovers: int = 0
    trace: str = ""

    @property
    def passed(self) -> bool:
        return not self.problems

    @property
    def replay(self) -> str:
        """The command that shows it again."""
        plant = f" --plant {self.plant}" if self.plant else ""
        return f"python -m tests.simulation --seed {self.seed}{' --power' * self.power}{plant}"

    def to_plain(self) -> dict[str, Any]:
        """As a JSON object."""
        return {**asdict(self), "passed": self.passed}


def run_seed(seed: int, plant: str | None = None, *, power: bool = False, show: bool = False) -> Outcome:
    """Run one simulation to its end. Deterministic: the seed decides everything. KeyError for an unknown plant.
    ``power``: all that dies loses its power; ``show`` prints what happens."""
    from tests.simulation.world import World

    outcome = Outcome(seed, plant, power)
    with NONE() if plant is None else PLANTS[plant]():
        World(outcome, show=show).run()
    return outcome
