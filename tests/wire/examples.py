"""One message of each kind, and more where there are forms: the golden vectors are these as bytes.

``python -m tests.wire.examples`` writes ``vectors.json`` anew; do so only when the wire is meant to change.
"""

import json
from pathlib import Path
from typing import Any, Final

import cbor2
import numpy as np

from hub.wire import messages as m
from hub.wire import operator as o
from hub.wire.codec import encode
from tests.wire.diagnostic import diagnostic

VECTORS: Final = Path(__file__).parent / "vectors.json"
T: Final = 1_767_225_600_000_000  # 2026-01-01T00:00:00Z

_METRICS = (m.Declared("temperature", "Cel", "float64"), m.Declared("door_open", "", "bool"))

EXAMPLES: Final[dict[str, dict[str, Any]]] = {
    "device": {
        "hello, first boot": m.Hello(
            "cold-chain-freezer", None, None, 0, 1, 1, _METRICS, T, None, "telemetrio-sim 0.1.0", None
        ),
        "hello, going on": m.Hello(
            "cold-chain-freezer", 7, "b4c9", 41, 42, 45, _METRICS, None, 5_000_000, "fw 1.2", "secret"
        ),
        "row of floats": m.Row(1, T, [-18.5, 230.0, 0.125]),
        "row of all kinds": m.Row(2, T, [21.5, 2150, True, "open", None, -1]),
        "row, time unknown": m.Row(3, None, [21.5]),
        "row, not finite": m.Row(4, T, [float("nan"), float("inf"), float("-inf")]),
        "columns at a fixed step": m.Columns(
            5, m.Regular(T, 10_000, 3), [(0, np.array([0.5, -0.25, 1.0], "f4")), (2, np.array([1, 2, 3], "i2"))]
        ),
        "columns at offsets": m.Columns(
            6, m.Offsets(T, np.array([0, 1500, 90_000], "u4")), [(1, np.array([1.5, 2.5, 3.5])), (3, ["a", None, "b"])]
        ),
        "columns, time unknown": m.Columns(7, m.Regular(None, 1_000_000, 2), [(0, np.array([1, -1], "i1"))]),
        "dropped": m.Dropped(8, 12, 40, "spool full"),
        "dropped, readings unknown": m.Dropped(13, 13, None, "poison"),
        "event": m.Event(14, T, "warning", "door open for 5 minutes"),
        "reported": m.Reported(15, {"interval": 10, "limits": {"low": -25.0, "high": -15.0}, "tags": ["a", True]}),
        "result, progress": m.Result(None, "c-1", "acknowledged", {"percent": 40}),
        "result, early copy": m.Result(None, "c-1", "succeeded", None),
        "result, final": m.Result(16, "c-1", "succeeded", -18.0),
        "bye": m.Bye("going to sleep"),
    },
    "hub to device": {
        "welcome, fresh epoch": m.Welcome(8, 44, (), m.Window(1024, 1_048_576), 65_536, 50.0, T, "b4c9"),
        "welcome, going on": m.Welcome(7, 41, ((43, 44), (50, 50)), m.Window(16, 65_536), 65_536, 50.0, T, "b4c9"),
        "ack": m.Ack(44, m.Window(1024, 1_048_576)),
        "reject": m.Reject(
            4, (m.Rejection(0, "not_finite", 0, 1, "NaN"), m.Rejection(-1, "malformed", 0, 1, "")), 2
        ),
        "command": m.Command("c-1", "set_target", {"celsius": -20.0, "boost": False}, T + 10_000_000),
        "cancel": m.Cancel("c-1"),
        "desired": m.Desired(3, {"interval": 5, "label": None}),
        "goaway": m.Goaway(2.5, "the hub is being updated"),
    },
    "operator": {
        "subscribe": o.Subscribe(1, ("readings", "presence"), ("freezer-*",), ("temperature",)),
        "unsubscribe": o.Unsubscribe(1),
        "send": o.Send(2, "freezer-1", "set_target", {"celsius": -20.0}, 10.0, True),
        "ask": o.Ask(3, {"metrics": ["temperature"], "since": T}),
        "call": o.Call(4, "devices.show", {"device": "freezer-1"}),
    },
    "hub to operator": {
        "greeting": o.Greeting("viewer", "wall-screen", "0.1.0", T, "b4c9"),
        "update": o.Update(1, "readings", [["freezer-1", "temperature", T, -18.5, 0]]),
        "update, skipped": o.Update(1, "skipped", {"count": 12}),
        "answer": o.Answer(
            3, {"device": ["freezer-1", "freezer-1"], "time": np.array([T, T + 1]), "value": np.array([-18.5, -18.0])},
            False,
        ),
        "failure": o.Failure(4, "unknown_device", "no device freezer-1: telemetrio devices ls shows them"),
    },
}  # fmt: skip

#: Other bytes that say the same: what peers with other encoders may send.
ALSO: Final = [
    ("device", "row of floats", cbor2.dumps([2, 1, T, [-18.5, 230.0, 0.125]], canonical=True)),
    (
        "device",
        "columns at a fixed step",
        cbor2.dumps(
            [3, 5, [T, 10_000, 3], [
                [0, cbor2.CBORTag(81, np.array([0.5, -0.25, 1.0], ">f4").tobytes())],
                [2, cbor2.CBORTag(73, np.array([1, 2, 3], ">i2").tobytes())],
            ]]
        ),
    ),
    ("hub to device", "goaway", cbor2.dumps([22, 2.5, "the hub is being updated"], canonical=True)),
]  # fmt: skip


def _frame(frame: bytes) -> dict[str, str]:
    return {"hex": frame.hex(), "diag": diagnostic(frame)}


def vectors() -> dict[str, dict[str, dict[str, str]]]:
    return {
        side: {name: _frame(encode(message)) for name, message in messages.items()}
        for side, messages in EXAMPLES.items()
    }


if __name__ == "__main__":
    VECTORS.write_text(json.dumps(vectors(), indent=1, ensure_ascii=False) + "\n")
