"""Records of the journal: what is read back is what the tail handed out (P8)."""

from dataclasses import astuple
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.wire import messages as m
from hub.wire import records
from hub.wire.codec import encode
from hub.wire.kept import (
    Birth,
    Born,
    ClockConfirmed,
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
)
from hub.wire.rows import UPTIME_END, accepted_mask, event_time, resolved_times, row_count
from tests.wire import strategies as draw
from tests.wire.same import same

BIRTH = Birth(3, "freezer-1", "cold-chain-freezer", (m.Declared("temperature", "Cel", "float64"),), "fw 1")
verdicts = st.builds(
    Verdict,
    st.integers(0, 2**32 - 1),
    st.lists(draw.rejections, max_size=3).map(tuple),
    st.sampled_from([m.GOOD, m.TIME_UNKNOWN, m.REWOUND]),
)
times = st.integers(-(2**60), 2**60)
numbered = draw.batches.filter(lambda batch: batch.seq is not None)


@settings(max_examples=200, deadline=None)
@given(numbered, verdicts, draw.numbers, times, times, st.integers(0, 2**60))
def test_p8_a_batch_read_back_is_the_batch_of_the_tail(
    body: Any, verdict: Verdict, epoch: int, received: int, base: int, rows_before: int
) -> None:
    frame = encode(body)
    tail = Kept(9, BIRTH, epoch, body.seq, received, base, rows_before, verdict, body, len(frame), 0)
    payload = records.pack_kept(BIRTH.id, epoch, body.seq, received, base, rows_before, verdict, frame)
    read = records.unpack(9, payload, {BIRTH.id: BIRTH})
    assert isinstance(read, Kept)
    assert same(tuple(read), tuple(tail))
    if _fits(tail):
        assert same(resolved_times(read), resolved_times(tail))
    for index in range(3):
        mask = accepted_mask(read, index, row_count(body))
        assert same(mask, accepted_mask(tail, index, row_count(body)))


def _fits(kept: Kept) -> bool:
    """Whether the times of a batch drawn at random can be resolved: ingest rejects those that cannot."""
    body = kept.body
    spans = {m.Row: lambda row: [row.time or 0]}
    if type(body) is m.Columns:
        start = body.times[0] or 0
        ends = [start + int(step) for step in _steps(body.times)]
    else:
        ends = spans.get(type(body), lambda _: [0])(body)  # type: ignore[no-untyped-call]
    return all(-(2**63) <= kept.base + end < 2**63 for end in ends)


def _steps(spread: m.Regular | m.Offsets) -> list[int]:
    if isinstance(spread, m.Regular):
        return [0, spread.step * (spread.rows - 1)]
    return [int(spread.offsets.min()), int(spread.offsets.max())]  # type: ignore[call-overload]


def test_p8_a_malformed_batch_keeps_its_frame() -> None:
    frame = b"\x83\x02\x05\xf6"
    verdict = Verdict(0, (m.Rejection(-1, "malformed", 0, 0, "this message has 4 fields"),), m.GOOD)
    read = records.unpack(4, records.pack_kept(3, 1, 5, 10, 0, 0, verdict, frame), {3: BIRTH})
    assert isinstance(read, Kept)
    assert read.body == m.Malformed(5, "this message has 4 fields")
    assert read.verdict == verdict


def test_births_are_learnt_as_they_are_read() -> None:
    births: dict[int, Birth] = {}
    born = records.unpack(30, records.pack_born(BIRTH), births)
    assert same(born, Born(30, BIRTH))
    assert same(births, {3: BIRTH})
    assert records.unpack(40, records.pack_born(BIRTH), births) == Born(40, births[3])


def test_a_birth_without_an_id_takes_the_number_of_its_record() -> None:
    births: dict[int, Birth] = {}
    first = Birth(0, BIRTH.device, BIRTH.model, BIRTH.metrics, BIRTH.software)
    records.unpack(3, records.pack_born(first), births)
    assert same(births, {3: BIRTH})


@pytest.mark.parametrize("previous", [None, 4])
def test_epochs_and_gaps_come_back(previous: int | None) -> None:
    given_epoch = EpochGiven(7, "freezer-1", 5, previous, "null_hello", 99, previous, 3)
    assert records.unpack(7, records.pack_epoch(given_epoch), {}) == given_epoch
    gap = Gap(8, "freezer-1", 5, m.Dropped(1, 4, previous, "spool full"), True, 99, 0)
    assert records.unpack(8, records.pack_gap(gap), {}) == gap


