"""A hub's operator end on a real port, in a thread of its own: it says what a test tells it to."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np
import trio
from trio_websocket import ConnectionClosed, WebSocketConnection, WebSocketRequest, serve_websocket

from hub.client.dial import Target
from hub.model import load_models
from hub.wire.codec import decode_request, encode
from hub.wire.messages import SUBPROTOCOL
from hub.wire.operator import Answer, Ask, Call, Failure, Greeting, Send, Subscribe, Update
from tests.dashboard.stage import NOON, command, obedient, status


class ScriptedHub:
    """One device, ``pump-1``, and whatever ``tell`` says to all links."""

    def __init__(self) -> None:
        self.target = Target("")
        self.links: set[WebSocketConnection] = set()
        self.greeted = 0
        self.refusing = False
        self.silent = False  # lets requests wait for ever
        self._subscriptions: dict[WebSocketConnection, int] = {}
        self._token: trio.lowlevel.TrioToken | None = None
        self._nursery: trio.Nursery | None = None

    def tell(self, kind: str, body: Any) -> None:
        """Send an update on every link."""
        self._in_hub(lambda: [self._soon(link, Update(id, kind, body)) for link, id in self._subscriptions.items()])

    def cut(self) -> None:
        """End all links, without a word."""
        self._in_hub(lambda: [self._nursery.start_soon(link._stream.aclose) for link in self.links])  # type: ignore[union-attr]

    def _in_hub(self, do: Callable[[], object]) -> None:
        assert self._token is not None
        trio.from_thread.run_sync(do, trio_token=self._token)

    def _soon(self, link: WebSocketConnection, message: Any) -> None:
        assert self._nursery is not None
        self._nursery.start_soon(self._say, link, message)

    async def _say(self, link: WebSocketConnection, message: Any) -> None:
        with suppress(ConnectionClosed):
            await link.send_message(encode(message))

    async def serve(self, ready: threading.Event, stop: threading.Event) -> None:
        self._token = trio.lowlevel.current_trio_token()
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            server = await nursery.start(serve_websocket, self._greet, "127.0.0.1", 0, None)
            self.target = Target(f"ws://127.0.0.1:{server.port}", "token", insecure_ws=True)
            ready.set()
            await trio.to_thread.run_sync(stop.wait, abandon_on_cancel=True)
            nursery.cancel_scope.cancel()

    async def _greet(self, request: WebSocketRequest) -> None:
        if self.refusing:
            await request.reject(401, body=b"the token is not known")
            return
        link = await request.accept(subprotocol=SUBPROTOCOL)
        self.greeted += 1
        self.links.add(link)
        try:
            await self._say(link, Greeting("operator", "ops", "0.1.0", NOON, "log-1"))
            while True:
                await self._answer(link, decode_request(await link.get_message()))  # type: ignore[arg-type]
        except ConnectionClosed:
            pass
        finally:
            self.links.discard(link)
            self._subscriptions.pop(link, None)

    async def _answer(self, link: WebSocketConnection, request: Any) -> None:
        if isinstance(request, Subscribe):
            self._subscriptions[link] = request.id
            await self._say(link, Update(request.id, "hub", status()))  # type: ignore[arg-type]
            rows = [["pump-1", "flow", NOON, 42.5, 0]]
            await self._say(link, Update(request.id, "readings", rows))  # type: ignore[arg-type]
        elif self.silent:
            return
        elif isinstance(request, Send):
            states = obedient(command("c1", request.device, request.name, dict(request.args), "queued"))
            for info in states:
                await self._say(link, Answer(request.id, info, info is not states[-1]))  # type: ignore[arg-type]
        elif isinstance(request, Ask):
            columns = {
                "device": ["pump-1"],
                "metric": ["flow"],
                "unit": ["l/s"],
                "time": np.array([NOON]),
                "mean": [1.0],
            }
            await self._say(link, Answer(request.id, {"columns": columns, "truncated": False}, False))  # type: ignore[dict-item]
        elif isinstance(request, Call):
            await self._say(link, self._called(request))

    def _called(self, request: Call) -> Answer | Failure:
        device = {
            "device": "pump-1", "model": "pump", "state": "online", "since": NOON, "last_seen": NOON, "software": "s",
            "labels": {"site": "x"}, "address": None, "epoch": 1, "through": 1, "waiting": 0, "catch_up": None,
            "clock_offset": None,
        }  # fmt: skip
        answers: dict[str, Callable[[], Any]] = {
            "models.list": lambda: ["pump"],
            "models.show": lambda: load_models(None)["pump"].to_plain(),
            "commands.list": list,
            "devices.list": lambda: [device],
            "devices.show": lambda: {
                **device,
                "metrics": [],
                "latest": [],
                "ledger": [],
                "desired": {},
                "reported": {},
            },
        }
        if request.verb not in answers:
            return Failure(request.id, "bad_request", "no such verb; see docs/wire.md")
        return Answer(request.id, answers[request.verb](), False)


@contextmanager
def scripted_hub() -> Iterator[ScriptedHub]:
    """A hub that runs for the length of the block."""
    hub, ready, stop = ScriptedHub(), threading.Event(), threading.Event()
    thread = threading.Thread(target=trio.run, args=(hub.serve, ready, stop))
    thread.start()
    ready.wait()
    try:
        yield hub
    finally:
        stop.set()
        thread.join()
