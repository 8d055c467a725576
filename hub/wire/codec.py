"""Bytes to messages and back. Strangers' bytes are judged here, once and strictly; inside, everything is true.

A frame is one CBOR item and nothing after it: no indefinite lengths, no duplicate keys, no tags but typed arrays where
columns are expected, depth bounded. A bad frame raises RemoteProtocolError with the close code that answers it.
"""

from collections.abc import Callable
from io import BytesIO
from typing import Any, Final, NoReturn, TypeAlias

from cbor2 import CBORDecoder

from hub.wire import encoding, layouts
from hub.wire.batches import columns_body, values_body
from hub.wire.errors import CloseCode, RemoteProtocolError
from hub.wire.fields import INT64_MAX, INT64_MIN, SEQ_MAX, Wrong
from hub.wire.fixed_rows import read_row
from hub.wire.messages import MAX_FRAME, Columns, DeviceMessage, HubMessage, Malformed, Row
from hub.wire.operator import OperatorReply, OperatorRequest

#: Bytes of a reply to an operator: a million rows in eight columns of eight bytes; hubs send less at a time.
MAX_REPLY: Final = 64 * 1024 * 1024
MAX_DEPTH: Final = 6  # what devices may nest: a property three maps deep
REPLY_DEPTH: Final = 16  # models and ledgers nest deeper, and come from the hub

Layouts: TypeAlias = dict[int, Callable[[list[Any]], Any]]

#: Every tag that cbor2 would make an object of by itself: a stranger must not choose what is built. A test probes
#: that no other tag turns into anything.
_BUILT_IN: Final = (
    0, 1, 2, 3, 4, 5, 25, 28, 29, 30, 35, 36, 37, 52, 54, 100, 256, 258, 260, 261, 1004, 43000, 55799,
)  # fmt: skip


def _forbidden(_value: object, _immutable: bool) -> NoReturn:
    raise Wrong("tags other than typed arrays are not part of this protocol")


class _Reader:
    """Decoders kept for reuse, because making one costs as much as decoding a row. Threads may share a reader: each
    call takes a decoder of its own, and one that has failed is not used again."""

    def __init__(self, limit: int, depth: int) -> None:
        self._limit = limit
        self._depth = depth
        self._idle: list[CBORDecoder] = []

    def _decoder(self) -> CBORDecoder:
        return CBORDecoder(
            BytesIO(),
            max_depth=self._depth,
            allow_indefinite=False,
            allow_duplicate_keys=False,
            strict_hashable_types=True,
            semantic_decoders=dict.fromkeys(_BUILT_IN, _forbidden),
        )

    def items(self, frame: bytes) -> list[Any]:
        """The array that the frame is, with a whole number first."""
        if len(frame) > self._limit:
            raise RemoteProtocolError(CloseCode.TOO_BIG, f"a frame has at most {self._limit} bytes")
        try:
            decoder = self._idle.pop()
        except IndexError:
            decoder = self._decoder()
        source = BytesIO(frame)
        try:
            decoder.fp = source
            items = decoder.decode()
        except Exception:  # a stranger's bytes: whatever the library says about them, they are not CBOR of this profile
            raise RemoteProtocolError(CloseCode.GARBLED, "not well-formed CBOR of this protocol") from None
        if source.tell() != len(frame):
            raise RemoteProtocolError(CloseCode.GARBLED, "bytes after the message")
        if len(frame) <= MAX_FRAME:  # an idle decoder holds on to what it read last
            self._idle.append(decoder)
        if type(items) is not list or not items or type(items[0]) is not int:
            raise RemoteProtocolError(CloseCode.PROTOCOL, "a message is an array that starts with its code")
        return items


_FRAMES: Final = _Reader(MAX_FRAME, MAX_DEPTH)
_REPLIES: Final = _Reader(MAX_REPLY, REPLY_DEPTH)


def _unnumbered(items: list[Any], layout: Layouts) -> Any:
    make = layout.get(items[0])
    if make is None:
        raise RemoteProtocolError(CloseCode.PROTOCOL, "no message has this code here")
    try:
        return make(items)
    except Wrong as wrong:
        raise RemoteProtocolError(wrong.code, str(wrong)) from None


def _columns(items: list[Any]) -> Columns:
    _, seq, times, columns = items
    return Columns(seq, *columns_body(times, columns))


def _row(items: list[Any]) -> Row:
    _, seq, time, values = items
    if time is not None and (type(time) is not int or not INT64_MIN <= time <= INT64_MAX):
        raise Wrong("a time must be a whole number of 64 bits signed")
    return Row(seq, time, values_body(values))


#: Messages that carry a seq of their own: where that can be read but the rest cannot, the batch is Malformed (P11).
_NUMBERED: Final[Layouts] = {2: _row, 3: _columns, **layouts.NUMBERED}
_LENGTHS: Final = {2: 4, 3: 4, 5: 5, 6: 3, 7: 5}


def _numbered(items: list[Any]) -> DeviceMessage:
    code = items[0]
    seq = items[1] if len(items) > 1 else None
    if type(seq) is not int or not 1 <= seq <= SEQ_MAX:
        if code == 7 and seq is None:
            return _unnumbered(items, layouts.PROGRESS)  # type: ignore[no-any-return]
        raise RemoteProtocolError(CloseCode.PROTOCOL, f"a seq must be a whole number from 1 to {SEQ_MAX}")
    try:
        if len(items) != _LENGTHS[code]:
            raise Wrong(f"this message has {_LENGTHS[code]} fields")
        return _NUMBERED[code](items)  # type: ignore[no-any-return]
    except Wrong as wrong:
        return Malformed(seq, str(wrong))


def decode_device(frame: bytes) -> DeviceMessage:
    """What a device says. RemoteProtocolError when it is not a message: PROTOCOL for a code or fields that are wrong,
    GARBLED for CBOR outside the profile, TOO_BIG for length. A numbered batch with a bad body is Malformed (P11).

    Numbers that are not finite pass inside the values of rows and columns: the verdict rejects them one by one.
    """
    row = read_row(frame)
    if row is not None:
        return row
    items = _FRAMES.items(frame)
    code = items[0]
    if code in _NUMBERED:
        return _numbered(items)
    return _unnumbered(items, layouts.DEVICE)  # type: ignore[no-any-return]


def decode_hub(frame: bytes) -> HubMessage:
    """What the hub says to a device; RemoteProtocolError as in ``decode_device``."""
    return _unnumbered(_FRAMES.items(frame), layouts.HUB)  # type: ignore[no-any-return]


def decode_request(frame: bytes) -> OperatorRequest:
    """What an operator says; RemoteProtocolError as in ``decode_device``."""
    return _unnumbered(_FRAMES.items(frame), layouts.REQUESTS)  # type: ignore[no-any-return]


def decode_reply(frame: bytes) -> OperatorReply:
    """What the hub says to an operator; typed arrays in the value of an answer come out as numpy arrays."""
    return _unnumbered(_REPLIES.items(frame), layouts.REPLIES)  # type: ignore[no-any-return]


encode = encoding.encode
