"""Messages to bytes. What is encoded here is decoded by the peer to an equal message."""

from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any, Final

import numpy as np
from cbor2 import CBOREncodeError, CBOREncoder, dumps

from hub.wire.errors import LocalProtocolError
from hub.wire.fixed_rows import write_row
from hub.wire.messages import CODES, Columns, DeviceMessage, HubMessage, Offsets, Row
from hub.wire.operator import OPERATOR_CODES, OperatorReply, OperatorRequest
from hub.wire.typed_arrays import TypedArrayError, to_tag


def encode(message: DeviceMessage | HubMessage | OperatorRequest | OperatorReply) -> bytes:
    """The frame of a message; LocalProtocolError when it is none that can be sent.

    Rows of floats come out at fixed width: frames of one device then have one length and one skeleton, which a
    reader of many can use.
    """
    kind = type(message)
    if type(message) is Row:
        seq, time, values = message
        for value in values:
            if type(value) is not float:
                break
        else:
            if time is not None and (frame := write_row(seq, time, values)) is not None:
                return frame
    layout = _LAYOUTS.get(kind)
    if layout is None:
        raise LocalProtocolError(f"{kind.__name__} cannot be sent")
    try:
        return dumps(layout(message), default=_default)
    except (CBOREncodeError, TypedArrayError, ValueError, TypeError, RecursionError) as problem:
        raise LocalProtocolError(f"{kind.__name__} cannot be encoded: {problem}") from problem


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
