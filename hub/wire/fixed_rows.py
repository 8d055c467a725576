"""Rows of floats at fixed width, the commonest frame: read and written in one step.

Every frame of ``n`` floats is ``84 02 1b<seq> 1b<time> 80+n`` and ``n`` times ``fb<float>``: one length, one skeleton,
so its bytes say all that the strict decoder would find out. Frames that differ in any other byte are the decoder's.
"""

from collections.abc import Sequence
from functools import lru_cache
from struct import Struct, error
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from hub.wire.fields import INT64_MAX, SEQ_MAX
from hub.wire.messages import Row, Value

MAX_FLOATS: Final = 23  # what the head of a short array can count
_OPENING: Final = b"\x84\x02\x1b"  # array of 4, code of a row, whole number in eight bytes
_WHOLE: Final = 0x1B
_ARRAY: Final = 0x80
_FLOAT: Final = 0xFB
_VALUES_AT: Final = 21  # bytes before the first value
_WIDTH: Final = 9  # bytes of a value: head and float

#: Length of frame -> how to take seq, time and values out of it, head of the array of values, heads of the values.
_SHAPES: Final = {
    _VALUES_AT + _WIDTH * n: (Struct(">3xQxQx" + "xd" * n).unpack, _ARRAY | n, bytes([_FLOAT]) * n)
    for n in range(1, MAX_FLOATS + 1)
}


def read_row(frame: bytes) -> Row | None:
    """The row that ``frame`` is, or ``None`` when it is not of this skeleton or a number is out of range."""
    shape = _SHAPES.get(len(frame))
    if shape is None:
        return None
    unpack, array, heads = shape
    if frame[:3] != _OPENING or frame[20] != array or frame[11] != _WHOLE or frame[_VALUES_AT::_WIDTH] != heads:
        return None
    seq, time, *values = unpack(frame)
    if not 1 <= seq <= SEQ_MAX or time > INT64_MAX:
        return None
    return _NEW(Row, (seq, time, values))


class RowRun(NamedTuple):
    """Rows whose numbers follow each other. ``values`` has a line a row; ``size``: bytes of each frame."""

    seq: int  # of the first
    times: npt.NDArray[np.int64]  # us
    values: npt.NDArray[np.float64]
    size: int

    def rows(self) -> list[Row]:
        """The same rows one by one."""
        seqs = range(self.seq, self.seq + len(self.times))
        return [_NEW(Row, row) for row in zip(seqs, self.times.tolist(), self.values.tolist(), strict=True)]


def read_rows(frames: Sequence[bytes]) -> RowRun | None:
    """What ``read_row`` says of every one of these frames, if they are of one length and their numbers follow each
    other; else ``None``."""
    first, size, count = read_row(frames[0]), len(frames[0]), len(frames)
    if first is None or set(map(len, frames)) != {size}:
        return None
    matrix = np.frombuffer(b"".join(frames), np.uint8).reshape(count, size)
    skeleton = _skeleton(size)
    if not (matrix[:, skeleton] == matrix[0, skeleton]).all():
        return None
    seqs, times = (np.ascontiguousarray(matrix[:, at : at + 8]).view(">u8")[:, 0].astype(np.uint64) for at in (3, 12))
    seq = first.seq
    if seq + count - 1 > SEQ_MAX or times.max() > INT64_MAX:
        return None
    if not np.array_equal(seqs, np.arange(seq, seq + count, dtype=np.uint64)):
        return None
    cells = matrix[:, _VALUES_AT:].reshape(count, -1, _WIDTH)[:, :, 1:]
    values = np.ascontiguousarray(cells).view(">f8")[:, :, 0].astype(np.float64)
    return RowRun(seq, times.astype(np.int64), values, size)


@lru_cache(maxsize=MAX_FLOATS)
def _skeleton(size: int) -> list[int]:
    """Where the bytes stand that are alike in all frames of this length."""
    return [0, 1, 2, 11, 20, *range(_VALUES_AT, size, _WIDTH)]


def write_row(seq: int, time: int, values: list[Value]) -> bytes | None:
    """The frame of a row whose values are all floats; ``None`` where it does not fit: the encoder says it in full."""
    count = len(values)
    if count > MAX_FLOATS:
        return None
    pack, blank = _blank(count)
    parts = blank.copy()
    parts[3] = seq
    parts[5] = time
    parts[8::2] = values
    try:
        return pack(*parts)  # type: ignore[no-any-return]
    except error:  # a time before 1970
        return None


@lru_cache(maxsize=MAX_FLOATS + 1)
def _blank(count: int) -> tuple[Any, list[Any]]:
    parts: list[Any] = [_ARRAY | 4, 2, _WHOLE, 0, _WHOLE, 0, _ARRAY | count]
    return Struct(">BBBQBQB" + "Bd" * count).pack, parts + [_FLOAT, 0.0] * count


_NEW: Final = tuple.__new__  # twice as quick as calling the class of a NamedTuple
