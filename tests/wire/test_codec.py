"""What the decoders promise: any bytes are a message or a refusal, and what was encoded comes back."""

from collections.abc import Callable
from typing import Any

import cbor2
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hub.wire import codec, fixed_rows
from hub.wire import messages as m
from hub.wire.errors import CloseCode, LocalProtocolError, RemoteProtocolError
from tests.wire import strategies as draw
from tests.wire.same import same

DECODERS = [codec.decode_device, codec.decode_hub, codec.decode_request, codec.decode_reply]
CASES = settings(max_examples=200, deadline=None)


@CASES
@given(draw.device_messages)
def test_what_a_device_says_comes_back(message: m.DeviceMessage) -> None:
    assert same(codec.decode_device(codec.encode(message)), message)


@CASES
@given(draw.hub_messages)
def test_what_the_hub_says_comes_back(message: m.HubMessage) -> None:
    assert same(codec.decode_hub(codec.encode(message)), message)


@CASES
@given(draw.requests)
def test_what_an_operator_says_comes_back(message: Any) -> None:
    assert same(codec.decode_request(codec.encode(message)), message)


@CASES
@given(draw.replies)
def test_what_the_hub_tells_operators_comes_back(message: Any) -> None:
    assert same(codec.decode_reply(codec.encode(message)), message)


def _judge(decode: Callable[[bytes], Any], frame: bytes) -> None:
    """A message or a refusal; and a message that can be sent again says the same."""
    try:
        message = decode(frame)
    except RemoteProtocolError as refusal:
        if refusal.code not in {CloseCode.PROTOCOL, CloseCode.GARBLED, CloseCode.TOO_BIG} or not refusal.text:
            raise
        return
    if type(message) is not m.Malformed:
        assert same(decode(codec.encode(message)), message)


@settings(max_examples=400, deadline=None)
@given(st.binary(max_size=200), st.sampled_from(DECODERS))
@example(b"", codec.decode_device)
def test_any_bytes_are_a_message_or_a_refusal(frame: bytes, decode: Callable[[bytes], Any]) -> None:
    _judge(decode, frame)


_items: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**64), 2**64 - 1) | st.floats() | st.text(max_size=8)
    | st.binary(max_size=16) | st.just(cbor2.undefined),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(st.text(max_size=4) | st.integers() | st.binary(max_size=2), inner, max_size=3)
    | st.builds(cbor2.CBORTag, st.integers(0, 100) | st.integers(0, 2**64 - 1), inner),
    max_leaves=8,
)  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(range(70)), st.lists(_items, max_size=11), st.sampled_from(DECODERS))
def test_any_cbor_is_a_message_or_a_refusal(code: int, fields: list[Any], decode: Callable[[bytes], Any]) -> None:
    _judge(decode, cbor2.dumps([code, *fields]))


@settings(max_examples=400, deadline=None)
@given(draw.device_messages | draw.hub_messages | draw.requests | draw.replies, st.data())
def test_changed_frames_are_a_message_or_a_refusal(message: Any, data: st.DataObject) -> None:
    frame = bytearray(codec.encode(message))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(frame) - 1)) if frame else 0
        match data.draw(st.sampled_from(["flip", "cut", "insert", "repeat"])):
            case "flip" if frame:
                frame[at] ^= 1 << data.draw(st.integers(0, 7))
            case "cut":
                del frame[at:]
            case "insert":
                frame[at:at] = data.draw(st.binary(min_size=1, max_size=9))
            case _:
                frame += frame[at:]
    for decode in DECODERS:
        _judge(decode, bytes(frame))


@CASES
@given(draw.rows, st.data())
def test_rows_at_fixed_width_are_read_as_the_strict_decoder_reads_them(row: m.Row, data: st.DataObject) -> None:
    frame = bytearray(codec.encode(row))
    if data.draw(st.booleans()):
        frame[data.draw(st.integers(0, len(frame) - 1))] = data.draw(st.integers(0, 255))
    quick = fixed_rows.read_row(bytes(frame))
    if quick is not None:
        strict = codec._row(codec._FRAMES.items(bytes(frame)))
        assert type(quick) is m.Row
        assert same(quick, strict)


