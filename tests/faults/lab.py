"""What the rows of the fault lab are made of."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

Figures: TypeAlias = dict[str, Any]
#: Figures of these names are summed over all rows.
TOTALS = ("acked", "lost", "duplicated", "kills", "seeds", "planted", "planted_caught")


class Failed(Exception):
    """A row does not hold; the text says why."""

    def __init__(self, why: str, figures: Figures | None = None) -> None:
        super().__init__(why)
        self.figures = figures or {}


@dataclass(frozen=True)
class Lab:
    """What a row gets. ``evidence``: a directory of its own that stays; ``scratch``: one that goes."""

    scratch: Path
    evidence: Path
    seed: int
    quick: bool
    seeds: int
    plant: str | None = None


@dataclass(frozen=True)
class Row:
    """A row of the matrix of faults. ``run`` returns its figures or raises Failed; ``catches``: planted bugs that it
    must find."""

    name: str
    run: Callable[[Lab], Figures]
    catches: tuple[str, ...] = ()

    @property
    def number(self) -> str:
        return self.name.split()[0]
