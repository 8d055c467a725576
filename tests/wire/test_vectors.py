"""The golden vectors: bytes, notation, message and grammar say the same."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cbor2
import pycddl
import pytest

import hub.wire
from hub.wire import codec
from hub.wire.messages import CODES
from hub.wire.operator import OPERATOR_CODES
from tests.wire.diagnostic import diagnostic
from tests.wire.examples import ALSO, EXAMPLES, VECTORS
from tests.wire.same import same

DECODERS: dict[str, Callable[[bytes], Any]] = {
    "device": codec.decode_device,
    "hub to device": codec.decode_hub,
    "operator": codec.decode_request,
    "hub to operator": codec.decode_reply,
}
GOLDEN = json.loads(VECTORS.read_text())
CASES = [(side, name) for side, messages in EXAMPLES.items() for name in messages]
RULES = {code: kind.__name__.lower() for kind, code in {**CODES, **OPERATOR_CODES}.items()}
CDDL = (Path(hub.wire.__file__).parent / "telemetrio.cddl").read_text()


def _schema(rule: str) -> pycddl.Schema:
    """The grammar with ``rule`` as its root: judged alone, a message cannot pass as another."""
    return pycddl.Schema(f"judged = {rule}\n{CDDL}")


def test_there_is_a_vector_for_each_message() -> None:
    assert {side: list(messages) for side, messages in GOLDEN.items()} == {
        side: list(messages) for side, messages in EXAMPLES.items()
    }
    assert {type(message) for messages in EXAMPLES.values() for message in messages.values()} == {
        *CODES,
        *OPERATOR_CODES,
    }


@pytest.mark.parametrize(("side", "name"), CASES)
def test_vectors_are_what_is_sent_and_read(side: str, name: str) -> None:
    frame = bytes.fromhex(GOLDEN[side][name]["hex"])
    assert codec.encode(EXAMPLES[side][name]) == frame
    assert same(DECODERS[side](frame), EXAMPLES[side][name])
    assert diagnostic(frame) == GOLDEN[side][name]["diag"]


@pytest.mark.parametrize(("side", "name"), CASES)
def test_vectors_follow_the_grammar(side: str, name: str) -> None:
    frame = bytes.fromhex(GOLDEN[side][name]["hex"])
    _schema(RULES[cbor2.loads(frame)[0]]).validate_cbor(frame)


@pytest.mark.parametrize(("side", "name", "frame"), ALSO)
def test_other_bytes_that_say_the_same_are_read(side: str, name: str, frame: bytes) -> None:
    assert frame.hex() != GOLDEN[side][name]["hex"]
    assert same(DECODERS[side](frame), EXAMPLES[side][name])
    _schema(RULES[cbor2.loads(frame)[0]]).validate_cbor(frame)


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("hello", [1, "m"]),
        ("row", [2, 0, None, []]),
        ("row", [2, 2**53 + 1, None, []]),
        ("row", [2, 1, None, [b"bytes"]]),
        ("row", [2, 1, 0.5, []]),
        ("columns", [3, 1, [None, 1, 0], [[0, [1]]]]),
        ("columns", [3, 1, [None, 1, 1], [[1024, [1]]]]),
        ("dropped", [4, 1, 0, None]),
        ("event", [5, 1, None, "fatal", ""]),
        ("event", [5, 1, None, "info", "x" * 257]),
        ("result", [7, 1, "id", "acknowledged", None]),
        ("result", [7, None, "", "succeeded", None]),
        ("bye", [8]),
        ("ack", [17, -1, [1, 1]]),
        ("command", [19, "id", "", {}, 1]),
        ("cancel", [20, "i" * 65]),
        ("failure", [51, 1, "oops", ""]),
    ],
)
def test_grammar_and_decoder_refuse_the_same(rule: str, message: list[Any]) -> None:
    frame = cbor2.dumps(message)
    with pytest.raises(pycddl.ValidationError):
        _schema(rule).validate_cbor(frame)
    for decode in DECODERS.values():
        try:
            decoded = decode(frame)
        except codec.RemoteProtocolError:
            continue
        assert type(decoded).__name__ == "Malformed"
