"""Finding out what a spool holds: the numbers, the batches that are intact, and the holes between them (P3)."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from devices.disk.files import NUMBERS, RECORD_BYTES, BatchFile, Kept, SpoolFiles
from devices.disk.numbers import Hole, Numbers
from devices.line import Held, Item, Stretch
from hub.wire.ranges import Ranges

MOST_AHEAD: Final = 1024  # numbers that are reserved ahead at most
UNCLEAN: Final = "not on the device's disk after it stopped without warning"


@dataclass
class Found:
    """What is there: ``numbers`` (reserved up to the highest that may have left), the line, the files. ``readings``: in
    the batches. ``damaged``: files in which something else stands between the records; one that was not synced before
    a power cut is no news at the end of the last."""

    numbers: Numbers
    line: list[Item]
    files: list[BatchFile]
    readings: int
    damaged: list[str]


def recover(disk: SpoolFiles) -> Found:
    """Make durable what is there and read it all; ValueError when another version has written it. Blocks."""
    disk.make_durable()
    known, torn = disk.load_numbers()
    numbers = known or Numbers()
    held = Ranges(numbers.held)
    known_holes = Ranges((hole.first, hole.last) for hole in numbers.holes)
    stretches: list[Stretch] = []
    files: list[BatchFile] = []
    damaged = [NUMBERS] if torn and known is None else []
    highest, readings, ceiling = 0, 0, math.inf
    for name in reversed(disk.batch_files()):  # from the newest back: where two have a place, the newer one counts
        batches, wrong = disk.read_batches(name)
        batches = [batch for batch in batches if batch.place < ceiling]
        file = BatchFile(name, last=batches[-1].place if batches else 0)
        file.size = sum(len(batch.frame) + RECORD_BYTES for batch in batches)
        files.insert(0, file)
        if wrong:
            damaged.append(name)
        if batches:
            ceiling = batches[0].place
        numbered = [(numbers.numbering.seq(batch.place), batch) for batch in batches]
        highest = max([highest, *(seq for seq, _ in numbered if seq is not None)])
        here = [
            (seq, batch)
            for seq, batch in numbered
            if seq is not None and seq > numbers.acked and seq not in held and seq not in known_holes
        ]
        readings += sum(batch.readings for _, batch in here)
        stretches[:0] = _stretches(here, file)
    reserved = max(numbers.reserved, highest, known_holes.highest or 0)
    if torn and numbers.epoch is not None:
        reserved += MOST_AHEAD  # the record that is damaged may have said more
    numbers = replace(numbers, reserved=reserved)
    return Found(numbers, _line(numbers, stretches), files, readings, damaged)


def _stretches(batches: Iterable[tuple[int, Kept]], file: BatchFile) -> list[Stretch]:
    found: list[Stretch] = []
    for seq, batch in batches:
        if found and found[-1].last + 1 == seq:
            found[-1].last = seq
            found[-1].readings = (found[-1].readings or 0) + batch.readings
        else:
            found.append(Stretch(seq, seq, batch.readings, file))
    return found


def _line(numbers: Numbers, stretches: list[Stretch]) -> list[Item]:
    """What is held, in order: every number above ``acked`` that may have left is settled, in a stretch or in a hole."""
    settled = Ranges([(1, numbers.acked), *numbers.held])
    holes: list[Held] = []
    for hole in numbers.holes:
        left = settled.missing(hole.first, hole.last).pairs()
        whole = left == [(hole.first, hole.last)]
        holes += [_hole(Hole(first, last, hole.readings if whole else None, hole.reason)) for first, last in left]
    line: list[Item] = [*stretches, *holes]
    for item in line:
        settled.add(item.seq, item.last)
    if numbers.epoch is None:  # nothing has left by these numbers: none before the first is missed by anybody
        settled.add(1, min((item.seq for item in line), default=numbers.reserved + 1) - 1)
    missing = settled.missing(1, numbers.reserved)
    line += [_hole(Hole(first, last, None, UNCLEAN)) for first, last in missing]
    return sorted(line, key=lambda item: item.seq)


def _hole(hole: Hole) -> Held:
    return Held(hole.first, hole.last, None, hole.readings, 0.0, hole.reason)
