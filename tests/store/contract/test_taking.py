"""How stores take in: cursor and rows move together."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hub.query import Columns, Question
from hub.store.base import Store
from hub.store.duck import DuckStore
from hub.store.memory import MemoryStore
from hub.wire.kept import Born, Entry, EpochGiven, Expired, Freed, Gap, Kept, Marked, Refused, Removed, Retried
from hub.wire.messages import GOOD, TIME_UNKNOWN, Declared, Dropped, Rejection
from tests.store.building import (
    FREEZER,
    MINUTE,
    SECOND,
    T0,
    birth,
    columns,
    event,
    every_second,
    floats,
    malformed,
    row,
)

ONE = birth(1, "station-1")


def test_entries_that_are_no_batches_only_move_the_cursor(store: Store) -> None:
    entries: list[Entry] = [
        Marked(1), Born(2, ONE), EpochGiven(3, "station-1", 1, None, "first", T0),
        Gap(4, "station-1", 1, Dropped(1, 2, None, "full"), False, T0, 2), event(5, ONE), malformed(6, ONE),
    ]  # fmt: skip
    store.take(entries, 6)
    store.take([], 9)
    assert store.statistics()["cursor"] == 9
    assert store.statistics()["readings"] == 0
    assert list(store.stored(100).rows()) == []


def test_the_same_entries_again_change_nothing(store: Store) -> None:
    entries = [row(i, ONE, T0 + i, [1.0, 2.0]) for i in range(1, 5)]
    store.take(entries[:2], 2)
    store.take(entries, 4)
    store.take(entries[1:3], 3)
    assert list(store.stored(100).rows()) == [(1, 2), (2, 2), (3, 2), (4, 2)]
    assert store.statistics()["cursor"] == 4


def test_what_left_quarantine_is_stored_once_under_its_own_record(store: Store) -> None:
    weight, note = Declared("weight", "kg", "decimal(2)"), Declared("note", "", "text")
    readings = (Freed(0, weight, "out_of_range", T0 + 1, 1250), Freed(3, note, "unknown_metric", T0 + 2, "x"))
    retried = Retried(3, "station-1", "m", 1, 1, T0, 0, GOOD, 2, "admin", T0, readings)
    removed = Removed(4, "station-1", 1, 2, "admin", T0, (Refused(1, "weight", "out_of_range"),))
    entries: list[Entry] = [row(2, ONE, T0, [1.0, 2.0]), retried, removed]
    store.take(entries, 4)
    store.take(entries, 4)
    assert list(store.stored(100).rows()) == [(2, 2), (3, 2)]
    assert store.counts()[1] == {("station-1", 1): 4}
    answer = store.ask(Question(metrics=("weight", "note")), rows=10, seconds=5.0)
    assert list(answer.columns["value"]) == [12.5, "x"]
    assert list(answer.columns["time"]) == [T0 + 1, T0 + 2]


def test_stored_counts_up_to_a_record(store: Store) -> None:
    store.take([row(i, ONE, T0 + i, [1.0, None if i % 2 else 2.0]) for i in range(1, 5)], 4)
    assert list(store.stored(3).rows()) == [(1, 1), (2, 2), (3, 1)]


def test_readings_are_counted_by_device_and_epoch(store: Store) -> None:
    two = birth(2, "station-2")
    store.take(
        [
            row(1, ONE, T0, [1.0, 2.0]),
            row(2, ONE, T0, [1.0, None], epoch=2),
            columns(3, two, every_second(5), [(0, floats(1, 2, 3, 4, 5))], rejections=(Rejection(0, "x", 0, 2, ""),)),
            row(4, ONE, T0, [None, 5.0]),
        ],
        7,
    )
    assert store.counts() == (7, {("station-1", 1): 3, ("station-1", 2): 1, ("station-2", 1): 3})
    assert store.counts("station-2") == (7, {("station-2", 1): 3})
    assert store.counts("nobody") == (7, {})


def test_batches_of_records_are_named(store: Store) -> None:
    two = birth(2, "station-2")
    store.take(
        [
            row(3, ONE, T0, [1.0, 2.0]),
            row(4, two, T0, [1.0, None], epoch=2),
            row(5, two, T0, [3.0, 4.0]),
            event(6, ONE),
        ],
        6,
    )
    assert [(device, epoch, readings) for device, epoch, _, readings in store.batches(3, 4)] == [
        ("station-1", 1, 2), ("station-2", 2, 1),
    ]  # fmt: skip
    assert [batch[0] for batch in store.batches(5, 2**63 - 1)] == ["station-2"]
    assert store.batches(7, 9) == []


def test_what_has_expired_leaves_the_store_with_the_cursor(store: Store) -> None:
    freezer = birth(2, "freezer-1", FREEZER)
    store.take([row(i, ONE, T0 + i, [1.0, 2.0]) for i in range(1, 4)], 3)
    assert store.counts(None, 2) == (3, {("station-1", 1): 4})
    expired = Expired(6, 4, T0, T0, (("station-1", 1, 6), ("freezer-1", 1, 3)))
    later = [row(4, freezer, T0, [100, True, "on"]), row(5, freezer, T0, [200, False, "off"]), expired]
    store.take([*later, row(7, ONE, T0 + 7, [5.0, 6.0])], 7)
    assert list(store.stored(100).rows()) == [(5, 3), (7, 2)]
    assert store.counts() == (7, {("freezer-1", 1): 3, ("station-1", 1): 2})
    assert store.statistics()["readings"] == 5
    assert store.ask(Question(), rows=100, seconds=30).columns["time"].tolist() == [T0, T0, T0, T0 + 7, T0 + 7]


def test_a_failing_take_leaves_nothing_behind(store: Store) -> None:
    store.take([row(1, ONE, T0, [1.0, 2.0])], 1)
    other = birth(2, "station-2")
    broken = row(3, other, T0, ["no number", 3.0])  # no verdict would let it through
    with pytest.raises((ValueError, TypeError)):
        store.take([row(2, other, T0, [5.0, 6.0]), broken], 3)
    assert list(store.stored(100).rows()) == [(1, 2)]
    assert store.statistics()["cursor"] == 1
    store.take([row(2, other, T0, [5.0, 6.0])], 2)
    assert list(store.stored(100).rows()) == [(1, 2), (2, 2)]
    assert store.ask(Question(devices=("station-2",)), rows=10, seconds=5).columns["metric"] == [
        "temperature",
        "humidity",
    ]


BIRTHS = [
    birth(1, "a"),
    birth(2, "b"),
    birth(3, "c", FREEZER),
    birth(4, "a", (Declared("temperature", "Cel", "float32"),)),
    birth(5, "d", (Declared("note", "", "text"), Declared("word", "", "text"))),
]
TIMES = st.integers(0, 5 * MINUTE)


def value_of(kind: str) -> st.SearchStrategy[object]:
    if kind == "text":
        return st.sampled_from(["idle", "cooling", "", "é'\"\\"])
    if kind == "bool":
        return st.booleans()
    return st.integers(-5000, 5000) if kind.startswith("decimal") else st.floats(-1e6, 1e6, width=32)


@st.composite
def batches(draw: st.DrawFn, lsn: int) -> Kept:
    of = draw(st.sampled_from(BIRTHS))
    quality = draw(st.sampled_from([GOOD, GOOD, TIME_UNKNOWN]))
    indexes = range(len(of.metrics))
    if draw(st.booleans()):
        values = [draw(st.none() | value_of(metric.type)) for metric in of.metrics]
        rejected = tuple(
            Rejection(i, "out_of_range", 0, 1, "")
            for i in indexes
            if values[i] is not None and draw(st.integers(0, 5)) == 0
        )
        time = draw(TIMES.map(lambda time: T0 + time) | st.none()) if quality else T0 + draw(TIMES)
        return row(lsn, of, time, values, quality=quality, base=T0 if quality else 0, rejections=rejected)
    n = draw(st.integers(1, 5))
    content = []
    for i in indexes:
        one = value_of(of.metrics[i].type)
        holes = of.metrics[i].type in ("text", "bool")
        column = draw(st.lists(st.none() | one if holes else one, min_size=n, max_size=n))
        content.append((i, column if holes else floats(*column)))  # type: ignore[arg-type]
    rejected = tuple(
        Rejection(i, "out_of_range", draw(st.integers(0, n - 1)), 1, "")
        for i in indexes
        if draw(st.integers(0, 4)) == 0
    )
    start = None if quality else T0 + draw(TIMES)
    times = every_second(n, start)
    return columns(lsn, of, times, content, quality=quality, base=T0 if quality else 0, rejections=rejected)


def plain(answer: Columns) -> dict[str, list[object]]:
    return {
        name: [round(one, 6) if isinstance(one, float) else one for one in column]
        for name, column in answer.columns.items()
    }


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_the_database_answers_like_plain_lists(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    entries = [data.draw(batches(lsn)) for lsn in range(1, data.draw(st.integers(1, 25)) + 1)]
    cut = data.draw(st.integers(0, len(entries)))
    duck = DuckStore(tmp_path_factory.mktemp("duck") / "store.duckdb", memory_mb=64)
    memory = MemoryStore()
    for store in (duck, memory):
        store.open()
        for part in (entries[:cut], entries[cut:]):
            if part:
                store.take(part, part[-1].lsn)
    try:
        assert list(duck.stored(len(entries)).rows()) == list(memory.stored(len(entries)).rows())
        assert duck.counts() == memory.counts()
        for question in (
            Question(),
            Question(limit=3),
            Question(devices=("a", "c"), since=T0 + MINUTE, until=T0 + 3 * MINUTE),
            Question(every=30 * SECOND, aggregates=("mean", "min", "max", "count", "first", "last")),
            Question(every=MINUTE, limit=2),
            Question(metrics=("temperature", "note"), aggregates=("last", "count")),
        ):
            ours, theirs = (store.ask(question, rows=1000, seconds=10) for store in (duck, memory))
            assert plain(ours) == plain(theirs)
            assert ours.truncated == theirs.truncated
        assert plain(duck.latest()) == plain(memory.latest())
    finally:
        duck.close()
