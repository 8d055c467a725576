"""Marks that take nothing damaged for settled: those before the damage, and the intact records after it (P10)."""

from hub.ingest.marks import Marks, Unreadable
from hub.ingest.numbering import DeviceMarks, Numbering
from hub.journal import Recovery


def reconsider(marks: Marks, recovery: Recovery) -> list[Unreadable]:
    """Have ``marks`` say what ``recovery``, which began at older ones, shows to be here: what only the newer ones have
    is open again. Epochs stay as they are given: no number of them is used twice. Blocks: it reads."""
    older = Marks()
    unreadable = older.recover(recovery)
    for device in marks.devices():
        ours, theirs = marks.of(device), older.of(device)
        ours.current = _shown(ours.current, theirs)
        ours.previous = _shown(ours.previous, theirs)
    return unreadable


def _shown(newer: Numbering | None, older: DeviceMarks) -> Numbering | None:
    """A numbering of the newer marks, with what is there of it."""
    if newer is None:
        return None
    shown = older.numbering(newer.epoch) or Numbering(newer.epoch)
    shown.double = newer.double
    shown.rows = max(shown.rows, newer.rows)  # no row gets the place of one that is lost
    return shown
