import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from dashboard.points import BUCKETS, LIVE, RAW_ROWS, SECOND, SPANS, Points, thin
from hub.query import Columns
from tests.dashboard.stage import NOON


def test_a_short_span_asks_for_readings_and_a_long_one_for_buckets() -> None:
    short = Points("a", "flow", SPANS[0]).question(NOON)
    assert (short.every, short.limit, short.since) == (None, RAW_ROWS, NOON - SPANS[0] * SECOND)
    for span in SPANS[1:]:
        question = Points("a", "flow", span).question(NOON)
        assert question.every is not None
        assert question.since is not None
        assert question.since % question.every == 0
        assert (NOON - question.since) / question.every <= BUCKETS + 1
        assert question.aggregates == ("mean", "min", "max")


def test_live_readings_go_on_where_the_history_ends() -> None:
    points = Points("a", "flow", 60)
    points.hear(NOON - SECOND, 8.0)
    points.recall(Columns({"time": np.array([NOON - 2 * SECOND, NOON - SECOND]), "value": np.array([1.0, 2.0])}))
    points.hear(NOON - SECOND, 9.0)  # told before by the store
    points.hear(NOON, 3.0)
    points.hear(NOON, 3.0)
    points.hear(NOON + SECOND, float("nan"))
    points.hear(NOON + SECOND, "text")
    times, values = points.curve(0, 100)
    assert values.tolist() == [1.0, 2.0, 3.0]
    assert times[-1] == NOON / SECOND
    assert points.newest() == 3.0


def test_what_is_before_the_span_is_not_drawn() -> None:
    points = Points("a", "flow", 60)
    for second in range(100):
        points.hear(NOON + second * SECOND, float(second))
    times, values = points.curve(NOON / SECOND + 40, 1_000)
    assert (values[0], len(times)) == (40.0, 60)


def test_live_points_are_bounded() -> None:
    points = Points("a", "flow", 60)
    for second in range(LIVE + 50):
        points.hear(NOON + second * SECOND, 1.0)
    assert len(points.live) == LIVE


def test_texts_and_holes_draw_nothing() -> None:
    points = Points("a", "state", 60)
    points.recall(Columns({"time": np.array([NOON, NOON + 1, NOON + 2]), "value": ["on", 4.0, None]}))
    assert points.curve(0, 10)[1].tolist() == [4.0]
    points.recall(Columns({}))
    assert points.newest() is None


@given(st.lists(st.floats(-1e9, 1e9), max_size=400), st.integers(1, 40))
@settings(deadline=None, max_examples=60)
def test_thinning_keeps_least_and_most_and_order(values: list[float], columns: int) -> None:
    times, kept = thin(np.arange(len(values), dtype=float), np.array(values, dtype=float), columns)
    assert len(kept) <= max(2 * columns, 0) or len(kept) == len(values)
    assert list(times) == sorted(times)
    if values:
        assert (kept.min(), kept.max()) == (min(values), max(values))
