"""Entries for tests of stores, made by hand: what a verdict would have said is said by the test."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from hub.wire.kept import Birth, Kept, Verdict
from hub.wire.messages import GOOD, Columns, Declared, Event, Malformed, Offsets, Regular, Rejection, Row

T0 = 1_790_000_000_000_000  # us; some day in September 2026
SECOND = 1_000_000
MINUTE = 60 * SECOND

WEATHER = (Declared("temperature", "Cel", "float64"), Declared("humidity", "%RH", "float64"))
FREEZER = (
    Declared("temperature", "Cel", "decimal(2)"), Declared("door_open", "", "bool"), Declared("state", "", "text"),
)  # fmt: skip


def birth(id: int, device: str, metrics: Sequence[Declared] = WEATHER) -> Birth:
    return Birth(id, device, "model", tuple(metrics), "test")


def row(
    lsn: int,
    of: Birth,
    time: int | None,
    values: list[Any],
    *,
    quality: int = GOOD,
    base: int = 0,
    rejections: tuple[Rejection, ...] = (),
    received: int | None = None,
    epoch: int = 1,
    seq: int | None = None,
) -> Kept:
    seq = lsn if seq is None else seq
    count = sum(value is not None for value in values)
    at = received if received is not None else base + (time or 0)
    return Kept(lsn, of, epoch, seq, at, base, lsn, Verdict(count, rejections, quality), Row(seq, time, values), 60, 0)


def columns(
    lsn: int,
    of: Birth,
    times: Regular | Offsets,
    content: list[tuple[int, Any]],
    *,
    quality: int = GOOD,
    base: int = 0,
    rejections: tuple[Rejection, ...] = (),
    received: int = T0,
) -> Kept:
    count = sum(sum(value is not None for value in values) for _, values in content)
    body = Columns(lsn, times, content)
    return Kept(lsn, of, 1, lsn, received, base, 0, Verdict(count, rejections, quality), body, 1000, 0)


def every_second(rows: int, start: int | None = T0) -> Regular:
    return Regular(start, SECOND, rows)


def floats(*values: float) -> Any:
    return np.array(values, dtype="<f8")


def malformed(lsn: int, of: Birth) -> Kept:
    rejections = (Rejection(-1, "malformed", 0, 1, "no"),)
    return Kept(lsn, of, 1, lsn, T0, 0, 0, Verdict(1, rejections, GOOD), Malformed(lsn, "no"), 9, 0)


def event(lsn: int, of: Birth) -> Kept:
    return Kept(lsn, of, 1, lsn, T0, 0, 0, Verdict(0, (), GOOD), Event(lsn, T0, "info", "door opened"), 9, 0)
