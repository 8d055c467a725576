"""Typed arrays of RFC 8746 as numpy arrays: columns of numbers without a Python object per number.

Sent little-endian; both byte orders are read, and what comes out is always native, so no other file has to care.
"""

import sys
from typing import Final

import numpy as np
from cbor2 import CBORTag

from hub.wire.messages import Array

INT64_MAX: Final = 2**63 - 1

#: Tag -> how its bytes are read. Left out: 68 (clamped arithmetic), 76 (reserved), 83 and 87 (128 bit floats).
DTYPES: Final[dict[int, np.dtype[np.generic]]] = {
    64: np.dtype("u1"), 65: np.dtype(">u2"), 66: np.dtype(">u4"), 67: np.dtype(">u8"),
    69: np.dtype("<u2"), 70: np.dtype("<u4"), 71: np.dtype("<u8"),
    72: np.dtype("i1"), 73: np.dtype(">i2"), 74: np.dtype(">i4"), 75: np.dtype(">i8"),
    77: np.dtype("<i2"), 78: np.dtype("<i4"), 79: np.dtype("<i8"),
    80: np.dtype(">f2"), 81: np.dtype(">f4"), 82: np.dtype(">f8"),
    84: np.dtype("<f2"), 85: np.dtype("<f4"), 86: np.dtype("<f8"),
}  # fmt: skip

_SENT: Final = {(dtype.kind, dtype.itemsize): tag for tag, dtype in DTYPES.items() if dtype.newbyteorder("<") == dtype}
_SWAPPED: Final = frozenset(tag for tag, dtype in DTYPES.items() if not dtype.isnative)
_UNSIGNED_64: Final = frozenset({67, 71})
_NATIVE_IS_LITTLE: Final = sys.byteorder == "little"


class TypedArrayError(ValueError):
    """The tag is no typed array that is read here, or its bytes do not fit it."""


def to_tag(array: Array) -> CBORTag:
    """The typed array of a one-dimensional numpy array of ints or floats; TypedArrayError for any other."""
    dtype = array.dtype
    tag = _SENT.get((dtype.kind, dtype.itemsize))
    if tag is None or array.ndim != 1:
        raise TypedArrayError(f"no typed array for {array.ndim} dimensions of {dtype}")
    if dtype.itemsize > 1 and dtype.isnative is not _NATIVE_IS_LITTLE:
        array = array.astype(dtype.newbyteorder("<"))
    return CBORTag(tag, array.tobytes())


def from_tag(tag: CBORTag) -> Array:
    """The numbers of a typed array, native and read-only; unsigned 64 bit comes out as int64, and must fit it."""
    dtype = DTYPES.get(tag.tag)
    raw = tag.value
    if dtype is None or type(raw) is not bytes:
        raise TypedArrayError("not a typed array")
    if len(raw) % dtype.itemsize:
        raise TypedArrayError("bytes of a typed array are not a whole number of its elements")
    array: Array = np.frombuffer(raw, dtype)
    if tag.tag in _SWAPPED:
        array = array.astype(dtype.newbyteorder("="))
    if tag.tag in _UNSIGNED_64:
        if len(array) and int(array.max()) > INT64_MAX:
            raise TypedArrayError("unsigned integer beyond 63 bits")
        array = array.astype(np.int64)
    return array
