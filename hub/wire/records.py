"""Payloads of journal records (P8). The journal adds LSN, length and checksum, and knows nothing of what is inside.

The first byte says which kind. A kept batch is a head of fixed width, what was rejected of it (only where something
was), and the frame as it was received; the rest is CBOR after the first byte.
"""

from collections.abc import Callable, Sequence
from struct import Struct, error
from typing import Any, Final

from cbor2 import CBORDecodeError, dumps, loads

from hub.wire.codec import decode_device
from hub.wire.errors import RemoteProtocolError
from hub.wire.kept import (
    Birth,
    Born,
    ClockConfirmed,
    Entry,
    EpochGiven,
    Expired,
    Freed,
    Gap,
    Kept,
    Marked,
    Refused,
    Removed,
    Retried,
    Verdict,
)  # fmt: skip
from hub.wire.messages import Batch, Columns, Declared, Dropped, Event, Malformed, Rejection, Reported, Result, Row

KEPT: Final = 1
BORN: Final = 2
EPOCH: Final = 3
GAP: Final = 4
MARKS: Final = 5
RETRIED: Final = 6
REMOVED: Final = 7
CLOCK: Final = 8
EXPIRED: Final = 9

#: kind, birth id, epoch, seq, receive time, time base, rows before, readings, quality, bytes of rejections.
_HEAD: Final = Struct("<BQQQqqQIBI")
_BATCHES: Final = (Row, Columns, Malformed, Event, Reported, Result)


class RecordError(ValueError):
    """The payload is no record of this version, or speaks of a birth that has not been read."""


class MissingBirth(RecordError):
    """The record is of a birth that has not been read; another copy of it may be elsewhere."""

    def __init__(self, lsn: int, birth: int) -> None:
        super().__init__(f"record {lsn} is of birth {birth}, which was not read before it")
        self.birth = birth


def pack_kept(
    birth_id: int, epoch: int, seq: int, received: int, base: int, rows_before: int, verdict: Verdict, frame: bytes
) -> bytes:
    """A batch that is kept, with what was decided about it; ``received`` and ``base`` in us."""
    readings, rejections, quality = verdict
    if not rejections:
        return _HEAD.pack(KEPT, birth_id, epoch, seq, received, base, rows_before, readings, quality, 0) + frame
    told = dumps(rejections)
    head = _HEAD.pack(KEPT, birth_id, epoch, seq, received, base, rows_before, readings, quality, len(told))
    return head + told + frame


def pack_kept_run(
    birth_id: int, epoch: int, seq: int, received: int, rows_before: int, verdict: Verdict, frames: Sequence[bytes]
) -> list[bytes]:
    """``pack_kept`` of one-row batches that follow each other, all with this verdict, which rejects nothing."""
    pack, readings, quality = _HEAD.pack, verdict.received, verdict.quality
    numbered = enumerate(frames)
    return [
        pack(KEPT, birth_id, epoch, seq + at, received, 0, rows_before + at, readings, quality, 0) + frame
        for at, frame in numbered
    ]


def pack_born(birth: Birth) -> bytes:
    """A birth. Where ``birth.id`` is 0, the record's own LSN becomes the id: the first record of a birth."""
    return bytes([BORN]) + dumps([birth.id, birth.device, birth.model, birth.metrics, birth.software])


def pack_epoch(given: EpochGiven) -> bytes:
    """A fresh epoch; the LSN in ``given`` is not written, the journal has it."""
    fields = [given.device, given.epoch, given.previous, given.reason, given.received, given.next, given.double]
    return bytes([EPOCH]) + dumps(fields)


def pack_gap(gap: Gap) -> bytes:
    """A gap; neither LSN nor ``through`` is written."""
    dropped = gap.dropped
    return bytes([GAP]) + dumps(
        [
            gap.device, gap.epoch, dropped.first, dropped.last, dropped.readings, dropped.reason, gap.lost,
            gap.received,
        ]
    )  # fmt: skip


def pack_expired(expired: Expired) -> bytes:
    """What is too old to be kept; the LSN in ``expired`` is not written."""
    return bytes([EXPIRED]) + dumps([expired.through, expired.before, expired.received, expired.readings])


def pack_retried(retried: Retried) -> bytes:
    """Readings that left quarantine for the store; the LSN of the record is not written."""
    readings = [[row, *metric, code, time, value] for row, metric, code, time, value in retried.readings]
    return bytes([RETRIED]) + dumps(
        [
            retried.device, retried.model, retried.epoch, retried.seq, retried.received, retried.rows_before,
            retried.quality, retried.of, retried.by, retried.at, readings,
        ]
    )  # fmt: skip


def pack_removed(removed: Removed) -> bytes:
    """Readings that were dropped from quarantine; the LSN of the record is not written."""
    fields = [removed.device, removed.epoch, removed.of, removed.by, removed.at, removed.readings, removed.seq]
    return bytes([REMOVED]) + dumps(fields)


