"""Marks that take nothing damaged for settled: those before the damage, and the intact records after it (P10)."""

from collections.abc import Iterable
from dataclasses import asdict
from typing import Final

import structlog

from hub.ingest.marks import Marks, Unreadable
from hub.ingest.numbering import DeviceMarks, Numbering
from hub.journal import Damage, Journal
from hub.wire.ranges import Ranges

log: Final = structlog.get_logger(__name__)


def tell(journal: Journal, unreadable: Iterable[Unreadable]) -> None:
    """What these records said is gone, as if they were damaged: their birth is."""
    why = {record.lsn: record.why for record in unreadable}
    damage = [
        Damage(journal.on_disk.segment_of(first), 0, 0, first, last)
        for first, last in Ranges((lsn, lsn) for lsn in why)
    ]
    for one in damage:
        log.error("records of the journal cannot be understood", **asdict(one), why=why[one.first_lsn])
    journal.noticed(damage)


def reconsider(marks: Marks, older: Marks) -> None:
    """Have ``marks`` say what ``older`` ones, and the intact records after them, show to be here: what only the newer
    ones have is open again. Epochs stay as they are given: no number of them is used twice."""
    for device in marks.devices():
        ours, theirs = marks.of(device), older.of(device)
        ours.current = _shown(ours.current, theirs)
        ours.previous = _shown(ours.previous, theirs)


def _shown(newer: Numbering | None, older: DeviceMarks) -> Numbering | None:
    """A numbering of the newer marks, with what is there of it."""
    if newer is None:
        return None
    shown = older.numbering(newer.epoch) or Numbering(newer.epoch)
    shown.double = newer.double
    shown.rows = max(shown.rows, newer.rows)  # no row gets the place of one that is lost
    return shown
