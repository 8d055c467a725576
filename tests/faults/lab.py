"""What the rows of the fault lab are made of."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from tests.faults.forge import Forge

Figures: TypeAlias = dict[str, Any]
#: Figures of these names are summed over all rows. Those of a row with a planted bug are not.
TOTALS = ("acked", "lost", "duplicated", "kills", "seeds", "planted", "planted_caught")
#: Rows that are simulated, and what share of ``Lab.seeds`` they run. Their kills are not those of processes.
SIMULATED = {"F3": 0.2, "F28": 1.0}
#: The bugs that F29 plants, each once.
PLANTS = (
    "ack-before-sync", "apply-before-sync", "cursor-apart", "no-deduplication", "collection-too-early",
    "no-directory-sync", "retry-after-eio", "window-ignored", "takeover-race", "number-reused",
)  # fmt: skip
OTHER_PLANTS = ("clock-believed",)  # planted by name only: F29 is the ten


class Failed(Exception):
    """What the row has counted does not hold; the text says why. With a planted bug this means: caught. Whatever else a
    row raises says that it could not be carried out, which catches nothing."""

    def __init__(self, why: str, figures: Figures | None = None) -> None:
        super().__init__(why)
        self.figures = figures or {}


@dataclass(frozen=True)
class Lab:
    """What a row gets. ``evidence``: a directory of its own that stays; ``scratch``: one that goes. A row runs in a
    process of its own, which it may patch as it likes; what it prints goes to ``row.log`` beside its evidence.

    ``plant``: the bug to plant, one of the row's ``catches``. ``forge``: makes processes quickly; ``template``: a
    folder that ``telemetrio init`` has made, to be copied. ``memory``: like ``scratch``, in memory where
    the machine has a place for that.
    """

    scratch: Path
    evidence: Path
    seed: int
    quick: bool
    seeds: int
    plant: str | None = None
    forge: "Forge | None" = None
    template: Path | None = None
    memory: Path | None = None


@dataclass(frozen=True)
class Row:
    """A row of the matrix of faults. ``run`` returns its figures or raises Failed; ``catches``: planted bugs that it
    finds.

    For who runs them all: ``seconds`` that it takes on two free cores, and with a planted bug (the longest comes first;
    a bug that several rows find is planted where it is found soonest); ``alone``: it wants the whole machine;
    ``quick``: part of ``--quick``; ``apart``: it runs only when ``--only`` names it, because it takes too long.
    """

    name: str
    run: Callable[[Lab], Figures]
    catches: tuple[str, ...] = ()
    seconds: float = 20.0
    plant_seconds: float = 10.0
    alone: bool = False
    quick: bool = False
    apart: bool = False

    @property
    def number(self) -> str:
        return self.name.split()[0]
