import json

import pytest

from hub.wire.codec import encode
from hub.wire.messages import Ack, Declared, Hello, Row, Window
from hub.wire.operator import Call, Failure

HELLO = Hello("pump", None, None, 0, 1, 1, (Declared("speed", "1/min", "float64"),), 5, None, "x", "secret")


@pytest.mark.parametrize(
    ("message", "name"),
    [(Row(1, 5, [1.5, None]), "row"), (Ack(3, Window(1, 2)), "ack"), (Call(1, "status", {}), "call"),
     (Failure(1, "internal", "x"), "failure")],
)  # fmt: skip
def test_a_binary_frame_of_each_side(message, name, telemetrio, place) -> None:
    (place / "frame").write_bytes(encode(message))
    ran = telemetrio("decode", "frame")
    assert ran.code == 0
    assert json.loads(ran.out)["message"] == name


def test_hexadecimal_frames_one_a_line(telemetrio, place) -> None:
    (place / "frames").write_text(f"{encode(Row(7, 5, [1.5])).hex()}\n\n{encode(HELLO).hex()}\n")
    ran = telemetrio("decode", "frames")
    row, hello = map(json.loads, ran.out.splitlines())
    assert row == {"message": "row", "seq": 7, "time": 5, "values": [1.5]}
    assert hello["metrics"] == [{"name": "speed", "unit": "1/min", "type": "float64"}]
    assert "secret" not in ran.out


@pytest.mark.parametrize("frame", [b"", b"\xff", b"\x80", b"\x81\x18\x63", b"\x82\x02\xf6", b"hello"])
def test_what_is_no_message_says_why_and_the_close_code(frame, telemetrio, place) -> None:
    (place / "frame").write_bytes(frame)
    ran = telemetrio("decode", "frame")
    assert ran.code == 1
    assert "close code 10" in ran.err


def test_a_file_that_is_not_there(telemetrio) -> None:
    ran = telemetrio("decode", "none")
    assert ran.code == 1
    assert "none: No such file" in ran.err
