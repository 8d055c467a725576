"""Latest, as a property: whatever comes in whatever order and grouping, it is the maximum of its definition."""

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.control.live import Live
from hub.wire.kept import Kept, Verdict
from hub.wire.messages import GOOD, TIME_UNKNOWN, Columns, Declared, Offsets, Regular, Rejection, Row
from hub.wire.rows import UPTIME_END, accepted_mask, resolved_times
from tests.control.making import birth, models

SMALL = st.integers(11, 16)
VERGE = SMALL.map(lambda at: at + UPTIME_END - 27)  # SMALL on from there is on either clock
VALUES = st.one_of(st.none(), st.floats(-9, 9))


@st.composite
def bodies(draw: Any) -> Any:
    if draw(st.booleans()):
        return Row(1, draw(SMALL), [draw(VALUES), draw(st.one_of(st.none(), st.integers(0, 900)))])
    n = draw(st.integers(0, 4))
    times = draw(
        st.one_of(
            st.builds(Regular, SMALL, st.integers(-1, 2), st.just(n)),
            st.builds(
                Offsets,
                st.one_of(SMALL, VERGE),
                st.lists(SMALL, min_size=n, max_size=n).map(lambda at: np.array(at, dtype="<i4")),
            ),
        )
    )
    flow = np.array(draw(st.lists(st.floats(-9, 9), min_size=n, max_size=n)))
    columns: list[Any] = [(0, flow)] if draw(st.booleans()) else []
    if draw(st.booleans()):
        columns.append((1, draw(st.lists(st.one_of(st.none(), st.integers(0, 9)), min_size=n, max_size=n))))
    return Columns(1, times, columns)


@st.composite
def kepts(draw: Any, lsn: int = 1) -> Kept:
    body = draw(bodies())
    rejections = draw(
        st.lists(
            st.builds(
                Rejection,
                st.integers(-1, 1),
                st.just("x"),
                st.integers(0, 2 if isinstance(body, Columns) else 0),
                st.just(1),
                st.just(""),
            ),
            max_size=1,
        )
    )
    quality = draw(st.sampled_from([GOOD, GOOD, TIME_UNKNOWN]))
    return Kept(
        0, BIRTH, draw(st.integers(1, 2)), draw(st.integers(1, 50)),
        draw(st.one_of(SMALL, VERGE.map(lambda at: at + 13))), draw(st.sampled_from([0, 0, 2, 9])), 0,
        Verdict(9, tuple(rejections), quality), body, 0, 0,
    )  # fmt: skip


BIRTH = birth()


def defined(entries: list[Kept]) -> dict[str, Any]:
    """The definition, slowly."""
    best: dict[str, Any] = {}
    for kept in entries:
        if kept.verdict.quality == TIME_UNKNOWN:
            continue
        times = resolved_times(kept)
        body = kept.body
        columns = body.columns if isinstance(body, Columns) else [(i, [v]) for i, v in enumerate(body.values)]  # type: ignore
        for index, column in columns:
            mask = accepted_mask(kept, index, len(column))
            for at, value in enumerate(column):
                if value is None or (mask is not None and not mask[at]):
                    continue
                order = (min(int(times[at]), kept.received), kept.epoch, kept.seq, at)
                name = BIRTH.metrics[index].name
                if name not in best or order > best[name][0]:
                    shown = value / 100 if index == 1 else float(value)
                    best[name] = (order, [name, int(times[at]), shown, kept.verdict.quality])
    return {name: reading for name, (_, reading) in best.items()}


@settings(max_examples=150, deadline=None)
@given(st.lists(kepts(), max_size=12, unique_by=lambda kept: (kept.epoch, kept.seq)), st.integers(1, 5))
def test_time_latest_is_the_maximum_of_its_definition(entries: list[Kept], group: int) -> None:
    live = Live(models)
    for at in range(0, len(entries), group):
        live.publish(entries[at : at + group])
    assert {reading[0]: reading for reading in live.latest("pump-1")} == defined(entries)


def test_time_latest_of_a_batch_of_two_clocks_is_by_what_they_come_to() -> None:
    times = Offsets(0, np.array([50, UPTIME_END], dtype=np.int64))
    kept = Kept(
        1, BIRTH, 1, 1, 2 * UPTIME_END, UPTIME_END, 0, Verdict(2, (), GOOD),
        Columns(1, times, [(0, np.array([1.5, 2.5]))]), 0, 0,
    )  # fmt: skip
    live = Live(models)
    live.publish([kept])
    assert live.latest("pump-1") == [["flow", UPTIME_END + 50, 1.5, GOOD]]


def test_nothing_is_kept_of_births_that_no_device_has_any_more() -> None:
    live = Live(models)
    for number in range(3):
        born, seq = birth(metrics=(Declared(f"m{number}", "", "float64"),)), number + 1
        live.publish([Kept(9, born, 1, seq, 99, 0, 0, Verdict(1, (), GOOD), Row(seq, 20, [1.0]), 60, 0)])
    assert len(live._latest._shapes) == 1
