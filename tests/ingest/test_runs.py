"""Runs of rows are kept in one step exactly as they are one by one: same records, marks, tail and counters."""

from collections.abc import Sequence
from typing import Any

import pytest
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from hub.ingest.ingest import Ingest, Intake
from hub.ingest.numbering import Numbering
from hub.wire.codec import decode_device, encode
from hub.wire.errors import RemoteProtocolError
from hub.wire.fixed_rows import read_row, read_rows
from hub.wire.hub_session import HubSession
from hub.wire.kept import Kept
from hub.wire.messages import Hello, Row, Welcome, Window
from hub.wire.session import Step
from tests.ingest.house import DECLARED, LOG, NOON, house

SECOND = 1_000_000
floats = st.floats(-20, 40) | st.sampled_from([0.0, -0.0, 99.0, 1e300, float("nan"), float("inf")])
ordinary = st.builds(
    lambda count, width: [[20.0 + at % 7, 5.0][:width] for at in range(count)], st.integers(1, 40), st.integers(1, 2)
)
odd = st.lists(st.lists(floats | st.none(), min_size=1, max_size=3), min_size=1, max_size=12)
windows = st.sampled_from([Window(4096, 1 << 20), Window(5, 1 << 20), Window(99, 300)])
times = st.sampled_from([NOON, NOON - 86_400 * SECOND, NOON + 3_600 * SECOND, 5 * SECOND, -SECOND])


def session(window: Window) -> HubSession:
    """One that has said welcome."""
    made = HubSession()
    made.receive(Hello("station", None, None, 0, 1, 1, DECLARED, None, None, "test", None))
    made.welcome(Welcome(1, 0, (), window, 65_536, 50.0, NOON, LOG))
    return made


def one_by_one(intake: Intake, machine: HubSession, frames: Sequence[bytes]) -> None:
    for frame in frames:
        message = decode_device(frame)
        assert machine.receive(message, len(frame)) is Step.FRESH
        intake.keep(message, frame)  # type: ignore[arg-type]


def told(ingest: Ingest, machine: HubSession, numbering: Numbering | None) -> tuple[Any, ...]:
    assert numbering is not None
    checks = [seq for seq in range(1, numbering.prefix + 1) if numbering.differs(seq, b"other")]
    return ingest.statistics(), ingest.marks.snapshot(), machine.outstanding, machine.expected, checks


@given(rows=ordinary | odd, time=times, window=windows, first=st.integers(0, 2))
def test_a_run_is_kept_as_its_rows_are(rows: list[list[float | None]], time: int, window: Window, first: int) -> None:
    frames = [encode(Row(first + 1 + at, time + at, list(values))) for at, values in enumerate(rows)]

    async def both() -> None:
        found = []
        for together in (False, True):
            async with house() as hub:
                intake, machine = hub.open().intake, session(window)
                start = [encode(Row(1 + at, NOON, [1.0])) for at in range(first)]
                one_by_one(intake, machine, start)
                run = read_rows(frames)
                taken = together and run is not None and intake.keep_run(run, frames, machine.receive_run)
                error = ""
                try:
                    if not taken:
                        one_by_one(intake, machine, frames)
                except RemoteProtocolError as refused:
                    error = str(refused)
                entries = await hub.entries()
                tail = hub.journal.tail(1, 1000)
                state = told(hub.ingest, machine, hub.marks.of("device").current)
                found.append((error, repr(entries), repr(tail), state, hub.journal.statistics().bytes))
        assert found[0] == found[1]

    trio.run(both, clock=trio.testing.MockClock(autojump_threshold=0))


@pytest.mark.trio
async def test_a_long_run_is_taken_at_once(autojump_clock: trio.testing.MockClock) -> None:
    """Else nothing above would have tested anything."""
    async with house() as hub:
        intake, machine = hub.open().intake, session(Window(4096, 1 << 20))
        frames = [encode(Row(1 + at, NOON + at, [20.0, 5.0])) for at in range(600)]
        run = read_rows(frames)
        assert run is not None
        assert intake.keep_run(run, frames, machine.receive_run)
        entries = [entry for entry in await hub.entries() if isinstance(entry, Kept)]
        assert [entry.seq for entry in entries] == list(range(1, 601))
        assert hub.ingest.statistics().accepted == 1200
        assert not intake.keep_run(run, frames, machine.receive_run), "it is not new any more"
        again = [encode(Row(601 + at, NOON, [20.0, 5.0])) for at in range(3)]
        newer = hub.open(epoch=1, first=601, next=601).intake
        run = read_rows(again)
        assert run is not None
        assert not intake.keep_run(run, again, machine.receive_run), "another link has taken over"
        assert newer.keep_run(run, again, machine.receive_run)


@given(st.lists(st.binary(max_size=60) | st.builds(
    lambda seq, time, values: encode(Row(seq, time, values)), st.integers(1, 4), st.integers(-5, 5),
    st.lists(st.floats(), min_size=1, max_size=2)), min_size=1, max_size=5))  # fmt: skip
def test_rows_are_read_together_as_they_are_alone(frames: list[bytes]) -> None:
    run = read_rows(frames)
    alone = [read_row(frame) for frame in frames]
    follow = all(row is not None and row.seq == alone[0].seq + at for at, row in enumerate(alone))  # type: ignore[union-attr]
    assert (run is not None) == (follow and len(set(map(len, frames))) == 1)
    if run is not None:
        assert repr(run.rows()) == repr(alone)
