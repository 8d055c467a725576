"""The numbers of a spool: what must not be forgotten, and which batch has which of them.

A batch gets a *place* when it is kept, for ever; places only rise. Its seq changes when a fresh epoch numbers what is
held from 1 (P2). So what is on disk stays as it is, and one small record says how places and numbers go together.
"""

import json
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

VERSION = 1


class Run(NamedTuple):
    """Batches of consecutive places and consecutive numbers; ``many`` null: all from here on."""

    place: int
    seq: int
    many: int | None


class Numbering:
    """Places to numbers and back. Numbers go on without a gap from run to run, places may leave some out."""

    __slots__ = ("_places", "_seqs", "runs")

    def __init__(self, runs: Iterable[Run] = (Run(1, 1, None),)) -> None:
        self.runs = list(runs)
        self._places = [run.place for run in self.runs]
        self._seqs = [run.seq for run in self.runs]

    def seq(self, place: int) -> int | None:
        """The number of the batch at ``place``; None when it was settled in an earlier epoch."""
        at = bisect_right(self._places, place) - 1
        if at < 0:
            return None
        run = self.runs[at]
        beyond = run.many is not None and place >= run.place + run.many
        return None if beyond else run.seq + place - run.place

    def place(self, seq: int) -> int:
        """Where the batch with this number is, or will be."""
        run = self.runs[max(0, bisect_right(self._seqs, seq) - 1)]
        return run.place + seq - run.seq

    def from_one(self, kept: Iterable[tuple[int, int]], next: int) -> "Numbering":
        """The same when the numbers ``kept`` (ascending ranges) become 1, 2, 3 and so on, and after them come the
        batches from ``next`` up."""
        runs: list[Run] = []
        seq = 1

        def add(place: int, count: int) -> None:
            nonlocal seq
            before = runs[-1] if runs else None
            if before is not None and before.many is not None and before.place + before.many == place:
                runs[-1] = before._replace(many=before.many + count)
            else:
                runs.append(Run(place, seq, count))
            seq += count

        for first, last in kept:
            while first <= last:
                run = self.runs[max(0, bisect_right(self._seqs, first) - 1)]
                stop = last if run.many is None else min(last, run.seq + run.many - 1)
                add(self.place(first), stop + 1 - first)
                first = stop + 1
        add(self.place(next), 0)
        return Numbering([*runs[:-1], runs[-1]._replace(many=None)])

    def without(self, settled: int) -> "Numbering":
        """The same without the runs that end at or before the number ``settled``."""
        first = next(at for at, run in enumerate(self.runs) if run.many is None or run.seq + run.many - 1 > settled)
        return self if first == 0 else Numbering(self.runs[first:])


class Hole(NamedTuple):
    """Numbers that will never be sent."""

    first: int
    last: int
    readings: int | None
    reason: str


@dataclass(frozen=True)
class Numbers:
    """What must not be forgotten. ``reserved``: every number up to it may have left; ``held``: ranges above ``acked``
    that the hub has; ``holes``: numbers that will never be sent; ``suspect``: epoch, and what was settled, when the hub
    closed over what came next (P11)."""

    epoch: int | None = None
    log: str | None = None
    acked: int = 0
    reserved: int = 0
    held: tuple[tuple[int, int], ...] = ()
    numbering: Numbering = field(default_factory=Numbering)
    holes: tuple[Hole, ...] = ()
    suspect: tuple[int, int] | None = None

    def to_bytes(self) -> bytes:
        """JSON."""
        fields: list[Any] = [self.epoch, self.log, self.acked, self.reserved, self.held, self.numbering.runs]
        fields += [self.holes] if self.suspect is None else [self.holes, self.suspect]
        return json.dumps([VERSION, *fields], separators=(",", ":")).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> "Numbers":
        """What ``to_bytes`` wrote; ValueError when another version did."""
        version, *fields = json.loads(data)
        if version != VERSION:
            raise ValueError(f"numbers of version {version}")
        epoch, log, acked, reserved, held, runs, holes, *suspect = fields
        return cls(
            epoch, log, acked, reserved, tuple((first, last) for first, last in held),
            Numbering(Run(*run) for run in runs), tuple(Hole(*hole) for hole in holes),
            tuple(suspect[0]) if suspect else None,
        )  # fmt: skip