moments = st.integers(0, 2**60)
freed = st.builds(
    Freed, draw.counts, st.builds(m.Declared, draw.names, draw.words, draw.ids), draw.ids, moments, draw.values
)
retried = st.builds(
    Retried, st.just(12), draw.names, draw.names, draw.numbers, draw.numbers, moments, draw.counts,
    st.sampled_from([m.GOOD, m.TIME_UNKNOWN, m.REWOUND]), draw.numbers, draw.words, moments,
    st.lists(freed, max_size=4).map(tuple),
)  # fmt: skip
refused = st.builds(Refused, st.integers(-1, 2**31), draw.words, draw.ids)
removed = st.builds(
    Removed, st.just(12), draw.names, draw.numbers, draw.numbers, draw.words, moments,
    st.lists(refused, max_size=4).map(tuple),
)  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(retried | removed)
def test_p8_what_left_quarantine_read_back_is_what_the_tail_had(left: Retried | Removed) -> None:
    payload = records.pack_retried(left) if isinstance(left, Retried) else records.pack_removed(left)
    read = records.unpack(12, payload, {})
    assert type(read) is type(left)
    assert same(astuple(read), astuple(left))  # type: ignore[arg-type]


def test_marks_are_carried_and_not_read() -> None:
    payload = records.pack_marks(b"opaque")
    assert records.marks_snapshot(payload) == b"opaque"
    assert records.unpack(1, payload, {}) == Marked(1)
    assert records.marks_snapshot(records.pack_born(BIRTH)) is None
    assert records.marks_snapshot(b"") is None


def test_an_expiry_read_back_is_the_one_of_the_tail() -> None:
    expired = Expired(9, 7, 5, 6, (("freezer-1", 1, 30), ("freezer-2", 4, 1)))
    assert records.unpack(9, records.pack_expired(expired), {}) == expired


def test_a_clock_that_was_confirmed_read_back_is_the_one_of_the_tail() -> None:
    confirmed = ClockConfirmed(9, "admin", 5)
    assert records.unpack(9, records.pack_clock(confirmed), {}) == confirmed


def test_a_batch_of_an_unread_birth_is_an_error() -> None:
    payload = records.pack_kept(3, 1, 1, 1, 0, 0, Verdict(0, (), 0), encode(m.Row(1, 1, [])))
    with pytest.raises(records.RecordError, match="birth 3"):
        records.unpack(2, payload, {})


def test_a_record_with_the_frame_of_another_is_an_error() -> None:
    payload = records.pack_kept(3, 1, 1, 1, 0, 0, Verdict(0, (), 0), encode(m.Row(2, 1, [])))
    with pytest.raises(records.RecordError, match="not batch 1"):
        records.unpack(2, payload, {3: BIRTH})


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=80), st.integers(0, 10))
def test_any_bytes_are_a_record_or_an_error(payload: bytes, kind: int) -> None:
    for candidate in (payload, bytes([kind]) + payload):
        try:
            entry = records.unpack(1, candidate, {3: BIRTH})
        except records.RecordError:
            continue
        assert entry.lsn == 1


def _kept(body: m.Batch, base: int = 0, quality: int = m.GOOD, *rejections: m.Rejection) -> Kept:
    return Kept(1, BIRTH, 1, 1, 77, base, 0, Verdict(9, rejections, quality), body, 0, 0)


def test_times_are_resolved_once() -> None:
    assert resolved_times(_kept(m.Row(1, 5, [1.0]), 100)).tolist() == [105]
    assert resolved_times(_kept(m.Columns(1, m.Regular(5, 10, 3), []), 100)).tolist() == [105, 115, 125]
    offsets = m.Offsets(5, np.array([0, 250], "u1"))
    assert resolved_times(_kept(m.Columns(1, offsets, []), 100)).tolist() == [105, 355]
    mixed = m.Columns(1, m.Offsets(0, np.array([-1, 0, UPTIME_END - 1, UPTIME_END], "i8")), [])
    assert resolved_times(_kept(mixed, 100)).tolist() == [-1, 100, UPTIME_END + 99, UPTIME_END]
    unknown = m.Columns(1, m.Regular(None, 10, 3), [])
    assert resolved_times(_kept(unknown, 100, m.TIME_UNKNOWN)).tolist() == [100, 101, 102]
    assert resolved_times(_kept(m.Reported(1, {}))).tolist() == []
    assert event_time(_kept(m.Event(1, 5, "info", ""), 100)) == 105
    assert event_time(_kept(m.Event(1, None, "info", ""), 100)) == 77


def test_the_mask_leaves_out_each_run_of_rejections() -> None:
    runs = (m.Rejection(0, "not_finite", 1, 2, ""), m.Rejection(0, "out_of_range", 4, 1, ""))
    kept = _kept(m.Row(1, 5, []), 0, m.GOOD, *runs)
    mask = accepted_mask(kept, 0, 6)
    assert mask is not None
    assert mask.tolist() == [True, False, False, True, False, True]
    assert accepted_mask(kept, 1, 6) is None
    whole = accepted_mask(_kept(m.Row(1, 5, []), 0, m.GOOD, m.Rejection(-1, "malformed", 0, 0, "")), 1, 2)
    assert whole is not None
    assert whole.tolist() == [False, False]