def test_rows_of_one_device_have_one_length() -> None:
    frames = {len(codec.encode(m.Row(seq, 1_763_856_000_000_000 + seq, [1.0, seq / 3]))) for seq in (1, 900, 2**40)}
    assert len(frames) == 1


GOOD_TIME = 1_763_856_000_000_000
HELLO = [1, "m", None, None, 0, 1, 1, [["a", "Cel", "float64"]], None, None, "", None]


def test_the_hello_that_is_spoilt_below_is_sound() -> None:
    assert type(codec.decode_device(cbor2.dumps(HELLO))) is m.Hello


def _with(at: int, value: object) -> list[Any]:
    return [*HELLO[:at], value, *HELLO[at + 1 :]]


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (b"", CloseCode.GARBLED),
        (b"\xff", CloseCode.GARBLED),
        (b"\x9f\xff", CloseCode.GARBLED),  # indefinite length
        (b"\x82\x08\x7f\x61a\xff", CloseCode.GARBLED),
        (b"\x82\x08", CloseCode.GARBLED),  # cut
        (b"\x82\x08\x61a\x00", CloseCode.GARBLED),  # bytes after
        (b"\x82\x08\x62\xff\xfe", CloseCode.GARBLED),  # no UTF-8
        (b"\x83\x06\x01\xa2\x61a\x01\x61a\x02", CloseCode.GARBLED),  # a key twice
        (b"\x83\x06\x01\xa1\x01\x01", CloseCode.GARBLED),  # a key that is a number
        (b"\x9b" + b"\xff" * 8, CloseCode.GARBLED),  # a length that is not there
        (b"\x81" * 1000, CloseCode.GARBLED),  # depth
        (b"\xd9\xd9\xf7\x82\x08\x61a", CloseCode.GARBLED),  # self-described CBOR
        (b"\x82\x08\xd8\x23\x61a", CloseCode.GARBLED),  # a regular expression
        (b"\x84\x02\xc2\x41\x01\xf6\x80", CloseCode.GARBLED),  # a big number as seq
        (b"\x01", CloseCode.PROTOCOL),
        (b"\x80", CloseCode.PROTOCOL),
        (b"\x81\xf5", CloseCode.PROTOCOL),  # true is not 1
        (b"\x81\xf9\x3c\x00", CloseCode.PROTOCOL),  # 1.0 is not 1
        (b"\xa1\x61a\x01", CloseCode.PROTOCOL),
        ([64, 1], CloseCode.PROTOCOL),  # reserved for gateways
        ([16], CloseCode.PROTOCOL),  # the hub's
        ([8], CloseCode.PROTOCOL),
        ([8, "x", "y"], CloseCode.PROTOCOL),
        ([8, "x" * 257], CloseCode.PROTOCOL),
        ([8, "ä" * 129], CloseCode.PROTOCOL),
        ([8, cbor2.undefined], CloseCode.PROTOCOL),
        ([4, 2, 1, None, ""], CloseCode.PROTOCOL),
        ([4, 0, 1, None, ""], CloseCode.PROTOCOL),
        ([7, None, "id", "running", None], CloseCode.PROTOCOL),
        ([7, None, "id", "acknowledged", float("nan")], CloseCode.GARBLED),
        ([7, None, "id", "acknowledged", [2**63]], CloseCode.PROTOCOL),
        (_with(1, "no good name"), CloseCode.PROTOCOL),
        (_with(1, "a\n"), CloseCode.PROTOCOL),
        (_with(1, "é"), CloseCode.PROTOCOL),
        (_with(2, 1), CloseCode.PROTOCOL),  # an epoch without its log
        (_with(4, 1), CloseCode.PROTOCOL),  # acked is not below next
        (_with(5, 2), CloseCode.PROTOCOL),  # first above next
        (_with(7, [["a", "", "int"], ["a", "", "int"]]), CloseCode.PROTOCOL),
        (_with(7, [["a", "", "int"]] * 1025), CloseCode.PROTOCOL),
        (_with(8, 2**63), CloseCode.PROTOCOL),
        (_with(9, -1), CloseCode.PROTOCOL),
        (_with(11, ""), CloseCode.PROTOCOL),
    ],
)
def test_wrong_frames_name_their_close_code(frame: Any, code: CloseCode) -> None:
    raw = frame if isinstance(frame, bytes) else cbor2.dumps(frame)
    with pytest.raises(RemoteProtocolError) as caught:
        codec.decode_device(raw)
    assert caught.value.code is code


