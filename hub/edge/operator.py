"""The conversation with one operator: greeting, then requests and answers, and the updates it subscribed to."""

from collections import deque
from typing import Any, Final

import trio

from hub.control.errors import ControlRefused
from hub.control.tokens import Principal
from hub.control.viewer import Viewer
from hub.edge.auth import may_call
from hub.edge.calls import Calls, Refused
from hub.edge.idle import Watch
from hub.edge.link import Link, LinkClosed
from hub.edge.listener import Ending
from hub.edge.parts import parts
from hub.edge.rooms import Rooms
from hub.query.question import Columns, Question, QuestionError
from hub.state import StateError
from hub.store.base import StoreError
from hub.wire.codec import decode_request, encode
from hub.wire.errors import CloseCode, RemoteProtocolError
from hub.wire.messages import FINAL_STATES, Plain
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
)  # fmt: skip
from hub.wire.shapes import CommandInfo

REQUESTS: Final = 16  # that one operator may have under way; what waits for a command's result counts too


class OperatorConversation:
    """See the module. Ends by returning."""

    def __init__(self, rooms: Rooms, calls: Calls, watch: Watch, link: Link, principal: Principal) -> None:
        self._rooms = rooms
        self._calls = calls
        self._watch = watch
        self._link = link
        self._principal = principal
        self._viewer: Viewer | None = None
        self._ending: Ending | None = None
        self._reading = trio.CancelScope()
        self._under_way = 0

    async def run(self) -> Ending:
        """The whole conversation; how it ended."""
        self._watch.add(self._link, self.end)
        try:
            async with trio.open_nursery() as nursery:
                with self._reading:
                    self._ending = await self._serve(nursery)
                nursery.cancel_scope.cancel()
            return self._ending or Ending(CloseCode.GOING_AWAY, "the hub stops")
        finally:
            self._watch.remove(self._link)
            if self._viewer is not None:
                self._viewer.close()

    def end(self, ending: Ending) -> None:
        """End the conversation from outside, at once."""
        if self._ending is None:
            self._ending = ending
            self._reading.cancel()

    async def _serve(self, nursery: trio.Nursery) -> Ending:
        rooms, principal = self._rooms, self._principal
        try:
            await self._reply(Greeting(principal.role, principal.subject, rooms.version, rooms.clock.now(), rooms.log))
            while True:
                for frame in await self._link.receive():
                    await self._request(decode_request(frame), nursery)
                self._link.open()
        except RemoteProtocolError as error:
            return Ending(error.code, error.text)
        except LinkClosed as closed:
            return Ending(closed.code, closed.reason, say=closed.judged)

    async def _request(self, request: OperatorRequest, nursery: trio.Nursery) -> None:
        if isinstance(request, Subscribe | Unsubscribe):
            await self._subscription(request, nursery)
        elif self._under_way >= REQUESTS:
            await self._reply(Failure(request.id, "overload", f"at most {REQUESTS} requests at once on one link"))
        else:
            self._under_way += 1
            nursery.start_soon(self._answer, request)

    async def _reply(self, reply: OperatorReply) -> None:
        await self._link.send([encode(reply)])

    # --- subscriptions ---------------------------------------------------------------------------------------------

    async def _subscription(self, request: Subscribe | Unsubscribe, nursery: trio.Nursery) -> None:
        if not may_call(self._principal.role, "viewer"):
            await self._reply(Failure(request.id, "forbidden", f"role {self._principal.role} may not subscribe"))
            return
        try:
            if self._viewer is None:
                self._viewer = self._rooms.live.viewer()
                nursery.start_soon(self._show, self._viewer)
            if isinstance(request, Subscribe):
                self._viewer.subscribe(request)
            else:
                self._viewer.unsubscribe(request.id)
        except ControlRefused as refused:
            await self._reply(Failure(request.id, refused.code, refused.text))

    async def _show(self, viewer: Viewer) -> None:
        try:
            while True:
                updates: list[Update] = await viewer.take()
                await self._link.send([encode(update) for update in updates])
        except LinkClosed as closed:
            self.end(Ending(closed.code, closed.reason, say=False))

    # --- requests --------------------------------------------------------------------------------------------------

    async def _answer(self, request: Send | Ask | Call) -> None:
        try:
            await self._do(request)
        except ControlRefused as refused:
            await self._fail(request, refused.code, refused.text)
        except QuestionError as error:
            await self._fail(request, "bad_request", str(error))
        except StateError as error:
            await self._fail(request, "overload", str(error))
        except StoreError as error:
            await self._fail(request, "overload" if error.retry else "limit", str(error))
        except LinkClosed as closed:
            self.end(Ending(closed.code, closed.reason, say=False))
        finally:
            self._under_way -= 1

    async def _fail(self, request: Send | Ask | Call, code: str, text: str) -> None:
        try:
            await self._reply(Failure(request.id, code, text))
        except LinkClosed as closed:
            self.end(Ending(closed.code, closed.reason, say=False))

    async def _do(self, request: Send | Ask | Call) -> None:
        if isinstance(request, Call):
            await self._tell(request, await self._calls.call(request.verb, request.args, self._principal))
        elif isinstance(request, Ask):
            if not may_call(self._principal.role, "viewer"):
                raise Refused("forbidden", f"role {self._principal.role} may not ask")
            await self._ask(request)
        else:
            if not may_call(self._principal.role, "operator"):
                raise Refused(
                    "forbidden", f"role {self._principal.role} may not send commands; use an operator's token"
                )
            await self._send(request)

    async def _ask(self, request: Ask) -> None:
        question = self._calls.resolve(Question.from_plain(request.question))
        await self._tell(request, await self._rooms.ask(question) if question is not None else empty())

    async def _tell(self, request: Ask | Call, value: Any) -> None:
        """The answer, in parts; others get their turn after each."""
        for part, more in parts(value):
            await self._reply(Answer(request.id, part, more))

    async def _send(self, request: Send) -> None:
        changes: deque[CommandInfo] = deque()
        changed = trio.Event()

        def watch(info: CommandInfo) -> None:
            changes.append(info)
            changed.set()

        router, args = self._rooms.router, request.args
        try:
            info = await router.send(
                request.device,
                request.name,
                args,
                request.timeout,
                self._principal.subject,
                watch if request.wait else None,
            )
            changes.appendleft(info)
            while True:
                while changes:
                    info = changes.popleft()
                    more = request.wait and info["state"] not in FINAL_STATES
                    await self._reply(Answer(request.id, plain_info(info), more))
                    if not more:
                        return
                changed = trio.Event()
                await changed.wait()
        finally:
            router.unwatch(watch)


def empty() -> Columns:
    """The answer when no device matches."""
    return Columns({name: [] for name in ("device", "metric", "unit", "time", "value", "quality")})


def plain_info(info: CommandInfo) -> dict[str, Plain]:
    """A TypedDict as what travels."""
    return dict(info)  # type: ignore[arg-type]
