"""A hub of the tests: speaks the operator protocol over real TLS and WebSocket, answers from tables."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from trio_websocket import ConnectionClosed, WebSocketConnection, WebSocketRequest

from hub.wire.codec import decode_request, encode
from hub.wire.operator import (
    Answer,
    Ask,
    Call,
    Failure,
    Greeting,
    OperatorReply,
    OperatorRequest,
    Send,
    Subscribe,
    Unsubscribe,
    Update,
)
from tests.client.servers import Server, Trust, websocket_server

TIME = 1_800_000_000_000_000  # us: 2027-01-15T08:00:00Z


@dataclass
class Fails(Exception):
    """What a handler raises to answer with a Failure."""

    code: str
    text: str


@dataclass
class FakeHub:
    """``verbs``: verb -> value or function of its arguments. ``states``: what a command goes through. ``parts``: those
    of every answer to a question, or what gives them for it. ``updates``: what every subscription gets, as (kind,
    body)."""

    verbs: dict[str, Any] = field(default_factory=dict)
    states: list[dict[str, Any]] = field(default_factory=list)
    parts: list[dict[str, Any]] | Callable[[dict[str, Any]], list[dict[str, Any]]] = field(default_factory=list)
    updates: list[tuple[str, Any]] = field(default_factory=list)
    hang_up: tuple[int, str] | None = None  # after the updates
    token: str = "admin-token"
    asked: list[OperatorRequest] = field(default_factory=list)
    server: Server | None = None

    @property
    def url(self) -> str:
        assert self.server is not None
        return f"wss://localhost:{self.server.port}"

    @asynccontextmanager
    async def serve(self, trust: Trust) -> AsyncIterator["FakeHub"]:
        def gate(request: WebSocketRequest) -> int:
            given = dict(request.headers).get(b"authorization", b"")
            return 101 if given == f"Bearer {self.token}".encode() else 401

        async with websocket_server(self._converse, trust, gate) as self.server:
            yield self

    async def _converse(self, link: WebSocketConnection) -> None:
        await link.send_message(encode(Greeting("admin", "tests", "0.1.0", TIME, "log")))
        while True:
            try:
                request = decode_request(await link.get_message())
            except ConnectionClosed:
                return
            self.asked.append(request)
            for reply in self._replies(request):
                await link.send_message(encode(reply))
            if isinstance(request, Subscribe) and self.hang_up:
                await link.aclose(*self.hang_up)

    def _replies(self, request: OperatorRequest) -> list[OperatorReply]:
        try:
            return self._answer(request)
        except Fails as failure:
            return [Failure(request.id, failure.code, failure.text)]

    def _answer(self, request: OperatorRequest) -> list[OperatorReply]:
        match request:
            case Call(id, verb, args):
                value = self.verbs[verb]
                return [Answer(id, value(dict(args)) if isinstance(value, Callable) else value, False)]
            case Send(id, device, name, args, _, wait):
                states = self.states if wait else self.states[:1]
                if not states:
                    raise Fails("unknown_device", f"no device {device}; see 'telemetrio devices ls'")
                last = len(states) - 1
                return [
                    Answer(id, command(device=device, name=name, args=dict(args)) | state, number < last)
                    for number, state in enumerate(states)
                ]
            case Ask(id, question):
                parts = self.parts(dict(question)) if isinstance(self.parts, Callable) else self.parts
                if not parts:
                    raise Fails("bad_request", "no such metric; see 'telemetrio devices show'")
                return [Answer(id, part, number < len(parts) - 1) for number, part in enumerate(parts)]
            case Subscribe(id):
                return [Answer(id, None, False), *(Update(id, kind, body) for kind, body in self.updates)]
            case Unsubscribe(id):
                return [Answer(id, None, False)]


def command(**fields: Any) -> dict[str, Any]:
    """A CommandInfo."""
    return {
        "id": "c1", "device": "d1", "name": "reboot", "args": {}, "state": "sent", "value": None, "late": False,
        "by": "tests", "created": TIME, "expiry": TIME + 10_000_000, "changed": TIME,
    } | fields  # fmt: skip
