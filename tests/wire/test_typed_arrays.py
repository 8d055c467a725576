"""Typed arrays: both byte orders are read, little-endian is sent, and what comes out is native."""

import numpy as np
import pytest
from cbor2 import CBORTag
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.wire.typed_arrays import DTYPES, TypedArrayError, from_tag, to_tag


@pytest.mark.parametrize("number", sorted(DTYPES))
def test_each_tag_is_read(number: int) -> None:
    dtype = DTYPES[number]
    array = from_tag(CBORTag(number, np.array([1, 2, 100], dtype).tobytes()))
    assert array.tolist() == [1, 2, 100]
    assert array.dtype.isnative
    assert array.dtype.kind == ("i" if number in (67, 71) else dtype.kind)


@pytest.mark.parametrize("order", ["<", ">", "="])
@pytest.mark.parametrize("kind", ["u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "f2", "f4", "f8"])
def test_arrays_of_either_order_are_sent_little_endian(order: str, kind: str) -> None:
    array = np.array([1, 2, 100], np.dtype(kind).newbyteorder(order))  # type: ignore[arg-type]
    tag = to_tag(array)
    assert tag.value == np.array([1, 2, 100], np.dtype("<" + kind)).tobytes()
    assert from_tag(tag).tolist() == [1, 2, 100]


def test_what_is_not_in_one_piece_is_sent_in_order() -> None:
    assert from_tag(to_tag(np.arange(10, dtype="i4")[::3])).tolist() == [0, 3, 6, 9]


@pytest.mark.parametrize(
    "array", [np.zeros((2, 2)), np.zeros(1, complex), np.array(["a"]), np.array([True]), np.zeros(1, np.longdouble)]
)
def test_other_arrays_cannot_be_sent(array: np.ndarray) -> None:  # type: ignore[type-arg]
    with pytest.raises(TypedArrayError):
        to_tag(array)


@settings(deadline=None)
@given(st.integers(0, 200), st.binary(max_size=40) | st.text() | st.integers() | st.none())
def test_anything_is_an_array_or_an_error(number: int, content: object) -> None:
    try:
        array = from_tag(CBORTag(number, content))
    except TypedArrayError:
        return
    assert array.dtype.isnative
    assert not array.flags.writeable or number in DTYPES
