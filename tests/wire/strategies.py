"""Every message there is, as hypothesis draws them."""

from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from hub.wire import messages as m
from hub.wire import operator as o

INT64 = 2**63
numbers = st.integers(1, 2**53)
counts = st.integers(0, 2**53)
instants = st.integers(-INT64, INT64 - 1)
finite = st.floats(allow_nan=False, allow_infinity=False)
seconds = st.floats(0, 1e9)
names = st.from_regex(m.NAME_PATTERN, fullmatch=True)
ids = st.text(min_size=1, max_size=16)
words = st.text(max_size=64)
keys = st.text(min_size=1, max_size=16)
values = st.none() | st.booleans() | st.floats() | instants | st.text(max_size=20)


def _nest(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3)


_scalars = st.none() | st.booleans() | instants | finite | st.text(max_size=20) | st.binary(max_size=20)
plain = _scalars | _nest(_scalars | _nest(_scalars))
maps = st.dictionaries(keys, plain, max_size=4)

_WHOLE = [np.dtype(kind) for kind in ("u1", "u2", "u4", "i1", "i2", "i4", "i8")]
_FLOATS = [np.dtype(kind) for kind in ("f2", "f4", "f8")]


@st.composite
def columns(draw: st.DrawFn) -> m.Columns:
    rows = draw(st.integers(1, 12))
    base = draw(st.none() | st.integers(-(2**61), 2**61))
    times: m.Regular | m.Offsets
    if draw(st.booleans()):
        times = m.Regular(base, draw(st.integers(-(2**50), 2**50)), rows)
    else:
        dtype = draw(st.sampled_from(_WHOLE))
        bound = {"elements": st.integers(-(2**61), 2**61)} if dtype.itemsize == 8 else {}
        times = m.Offsets(base, draw(hnp.arrays(dtype, rows, **bound)))
    column = st.sampled_from(_WHOLE + _FLOATS).flatmap(lambda dtype: hnp.arrays(dtype, rows))
    listed = st.lists(values, min_size=rows, max_size=rows)
    indexes = draw(st.lists(st.integers(0, 1023), min_size=1, max_size=4, unique=True))
    return m.Columns(draw(numbers), times, [(index, draw(column | listed)) for index in indexes])


@st.composite
def hellos(draw: st.DrawFn) -> m.Hello:
    next_ = draw(numbers)
    named = draw(st.booleans())
    declared = st.builds(m.Declared, names, st.text(max_size=16), ids)
    metrics = draw(st.lists(declared, max_size=4, unique_by=lambda metric: metric.name))
    return m.Hello(
        draw(names), draw(numbers) if named else None, draw(ids) if named else None, draw(st.integers(0, next_ - 1)),
        draw(st.integers(1, next_)), next_, tuple(metrics), draw(st.none() | instants), draw(st.none() | counts),
        draw(words), draw(st.none() | ids),
    )  # fmt: skip


@st.composite
def dropped(draw: st.DrawFn) -> m.Dropped:
    first, last = sorted((draw(numbers), draw(numbers)))
    return m.Dropped(first, last, draw(st.none() | counts), draw(words))


@st.composite
def welcomes(draw: st.DrawFn) -> m.Welcome:
    edges = draw(st.lists(st.integers(1, 1000), max_size=8, unique=True))
    edges.sort()
    through = draw(counts) if not edges else edges[0] - 1
    held = tuple((edges[i], edges[i + 1]) for i in range(0, len(edges) - 1, 2))
    return m.Welcome(
        draw(numbers), through, held, draw(windows), draw(numbers), draw(seconds), draw(instants), draw(ids)
    )


windows = st.builds(m.Window, counts, counts)
rows = st.builds(
    m.Row, numbers, st.none() | instants, st.lists(values, max_size=30) | st.lists(st.floats(), max_size=30)
)
events = st.builds(
    m.Event, numbers, st.none() | instants, st.sampled_from(["debug", "info", "warning", "error"]), words
)
reports = st.builds(m.Reported, numbers, maps)
results = st.builds(
    m.Result, numbers, ids, st.sampled_from(sorted(m.DEVICE_STATES & m.FINAL_STATES)), plain
) | st.builds(m.Result, st.none(), ids, st.sampled_from(sorted(m.DEVICE_STATES)), plain)
batches = rows | columns() | events | reports | results
device_messages = hellos() | batches | dropped() | st.builds(m.Bye, words)

rejections = st.builds(m.Rejection, st.integers(-1, 1023), ids, counts, counts, words)
hub_messages = (
    welcomes()
    | st.builds(m.Ack, counts, windows)
    | st.builds(m.Reject, numbers, st.lists(rejections, max_size=4).map(tuple), counts)
    | st.builds(m.Command, ids, names, maps, instants)
    | st.builds(m.Cancel, ids)
    | st.builds(m.Desired, counts, maps)
    | st.builds(m.Goaway, seconds, words)
)

_patterns = st.lists(words, max_size=3).map(tuple)
requests = (
    st.builds(o.Subscribe, counts, st.lists(st.sampled_from(o.KINDS), max_size=3).map(tuple), _patterns, _patterns)
    | st.builds(o.Unsubscribe, counts)
    | st.builds(o.Send, counts, names, names, maps, seconds, st.booleans())
    | st.builds(o.Ask, counts, maps)
    | st.builds(o.Call, counts, words, maps)
)

_arrays = st.sampled_from(_WHOLE + _FLOATS).flatmap(lambda dtype: hnp.arrays(dtype, st.integers(0, 8)))
replies = (
    st.builds(o.Greeting, st.sampled_from(["viewer", "admin"]), words, words, instants, ids)
    | st.builds(o.Update, counts, st.sampled_from([*o.KINDS, "skipped"]), plain)
    | st.builds(o.Answer, counts, plain | st.dictionaries(keys, plain | _arrays, max_size=4), st.booleans())
    | st.builds(o.Failure, counts, st.sampled_from(sorted(o.FAILURES)), words)
)
