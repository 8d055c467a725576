"""Rows of a journal that is not what was written: its tail, its bits, its blocks; in process, on disks in memory."""

import json
import random
from collections.abc import Iterator
from pathlib import Path

from hub.journal import records_after
from hub.journal.archive import ArchivedSegment, archive_path, open_segment
from hub.journal.segments import SegmentReader, segments
from tests.faults.damaged_journal import Outcome, Sound, Where, archived, first_of, flipped, garbage, recovered, written
from tests.faults.lab import Failed, Figures, Lab, Row
from tests.faults.sent_again import sent_again
from tests.journal.driving import DIRECTORY
from tests.journal.test_recovery import told
from tests.simulation.files import SimulatedFiles

SIZE = 64 * 1024  # bytes of the journal
TAILS, FEW_TAILS = 200, 20
TAIL_BYTES = 4096
STEP, LARGE_STEP = 64, 2048  # bytes between two flips
BLOCK = 4096  # bytes that are zeroed together
ARCHIVE_SIZE = 150 * 1024  # bytes of the journal whose closed segment is archived, in several blocks


def torn_tail(lab: Lab) -> Figures:
    """F4: the end of the newest segment is cut, or something else stands behind it."""
    sound, chance = written(SIZE), random.Random(lab.seed)
    content = sound.contents[sound.newest]
    figures: Figures = {"cases": 0, "cut": 0, "garbage": 0, "again": 0, "lost": 0, "duplicated": 0}
    for number in range(FEW_TAILS if lab.quick else TAILS):
        size = chance.randint(1, TAIL_BYTES)
        cut = number % 2 == 0
        left = content[:-size] if cut else content + garbage(sound, size, chance)
        outcome = recovered(sound, sound.disk({sound.newest: left}), holding=True)
        hit = sound.hit(first_of(sound.newest), len(left), len(content)) if cut else []
        _missing(figures, outcome, hit, f"case {number}: {'cut' if cut else 'garbage of'} {size} bytes")
        figures["cases"] += 1
        figures["cut" if cut else "garbage"] += 1
        figures["again"] += len(outcome.again)
    return figures


def bits_and_blocks(lab: Lab) -> Figures:
    """F5: a bit in every 64th byte, a zeroed block, an archived segment; real devices and a real hub in the end."""
    sound = written(SIZE)
    (lab.evidence / "journal.json").write_text(json.dumps([str(each) for each in sound.records]))
    figures = _flips(sound, LARGE_STEP if lab.quick else STEP)
    figures |= {f"blocks_{name}": figure for name, figure in _blocks(sound).items()}
    figures |= {f"archive_{name}": figure for name, figure in _archive(LARGE_STEP if lab.quick else STEP).items()}
    if not lab.quick:
        (lab.evidence / "real").mkdir()
        figures |= {f"real_{name}": figure for name, figure in sent_again(lab.scratch, lab.evidence / "real").items()}
        figures["acked"] = figures.pop("real_acked")
    for name in ("lost", "duplicated"):
        figures[name] += figures.pop(f"blocks_{name}") + figures.pop(f"real_{name}", 0)
    return figures


