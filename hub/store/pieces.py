"""Arrays out of what batches carry, and pieces of columns joined into named ones."""

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from hub.wire.messages import TIME_UNKNOWN

Arrays: TypeAlias = dict[str, npt.NDArray[Any]]


def to_store(array: npt.NDArray[Any], mask: npt.NDArray[np.bool_] | None, holes: bool) -> npt.NDArray[np.bool_] | None:
    """Which values are readings to store; ``None``: all."""
    if holes:
        some: npt.NDArray[np.bool_] = (array != None) if array.dtype == np.object_ else ~np.isnan(array)  # noqa: E711
        return some if mask is None else some & mask
    return mask


def number_array(values: Any, mask: npt.NDArray[np.bool_] | None) -> npt.NDArray[Any]:
    """Numbers of one metric; null becomes NaN."""
    if isinstance(values, np.ndarray):
        return values
    if mask is not None:  # what was rejected may be of any type
        values = [value if good else None for value, good in zip(values, mask.tolist(), strict=True)]
    return np.array(values, dtype=np.float64)


def text_array(values: Any) -> npt.NDArray[np.object_]:
    """Texts of one metric; null stays None."""
    array = np.empty(len(values), dtype=np.object_)
    array[:] = values
    return array


def times_of_rows(
    times: tuple[Any, ...], bases: tuple[int, ...], quality: npt.NDArray[np.uint8]
) -> npt.NDArray[np.int64]:
    """The times of rows, a row each; 0 where none is to be trusted."""
    if None in times:
        times = tuple([time or 0 for time in times])
    n = len(times)
    resolved = np.fromiter(times, np.int64, n)
    unknown = quality == TIME_UNKNOWN
    if unknown.any():
        resolved[unknown] = 0
    return resolved + np.fromiter(bases, np.int64, n)


_COUNTING: npt.NDArray[np.uint32] = np.arange(65_536, dtype=np.uint32)  # rows a frame of 64 KiB can hold, mostly


def counting(n: int) -> npt.NDArray[np.uint32]:
    """Numbers of ``n`` rows."""
    return _COUNTING[:n] if n <= len(_COUNTING) else np.arange(n, dtype=np.uint32)


def join(bulk: list[tuple[Any, ...]], single: list[tuple[Any, ...]], columns: dict[str, Any]) -> Arrays | None:
    """Pieces under each other, as named columns; a number in a piece stands for a whole column of it."""
    tables = [_pile(pieces, columns) for pieces in (bulk, single) if pieces]
    if len(tables) < 2:
        return tables[0] if tables else None
    return {name: np.concatenate([table[name] for table in tables]) for name in columns}


def _pile(pieces: list[tuple[Any, ...]], columns: dict[str, Any]) -> Arrays:
    """Pieces of one kind: the same columns are arrays, or numbers, in all of them."""
    arrays = [at for at, column in enumerate(pieces[0]) if isinstance(column, np.ndarray)]
    repeats = [len(piece[arrays[0]]) for piece in pieces] if arrays else 1
    return {
        name: np.concatenate([piece[at] for piece in pieces], dtype=kind, casting="unsafe")
        if at in arrays
        else np.repeat(np.array([piece[at] for piece in pieces], dtype=kind), repeats)
        for at, (name, kind) in enumerate(columns.items())
    }