def _tag(number: int, content: bytes) -> cbor2.CBORTag:
    return cbor2.CBORTag(number, content)


@pytest.mark.parametrize(
    "batch",
    [
        [2, 5],
        [2, 5, None],
        [2, 5, 1.5, []],
        [2, 5, 2**63, []],
        [2, 5, None, [], 1],
        [2, 5, None, {}],
        [2, 5, None, [b"bytes"]],
        [2, 5, None, [[]]],
        [2, 5, None, [2**63]],
        [2, 5, None, [cbor2.undefined]],
        [2, 5, None, [_tag(85, b"")]],
        [2, 5, None, [0.0] * 1025],
        [3, 5, [None, 1, 1], []],
        [3, 5, [None, 1, 0], [[0, []]]],
        [3, 5, [None, 1, 65537], [[0, []]]],
        [3, 5, [None, 1, 2], [[0, [1]]]],
        [3, 5, [None, 1, 1], [[0, [1]], [0, [1]]]],
        [3, 5, [None, 1, 1], [[1024, [1]]]],
        [3, 5, [None, 1, 1], [[0]]],
        [3, 5, [None, 1, 1], [[0, b"\x00"]]],
        [3, 5, [None, 1, 1], [[0, _tag(68, b"\x00")]]],
        [3, 5, [None, 1, 1], [[0, _tag(1000, b"\x00")]]],
        [3, 5, [None, 1, 1], [[0, _tag(85, b"\x00\x00\x00")]]],
        [3, 5, [None, 1, 1], [[0, _tag(85, "abcd")]]],  # type: ignore[arg-type]
        [3, 5, [None, 1, 1], [[0, _tag(71, b"\xff" * 8)]]],
        [3, 5, [None, 2.5, 1], [[0, [1]]]],
        [3, 5, [2**62, 2**62, 3], [[0, [1, 1, 1]]]],
        [3, 5, [None, _tag(85, b"\x00" * 4)], [[0, [1]]]],
        [3, 5, [None, _tag(64, b"")], [[0, []]]],
        [3, 5, [2**63 - 2, _tag(64, b"\x00\x02")], [[0, [1, 1]]]],
        [3, 5, [1, _tag(79, (2**63 - 1).to_bytes(8, "little"))], [[0, [1]]]],
        [3, 5, [None], [[0, [1]]]],
        [3, 5, None, [[0, [1]]]],
        [5, 5, None, "fatal", ""],
        [5, 5, None, "info", "x" * 257],
        [6, 5, {"": 1}],
        [6, 5, {"a": float("inf")}],
        [6, 5, {"a": _tag(85, b"")}],
        [6, 5, []],
        [7, 5, "id", "acknowledged", None],  # progress has no number
        [7, 5, "", "failed", None],
    ],
)
def test_p11_a_numbered_batch_with_a_bad_body_is_malformed(batch: list[Any]) -> None:
    message = codec.decode_device(cbor2.dumps(batch))
    assert type(message) is m.Malformed
    assert message.seq == 5
    assert message.why


