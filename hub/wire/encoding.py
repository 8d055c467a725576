"""Messages to bytes. What is encoded here is decoded by the peer to an equal message."""

from collections.abc import Callable, Mapping
from dataclasses import fields
from functools import lru_cache
from struct import Struct, error
from typing import Any, Final

import numpy as np
from cbor2 import CBOREncodeError, CBOREncoder, dumps

from hub.wire.errors import LocalProtocolError
from hub.wire.messages import CODES, Columns, DeviceMessage, HubMessage, Offsets, Row
from hub.wire.operator import OPERATOR_CODES, OperatorReply, OperatorRequest
from hub.wire.typed_arrays import TypedArrayError, to_tag

_U64: Final = 0x1B  # head of a whole number in eight bytes
_F64: Final = 0xFB  # head of a float in eight bytes
_SHORT_ARRAY: Final = 0x80  # head of an array of less than 24


def encode(message: DeviceMessage | HubMessage | OperatorRequest | OperatorReply) -> bytes:
    """The frame of a message; LocalProtocolError when it is none that can be sent.

    Rows of floats come out at fixed width: frames of one device then have one length and one skeleton, which a
    reader of many can use.
    """
    kind = type(message)
    if kind is Row:
        seq, time, values = message  # type: ignore[misc]
        for value in values:
            if type(value) is not float:
                break
        else:
            if time is not None and len(values) < 24:
                skeleton, heads = _row_of_floats(len(values))
                flat: list[Any] = heads.copy()
                flat[3] = seq
                flat[5] = time
                flat[8::2] = values
                try:
                    return skeleton.pack(*flat)
                except error:
                    pass  # a time before 1970 or a number out of range: say it the long way
    layout = _LAYOUTS.get(kind)
    if layout is None:
        raise LocalProtocolError(f"{kind.__name__} cannot be sent")
    try:
        return dumps(layout(message), default=_default)
    except (CBOREncodeError, TypedArrayError, ValueError, TypeError, RecursionError) as problem:
        raise LocalProtocolError(f"{kind.__name__} cannot be encoded: {problem}") from problem


@lru_cache(maxsize=32)
def _row_of_floats(count: int) -> tuple[Struct, list[Any]]:
    """How a row of so many floats lies in bytes, and the arguments that are always the same."""
    heads: list[Any] = [_SHORT_ARRAY | 4, CODES[Row], _U64, 0, _U64, 0, _SHORT_ARRAY | count]
    return Struct(">BBBQBQB" + "Bd" * count), heads + [_F64, 0.0] * count


def _default(encoder: CBOREncoder, value: Any) -> None:
    """What cbor2 does not know: arrays of numpy, and other mappings."""
    if isinstance(value, np.ndarray):
        encoder.encode(value.tolist() if value.dtype.kind in "bOUT" else to_tag(value))
    elif isinstance(value, np.generic):
        encoder.encode(value.item())
    elif isinstance(value, Mapping):
        encoder.encode(dict(value))
    else:
        raise TypeError(f"no CBOR for {type(value).__name__}")


def _columns(message: Columns) -> list[Any]:
    seq, times, columns = message
    spread = [times.base, to_tag(times.offsets)] if type(times) is Offsets else list(times)
    return [CODES[Columns], seq, spread, columns]


def _straight(kind: type, code: int) -> Callable[[Any], list[Any]]:
    """The fields of a dataclass in order, after its code."""
    names = tuple(field.name for field in fields(kind))
    return lambda message: [code, *[getattr(message, name) for name in names]]


_LAYOUTS: Final[dict[type, Callable[[Any], list[Any]]]] = {
    Row: lambda row: [CODES[Row], *row],
    Columns: _columns,
    **{kind: _straight(kind, code) for kind, code in {**CODES, **OPERATOR_CODES}.items() if kind not in {Row, Columns}},
}
