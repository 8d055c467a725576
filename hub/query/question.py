"""A question to the stores, and its answer in columns. The same for the command line, sockets, HTTP and stores."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Final

from hub.query.aggregates import AGGREGATES

if TYPE_CHECKING:
    import numpy.typing as npt  # the command line shows its help without waiting for numpy

MAX_ROWS: Final = 1_000_000  # rows of one answer: what a terminal or notebook can take, and a bound on the hub's memory
DEFAULT_ROWS: Final = 10_000
MAX_NAMES: Final = 10_000  # of devices or of metrics in one question
MAX_TIME: Final = 2**53  # us: exact in a double; the year 2255


class QuestionError(ValueError):
    """The question cannot be asked like that; the text says what to write instead."""


@dataclass(frozen=True)
class Question:
    """Which readings: of devices and metrics by name (``None``: all; globs are resolved before a store sees it).

    Times are us since the epoch, ``since`` inclusive, ``until`` exclusive. With ``every`` (us) the answer has one row
    per device, metric and bucket (buckets are aligned to the Unix epoch) with the ``aggregates``, or the mean where
    none is named; with ``aggregates`` and no ``every`` one row per device and metric, at the time of its newest
    reading; without both the readings themselves. Rows come oldest first (aggregates of one time by device, then by
    metric), and at most the ``limit`` newest ones. Aggregates are of numbers: texts are left out.
    """

    metrics: tuple[str, ...] | None = None
    devices: tuple[str, ...] | None = None
    labels: tuple[tuple[str, str], ...] = ()
    since: int | None = None
    until: int | None = None
    every: int | None = None
    aggregates: tuple[str, ...] = ()
    limit: int = DEFAULT_ROWS

    def __post_init__(self) -> None:
        if self.since is not None and self.until is not None and self.since >= self.until:
            raise QuestionError("the end is not after the start: swap --since and --until")
        if self.every is not None and self.every < 1:
            raise QuestionError("every must be at least 1 us: write --every 1m")
        if not 1 <= self.limit <= MAX_ROWS:
            raise QuestionError(f"limit must be from 1 to {MAX_ROWS}")
        for name in self.aggregates:
            if name not in AGGREGATES:
                raise QuestionError(f"{name!a} is no aggregate: use {', '.join(AGGREGATES)}")
        if len(set(self.aggregates)) < len(self.aggregates):
            raise QuestionError("an aggregate is named twice: name each once")

    @property
    def wanted(self) -> tuple[str, ...]:
        """The aggregates of the answer; none when it is of the readings themselves."""
        return self.aggregates or (("mean",) if self.every is not None else ())

    def to_plain(self) -> dict[str, Any]:
        """As it travels in ``ask``: what is not set is left out."""
        plain: dict[str, Any] = {}
        for entry in fields(self):
            value = getattr(self, entry.name)
            if value is not None and value != entry.default:
                plain[entry.name] = list(value) if isinstance(value, tuple) else value
        if self.labels:
            plain["labels"] = dict(self.labels)
        return plain

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> "Question":
        """Read what travelled; raises QuestionError naming what is wrong."""
        known = {entry.name for entry in fields(cls)}
        for key in plain:
            if key not in known:
                raise QuestionError(f"{key!a} is not part of a question: use {', '.join(sorted(known))}")
        limit = _whole(plain, "limit", MAX_ROWS)
        return cls(
            metrics=_names(plain, "metrics"),
            devices=_names(plain, "devices"),
            labels=_labels(plain),
            since=_whole(plain, "since", MAX_TIME),
            until=_whole(plain, "until", MAX_TIME),
            every=_whole(plain, "every", MAX_TIME),
            aggregates=_names(plain, "aggregates") or (),
            limit=DEFAULT_ROWS if limit is None else limit,
        )


@dataclass(frozen=True)
class Columns:
    """An answer: equally long columns by name, in order. Of a question ``device, metric, unit, time``, then ``value,
    quality`` or one column per aggregate. Names are lists of str, the rest numpy arrays or lists (text values)."""

    columns: dict[str, "npt.NDArray[Any] | list[Any]"] = field(default_factory=dict)
    truncated: bool = False  # the limit cut it

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), ()))

    def rows(self) -> Iterator[tuple[Any, ...]]:
        """The same row by row, as Python values."""
        plain = (column if isinstance(column, list) else column.tolist() for column in self.columns.values())
        return zip(*plain, strict=True)


def _names(plain: Mapping[str, Any], key: str) -> tuple[str, ...] | None:
    value = plain.get(key)
    if value is None:
        return None
    if (
        not isinstance(value, list | tuple)
        or len(value) > MAX_NAMES
        or not all(isinstance(name, str) for name in value)
    ):
        raise QuestionError(f"{key} must be a list of at most {MAX_NAMES} texts")
    return tuple(value)


def _labels(plain: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    value = plain.get("labels")
    if value is None:
        return ()
    if not isinstance(value, Mapping) or len(value) > MAX_NAMES:
        raise QuestionError("labels must be a map of texts to texts")
    if not all(isinstance(key, str) and isinstance(text, str) for key, text in value.items()):
        raise QuestionError("labels must be a map of texts to texts")
    return tuple(sorted(value.items()))


def _whole(plain: Mapping[str, Any], key: str, most: int) -> int | None:
    value = plain.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
        raise QuestionError(f"{key} must be a whole number from 0 to {most}")
    return value