@pytest.mark.parametrize("seq", [0, -1, 2**53 + 1, None, True, 5.0, "5", []])
@pytest.mark.parametrize("code", [2, 3, 5, 6, 7])
def test_p11_without_a_number_it_is_refused(code: int, seq: object) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        codec.decode_device(cbor2.dumps([code, seq, {}]))
    assert caught.value.code is CloseCode.PROTOCOL


def test_readings_need_not_be_finite() -> None:
    row = codec.decode_device(codec.encode(m.Row(1, GOOD_TIME, [float("nan"), float("-inf")])))
    assert same(row, m.Row(1, GOOD_TIME, [float("nan"), float("-inf")]))
    frame = codec.encode(m.Columns(1, m.Regular(GOOD_TIME, 1, 1), [(0, np.array([np.nan]))]))
    assert type(codec.decode_device(frame)) is m.Columns


def test_no_other_tag_becomes_an_object() -> None:
    """Whatever cbor2 would build from a tag by itself is refused, also in versions to come."""
    for number in [*range(2_000), 43_000, 55_799, 65_535, 65_536, 2**32 - 1, 2**64 - 1]:
        for content in (0, "a", b"a", [1, 2], {}):
            frame = cbor2.dumps([7, None, "id", "acknowledged", cbor2.CBORTag(number, content)])
            with pytest.raises(RemoteProtocolError):
                codec.decode_device(frame)


def test_frames_have_a_limit() -> None:
    frame = codec.encode(m.Row(1, None, ["x" * m.MAX_FRAME]))
    with pytest.raises(RemoteProtocolError) as caught:
        codec.decode_device(frame)
    assert caught.value.code is CloseCode.TOO_BIG


def declares(metric: m.Declared) -> bytes:
    """A hello with the most metrics there may be, each as large as this one."""
    metrics = tuple(metric._replace(name=f"{number:04}{metric.name[4:]}") for number in range(m.MAX_METRICS))
    return codec.encode(m.Hello("m" * 64, 1, "l" * 36, 0, 1, 1, metrics, 1 << 50, 1 << 50, "s" * 200, "t" * 64))


def test_the_most_metrics_have_58_bytes_each_in_hello() -> None:
    codec.decode_device(declares(m.Declared("n" * 48, "Cel", "float64")))
    codec.decode_device(declares(m.Declared("n" * 45, "u" * 6, "float64")))
    with pytest.raises(RemoteProtocolError) as caught:
        codec.decode_device(declares(m.Declared("n" * 64, "Cel", "float64")))
    assert caught.value.code is CloseCode.TOO_BIG


def test_a_refused_frame_leaves_nothing_behind() -> None:
    good = codec.encode(m.Bye("x"))
    for bad in (b"\x82\x08", b"\x81" * 20, b"\x82\x08\xd8\x23\x61a", good + b"\x00"):
        with pytest.raises(RemoteProtocolError):
            codec.decode_device(bad)
        assert codec.decode_device(good) == m.Bye("x")


@pytest.mark.parametrize(
    "message",
    [m.Malformed(1, "x"), m.Reported(1, {"a": object()}), m.Columns(1, m.Regular(1, 1, 1), [(0, np.zeros((2, 2)))])],
)
def test_what_cannot_be_said_is_our_own_fault(message: Any) -> None:
    with pytest.raises(LocalProtocolError):
        codec.encode(message)


def test_columns_of_flags_and_text_travel_as_lists() -> None:
    columns = [(0, np.array([True, False])), (1, np.array(["a", "b"])), (2, np.array([None, "b"], dtype=object))]
    message = codec.decode_device(codec.encode(m.Columns(1, m.Regular(None, 1, 2), columns)))
    assert message == m.Columns(1, m.Regular(None, 1, 2), [(0, [True, False]), (1, ["a", "b"]), (2, [None, "b"])])