def pack_clock(confirmed: ClockConfirmed) -> bytes:
    """The hub's clock was confirmed; the LSN of the record is not written."""
    return bytes([CLOCK]) + dumps([confirmed.by, confirmed.at])


def pack_marks(snapshot: bytes) -> bytes:
    """The marks that open a segment; what is inside is the business of ingest."""
    return bytes([MARKS]) + snapshot


def marks_snapshot(payload: bytes) -> bytes | None:
    """What was handed to ``pack_marks``; ``None`` for every other record."""
    return payload[1:] if payload[:1] == bytes([MARKS]) else None


def is_birth(birth: int, lsn: int, payload: bytes) -> bool:
    """Is the record the birth with that id, or a copy of it?"""
    if payload[:1] != bytes([BORN]):
        return False
    try:
        return (loads(payload[1:])[0] or lsn) == birth
    except (CBORDecodeError, TypeError, LookupError):
        return False


def unpack_with(
    lsn: int, payload: bytes, births: dict[int, Birth], find: Callable[[int, int], tuple[int, bytes] | None]
) -> Entry:
    """As ``unpack``; a birth that was not read before is looked for with ``find(birth, lsn)``, which may block."""
    try:
        return unpack(lsn, payload, births)
    except MissingBirth as missing:
        found = find(missing.birth, lsn)
        if found is None:
            raise
        unpack(*found, births)
        return unpack(lsn, payload, births)


def unpack(lsn: int, payload: bytes, births: dict[int, Birth]) -> Entry:
    """The entry of a record, as the journal's tail handed it out but with ``through`` 0.

    A birth is put into ``births`` as it is read; a kept batch looks its birth up there. RecordError when the payload
    is no record.
    """
    try:
        kind = payload[0]
        if kind == KEPT:
            return _kept(lsn, payload, births)
        if kind == MARKS:
            return Marked(lsn)
        fields = loads(payload[1:])
        if kind == BORN:
            return _born(lsn, fields, births)
        if kind == EPOCH:
            return EpochGiven(lsn, *fields)
        if kind == GAP:
            return _gap(lsn, fields)
        if kind == EXPIRED:
            through, before, received, readings = fields
            return Expired(
                lsn, through, before, received, tuple((name, epoch, count) for name, epoch, count in readings)
            )
        if kind == RETRIED:
            return _retried(lsn, fields)
        if kind == REMOVED:
            device, epoch, of, by, at, spots, *seq = fields
            return Removed(lsn, device, epoch, of, by, at, tuple(Refused(*spot) for spot in spots), *seq)
        if kind == CLOCK:
            return ClockConfirmed(lsn, *fields)
    except RemoteProtocolError as wrong:
        raise RecordError(f"record {lsn} holds a frame that is no message: {wrong}") from wrong
    except (IndexError, error, CBORDecodeError, TypeError, ValueError) as wrong:
        if isinstance(wrong, RecordError):
            raise
        raise RecordError(f"record {lsn} cannot be read: {wrong}") from wrong
    raise RecordError(f"record {lsn} is of kind {kind}, which this version does not know")


def _kept(lsn: int, payload: bytes, births: dict[int, Birth]) -> Kept:
    _, birth_id, epoch, seq, received, base, rows_before, readings, quality, told = _HEAD.unpack_from(payload)
    birth = births.get(birth_id)
    if birth is None:
        raise MissingBirth(lsn, birth_id)
    at = _HEAD.size
    rejections: tuple[Rejection, ...] = ()
    if told:
        rejections = tuple(Rejection(*entry) for entry in loads(payload[at : at + told]))
        at += told
    body: Any = decode_device(payload[at:])
    if not isinstance(body, _BATCHES) or body.seq != seq:
        raise RecordError(f"record {lsn} holds a frame that is not batch {seq}")
    batch: Batch = body
    return Kept(
        lsn, birth, epoch, seq, received, base, rows_before, Verdict(readings, rejections, quality), batch,
        len(payload) - at, 0,
    )  # fmt: skip


def _born(lsn: int, fields: list[Any], births: dict[int, Birth]) -> Born:
    birth_id, device, model, metrics, software = fields
    declared = tuple(Declared(*metric) for metric in metrics)
    birth = Birth(birth_id or lsn, device, model, declared, software)
    return Born(lsn, births.setdefault(birth.id, birth))  # one object for each birth: births are compared by identity


def _gap(lsn: int, fields: list[Any]) -> Gap:
    device, epoch, first, last, readings, reason, lost, received = fields
    return Gap(lsn, device, epoch, Dropped(first, last, readings, reason), lost, received, 0)


def _retried(lsn: int, fields: list[Any]) -> Retried:
    device, model, epoch, seq, received, before, quality, of, by, at, readings = fields
    freed = tuple(
        Freed(row, Declared(name, unit, kind), code, time, value)
        for row, name, unit, kind, code, time, value in readings
    )
    return Retried(lsn, device, model, epoch, seq, received, before, quality, of, by, at, freed)