def _flips(sound: Sound, step: int) -> Figures:
    figures: Figures = {"flips": 0, "cost_a_record": 0, "cost_nothing": 0, "booked": 0}
    figures |= {"again": 0, "lost": 0, "duplicated": 0}
    for path, at in _places(sound, step):
        outcome = recovered(sound, sound.disk({path: flipped(sound.contents[path], at)}), holding=at // step % 2 == 0)
        _account(figures, outcome, sound.hit(first_of(path), at, at + 1), f"byte {at} of {path.name}")
        figures["flips"] += 1
        figures["again"] += len(outcome.again)
        figures["booked"] += len(outcome.lost)
        figures["cost_a_record" if outcome.missing else "cost_nothing"] += 1
    return figures | {"detected_percent": 100.0}  # the first that is not detected ends the row


def _places(sound: Sound, step: int) -> Iterator[tuple[Path, int]]:
    for path, content in sound.contents.items():
        yield from ((path, at) for at in range(0, len(content), step))


def _blocks(sound: Sound) -> Figures:
    figures: Figures = {"zeroed": 0, "lost": 0, "duplicated": 0, "batches_missing_max": 0}
    for path, at in _places(sound, BLOCK):
        for holding in (True, False):
            content = bytearray(sound.contents[path])
            content[at : at + BLOCK] = bytes(len(content[at : at + BLOCK]))
            outcome = recovered(sound, sound.disk({path: bytes(content)}), holding=holding)
            hit = [each for each in sound.hit(first_of(path), at, at + BLOCK) if _changed(each, sound, path, content)]
            _account(figures, outcome, hit, f"block at {at} of {path.name}")
            figures["zeroed"] += 1
            figures["batches_missing_max"] = max(figures["batches_missing_max"], len(outcome.missing))
    return figures


def _changed(record: Where, sound: Sound, path: Path, content: bytes) -> bool:
    """Some of its bytes were not zeros."""
    return sound.contents[path][record.start : record.stop] != content[record.start : record.stop]


def _account(figures: Figures, outcome: Outcome, hit: list[Where], case: str) -> None:
    """It is detected, and exactly the records that were hit are told."""
    lsns = {each.lsn for each in hit}
    torn = {lsn for lsn in lsns if any(one.torn and lsn >= one.first_lsn for one in outcome.damage)}
    if not outcome.damage:
        raise Failed(f"{case}: nobody noticed", figures)
    if told(outcome.damage) | torn != lsns:
        raise Failed(f"{case}: records {sorted(lsns)} were hit, {outcome.damage} is told", figures)
    _missing(figures, outcome, hit, case)


def _missing(figures: Figures, outcome: Outcome, hit: list[Where], case: str) -> None:
    """Exactly what was hit was missing; all of that is here again or booked as lost; nothing is here twice."""
    figures["lost"] += outcome.gone
    figures["duplicated"] += outcome.doubled
    batches = {each.batch for each in hit if each.batch is not None}
    if outcome.missing != batches:
        raise Failed(f"{case}: {sorted(batches)} were hit, {sorted(outcome.missing)} are missing", figures)
    if outcome.gone or outcome.doubled:
        raise Failed(f"{case}: {outcome.gone} batches are gone, {outcome.doubled} are here twice", figures)


def _archive(step: int) -> Figures:
    """Flips in an archived segment: each costs one block at most, and which records is told exactly."""
    files = archived(written(ARCHIVE_SIZE, ARCHIVE_SIZE - 2 * BLOCK))
    path = archive_path(DIRECTORY, 1)
    sound = bytes(files.content(path))
    blocks = ArchivedSegment(files.open(path)).blocks
    whole = {lsn for lsn, _ in records_after(DIRECTORY, files, 0)}
    figures: Figures = {"flips": 0, "blocks": len(blocks), "records_lost_max": 0, "cost_nothing": 0}
    starts = [block.first_lsn for block in blocks]
    for at in range(0, len(sound), step):
        files.damage(path, flipped(sound, at))
        found, reader = _read(files)
        missing = {lsn for lsn in whole if lsn < segments(DIRECTORY, files)[1]} - found
        if told(reader.damage) != missing or not (missing or _flawed(reader)):
            raise Failed(f"byte {at} of {path.name}: {len(missing)} records are missing, {reader.damage} is told")
        if len({max(start for start in starts if start <= lsn) for lsn in missing}) > 1:
            raise Failed(f"byte {at} of {path.name} costs more than a block")
        figures["flips"] += 1
        figures["cost_nothing"] += not missing
        figures["records_lost_max"] = max(figures["records_lost_max"], len(missing))
    return figures


def _read(files: SimulatedFiles) -> tuple[set[int], SegmentReader]:
    first, following = segments(DIRECTORY, files)[:2]
    reader = SegmentReader(open_segment(DIRECTORY, files, first), first, following=following)
    found: set[int] = set()
    while chunk := reader.read():
        found |= {lsn for lsn, _ in chunk}
    reader.finish()
    return found, reader


def _flawed(reader: SegmentReader) -> bool:
    return isinstance(reader.file, ArchivedSegment) and reader.file.flawed


ROWS = [Row("F4 torn tail", torn_tail), Row("F5 bits and blocks", bits_and_blocks, seconds=55.0)]
