"""A question to the stores, and its answer in columns. The same for the command line, sockets, HTTP and stores."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy.typing as npt

AGGREGATES: Final = ("mean", "min", "max", "count", "first", "last")
MAX_ROWS: Final = 1_000_000  # rows of one answer: what a terminal or notebook can take, and a bound on the hub's memory
DEFAULT_ROWS: Final = 10_000


class QuestionError(ValueError):
    """The question cannot be asked like that; the text says what to write instead."""


@dataclass(frozen=True)
class Question:
    """Which readings: of devices and metrics by name (``None``: all; globs are resolved before a store sees it).

    Times are us since the epoch, ``since`` inclusive, ``until`` exclusive. With ``every`` (us) the answer has one row
    per device, metric and bucket (buckets are aligned to the Unix epoch); with ``aggregates`` and no ``every`` one row
    per device and metric; without both the readings themselves, oldest first, at most ``limit`` newest ones.
    """

    metrics: tuple[str, ...] | None = None
    devices: tuple[str, ...] | None = None
    labels: tuple[tuple[str, str], ...] = ()
    since: int | None = None
    until: int | None = None
    every: int | None = None
    aggregates: tuple[str, ...] = ()
    limit: int = DEFAULT_ROWS

    def to_plain(self) -> dict[str, Any]:
        """As it travels in ``ask``."""
        raise NotImplementedError

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> "Question":
        """Read what travelled; raises QuestionError naming what is wrong."""
        raise NotImplementedError


@dataclass(frozen=True)
class Columns:
    """An answer: equally long columns by name, in order. Always ``device, metric, unit, time``, then ``value, quality``
    or one column per aggregate. Names are lists of str, the rest numpy arrays or lists (text values)."""

    columns: dict[str, "npt.NDArray[Any] | list[Any]"] = field(default_factory=dict)
    truncated: bool = False  # the limit cut it

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), ()))
