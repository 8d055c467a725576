"""Marks that take nothing damaged for settled: those before the damage, and the intact records after it (P10)."""

from hub.ingest.marks import DeviceMarks, Marks, Numbering, Unreadable
from hub.journal import Recovery
from hub.wire.ranges import Ranges


def reconsider(marks: Marks, recovery: Recovery) -> list[Unreadable]:
    """Have ``marks`` say what ``recovery``, which began at older ones, shows to be here: what only the newer ones have
    is open again. Epochs stay as they are given: no number of them is used twice. Blocks: it reads."""
    older = Marks()
    unreadable = older.recover(recovery)
    marks.newest = max(marks.newest, older.newest)
    for device in marks.devices():
        ours, theirs = marks.of(device), older.of(device)
        ours.current = _shown(ours.current, theirs)
        ours.previous = _shown(ours.previous, theirs)
    return unreadable


def settled(numbering: Numbering) -> Ranges:
    """All its numbers that are settled."""
    every = numbering.held.copy()
    every.add(1, numbering.prefix)
    return every


def numbering_of(marks: Marks, device: str, epoch: int) -> Numbering | None:
    """The numbering of an epoch that a hello may still name; null for every other one."""
    found = marks.of(device)
    return next((each for each in (found.current, found.previous) if each and each.epoch == epoch), None)


def _shown(newer: Numbering | None, older: DeviceMarks) -> Numbering | None:
    """A numbering of the newer marks, with what is there of it."""
    if newer is None:
        return None
    found = next((each for each in (older.current, older.previous) if each and each.epoch == newer.epoch), None)
    shown = found or Numbering(newer.epoch)
    shown.double = newer.double
    shown.rows = max(shown.rows, newer.rows)  # no row gets the place of one that is lost
    return shown
