"""The bodies of batches: values of a row, times with columns. Only their shape is judged here; ingest judges values."""

from typing import Any, Final

import numpy as np
from cbor2 import CBORTag

from hub.wire.fields import INT64_MAX, INT64_MIN, Wrong, refuse
from hub.wire.messages import MAX_FRAME, MAX_METRICS, Array, Offsets, Regular, Value
from hub.wire.typed_arrays import TypedArrayError, from_tag

#: Times nearer to zero than this cannot leave 64 bits by an offset of 32 bits.
_FAR: Final = 2**62
_ROWS: Final = MAX_FRAME  # at least a byte each


def values_body(values: Any) -> list[Value]:
    """Readings by index, null where there is none; numbers need not be finite."""
    if type(values) is not list or len(values) > MAX_METRICS:
        refuse(f"values must be an array of at most {MAX_METRICS}")
    return _values(values)


def _values(values: list[Any]) -> list[Value]:
    for value in values:
        kind = type(value)
        if kind is float or value is None or kind is bool or kind is str:
            continue
        if kind is not int:
            refuse("a value must be null, a number, a boolean or text")
        if not INT64_MIN <= value <= INT64_MAX:
            refuse("whole numbers must fit 64 bits signed")
    return values


def columns_body(times: Any, columns: Any) -> tuple[Regular | Offsets, list[tuple[int, Array | list[Value]]]]:
    """Times, and columns that all have their length."""
    if type(times) is not list or not 2 <= len(times) <= 3:
        refuse("times must be [base, offsets] or [start, step, rows]")
    if times[0] is not None and (type(times[0]) is not int or not INT64_MIN <= times[0] <= INT64_MAX):
        refuse("a time must be a whole number of 64 bits signed")
    if type(columns) is not list or not 1 <= len(columns) <= MAX_METRICS:
        refuse(f"columns must be an array of 1 to {MAX_METRICS}")
    if len(times) == 3:
        regular = _regular(*times)
        return regular, _columns(columns, regular.rows)
    offsets = _offsets(*times)
    return offsets, _columns(columns, len(offsets.offsets))


def _regular(start: int | None, step: Any, rows: Any) -> Regular:
    if type(rows) is not int or not 1 <= rows <= _ROWS:
        refuse(f"columns have 1 to {_ROWS} rows")
    if type(step) is not int or not INT64_MIN <= step <= INT64_MAX:
        refuse("a step must be a whole number of 64 bits signed")
    if not INT64_MIN <= (start or 0) + step * (rows - 1) <= INT64_MAX:
        refuse("times must fit 64 bits signed")
    return Regular(start, step, rows)


def _offsets(base: int | None, tag: Any) -> Offsets:
    offsets = _array(tag)
    if offsets.dtype.kind == "f":
        refuse("offsets must be a typed array of whole numbers")
    if not len(offsets):
        refuse(f"columns have 1 to {_ROWS} rows")
    if offsets.dtype.itemsize == 8 or abs(base or 0) > _FAR:
        earliest, latest = (base or 0) + int(offsets.min()), (base or 0) + int(offsets.max())
        if earliest < INT64_MIN or latest > INT64_MAX:
            refuse("times must fit 64 bits signed")
    return Offsets(base, offsets)


def _columns(columns: list[Any], rows: int) -> list[tuple[int, Array | list[Value]]]:
    decoded: list[tuple[int, Array | list[Value]]] = []
    for column in columns:
        if type(column) is not list or len(column) != 2:
            refuse("a column is [metric index, values]")
        index, values = column
        if type(index) is not int or not 0 <= index < MAX_METRICS:
            refuse(f"a metric index must be a whole number from 0 to {MAX_METRICS - 1}")
        array: Array | list[Value] = _values(values) if type(values) is list else _array(values)
        if len(array) != rows:
            refuse("a column must have as many values as there are times")
        decoded.append((index, array))
    if len(decoded) > 1 and len({index for index, _ in decoded}) != len(decoded):
        refuse("a metric may have one column only")
    return decoded


def _array(tag: Any) -> np.ndarray[Any, np.dtype[Any]]:
    if type(tag) is not CBORTag:
        refuse("numbers must come as a typed array")
    try:
        return from_tag(tag)
    except TypedArrayError as error:
        raise Wrong(str(error)) from None
