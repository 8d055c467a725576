"""An operator's link under trio: one task reads, replies find whoever waits for them."""

import math
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any, Final, cast

import trio

from hub.client.dial import TCP, Target, dial
from hub.client.errors import HubFailure, Refused, SocketClosed, Unreachable
from hub.client.operator import OperatorConversation
from hub.client.parts import join, whole
from hub.client.socket import Socket
from hub.ports import Streams
from hub.query import Columns, Question
from hub.wire.errors import CloseCode, RemoteProtocolError
from hub.wire.messages import OPERATOR_PATH, Plain
from hub.wire.operator import KINDS, Answer, Failure, Greeting, OperatorReply, Update
from hub.wire.shapes import CommandInfo

GREETING_SECONDS: Final = 10.0  # the hub greets at once; a full one may be slow
BACKLOG: Final = 1_000  # updates of readings that wait for a slow consumer; beyond it they are left out and counted

_Reply = Answer | Failure | Update


class Subscription(trio.abc.ReceiveChannel[Update]):
    """Updates, oldest first. Ends with the link; raises HubFailure when the hub refuses the subscription.

    A consumer that falls behind loses updates of readings, never others, and is told by one of kind ``skipped``.
    """

    def __init__(self, id: int, operator: "Operator") -> None:
        self.id = id
        self._operator = operator
        self._in, self._out = trio.open_memory_channel[_Reply](math.inf)
        self._skipped = 0

    def take(self, reply: _Reply) -> None:
        """Called by the reader: never waits."""
        waiting = self._in.statistics().current_buffer_used
        if isinstance(reply, Update) and reply.kind == "readings" and waiting >= BACKLOG:
            self._skipped += len(reply.body) if isinstance(reply.body, list) else 1
            return
        if self._skipped and waiting < BACKLOG:
            self._in.send_nowait(Update(self.id, "skipped", {"count": self._skipped}))
            self._skipped = 0
        if not isinstance(reply, Answer):
            self._in.send_nowait(reply)

    def end(self) -> None:
        """Called when the link has ended."""
        self._in.close()

    async def receive(self) -> Update:
        """The next update; trio.EndOfChannel when the link has ended (``Operator.ended`` says why)."""
        return self._update(await self._out.receive())

    def receive_nowait(self) -> Update:
        """The next update if it is here, else trio.WouldBlock."""
        return self._update(self._out.receive_nowait())

    def _update(self, reply: _Reply) -> Update:
        if isinstance(reply, Failure):
            raise HubFailure(reply.code, reply.text)
        return cast("Update", reply)

    async def aclose(self) -> None:
        """Unsubscribe."""
        self._out.close()
        await self._operator.unsubscribe(self)


class Operator:
    """A link to the hub; made by ``connect``. Any number of tasks may use it."""

    def __init__(self, socket: Socket) -> None:
        self.ended: SocketClosed | None = None
        self._socket = socket
        self._conversation = OperatorConversation()
        self._sending = trio.Lock()
        self._requests: dict[int, trio.MemorySendChannel[_Reply]] = {}
        self._subscriptions: dict[int, Subscription] = {}

    @property
    def greeting(self) -> Greeting:
        """What the hub said of itself and of our token."""
        if self._conversation.greeting is None:
            raise RuntimeError("connect has not finished")
        return self._conversation.greeting

    async def call(self, verb: str, **args: Any) -> Any:
        """The answer to a verb of ``hub.wire.operator.VERBS``, all parts joined. Raises HubFailure, SocketClosed."""
        given = {name: value for name, value in args.items() if value is not None}
        self._check()
        parts: list[Any] = []
        await self._exchange(*self._conversation.call(verb, given), lambda answer: parts.append(answer.value))
        return whole(parts)

    async def ask(self, question: Question) -> Columns:
        """The answer of the store, all parts joined. Raises HubFailure, SocketClosed."""
        self._check()
        parts: list[Any] = []
        await self._exchange(*self._conversation.ask(question), lambda answer: parts.append(answer.value))
        return join(parts)

    async def send_command(
        self,
        device: str,
        name: str,
        args: Mapping[str, Plain],
        timeout: float,
        wait: bool = True,
        on_change: Callable[[CommandInfo], None] | None = None,
    ) -> CommandInfo:
        """Send a command that expires after ``timeout`` seconds; its last state, or its first without ``wait``.

        ``on_change`` is called with every state. Raises HubFailure when the hub does not take it, SocketClosed.
        """
        self._check()
        states: list[CommandInfo] = []

        def changed(answer: Answer) -> None:
            states.append(cast("CommandInfo", answer.value))
            if on_change is not None:
                on_change(states[-1])

        await self._exchange(*self._conversation.send(device, name, args, timeout, wait), changed)
        return states[-1]

    async def subscribe(
        self, kinds: Iterable[str] = KINDS, devices: Iterable[str] = ("*",), metrics: Iterable[str] = ("*",)
    ) -> Subscription:
        """Updates of these kinds, a snapshot first. ``devices`` and ``metrics`` are globs. Raises SocketClosed."""
        self._check()
        id, frame = self._conversation.subscribe(kinds, devices, metrics)
        subscription = self._subscriptions[id] = Subscription(id, self)
        await self._send(frame)
        return subscription

    async def unsubscribe(self, subscription: Subscription) -> None:
        """What ``Subscription.aclose`` does."""
        if self._subscriptions.pop(subscription.id, None) is None:
            await trio.lowlevel.checkpoint()
        elif self.ended is None:
            with suppress(SocketClosed):
                await self._send(self._conversation.unsubscribe(subscription.id))

    async def _exchange(self, id: int, frame: bytes, each: Callable[[Answer], None]) -> None:
        """Send a request and hand every answer to ``each``, as it comes."""
        replies_in, replies = trio.open_memory_channel[_Reply](math.inf)  # bounded by the hub: rows of an answer
        self._requests[id] = replies_in
        with replies:
            await self._send(frame)
            async for reply in replies:
                if isinstance(reply, Failure):
                    raise HubFailure(reply.code, reply.text)
                answer = cast("Answer", reply)
                each(answer)
                if not answer.more:
                    return
        self._check()

    async def _send(self, frame: bytes) -> None:
        async with self._sending:
            await self._socket.send(frame)

    def _check(self) -> None:
        if self.ended is not None:
            raise self.ended

    async def greeted(self) -> None:
        """Wait for the hub's first word."""
        self._conversation.receive(await self._socket.receive())

    async def read(self) -> None:
        """Hand out replies until the link ends; sets ``ended``."""
        try:
            while True:
                reply = self._conversation.receive(await self._socket.receive())
                if reply is not None:
                    self._hand_out(reply)
        except SocketClosed as closed:
            self.ended = closed
        except RemoteProtocolError as error:
            self.ended = SocketClosed(error.code, f"the hub broke the protocol: {error.text}")
            await self._socket.close(error.code, error.text[:120])
        finally:
            self.ended = self.ended or SocketClosed(CloseCode.NORMAL, "closed here")
            for channel in self._requests.values():
                channel.close()
            for subscription in self._subscriptions.values():
                subscription.end()

    def _hand_out(self, reply: OperatorReply) -> None:
        if isinstance(reply, Greeting):
            return
        if reply.id in self._subscriptions:
            self._subscriptions[reply.id].take(reply)
        elif reply.id in self._requests:
            with suppress(trio.BrokenResourceError):  # whoever asked was cancelled
                self._requests[reply.id].send_nowait(reply)
            if isinstance(reply, Failure) or (isinstance(reply, Answer) and not reply.more):
                self._requests.pop(reply.id).close()


@asynccontextmanager
async def connect(target: Target, streams: Streams = TCP) -> AsyncIterator[Operator]:
    """A link to the hub as an operator. Raises Unreachable, Refused."""
    failure: BaseException | None = None
    async with dial(target, OPERATOR_PATH, streams) as socket:
        operator = Operator(socket)
        await _greet(operator, target)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(operator.read)
            try:
                yield operator
            except BaseException as error:  # carried around the nursery, which would wrap it in a group
                failure = error
            nursery.cancel_scope.cancel(reason="done")
        if failure is not None:
            raise failure


async def _greet(operator: Operator, target: Target) -> None:
    try:
        with trio.fail_after(GREETING_SECONDS):
            await operator.greeted()
    except trio.TooSlowError:
        raise Unreachable(f"{target.url} let us in and says nothing; check the hub's log") from None
    except RemoteProtocolError as error:
        raise Unreachable(f"{target.url} speaks another protocol: {error.text}; check the versions") from None
    except SocketClosed as closed:
        if closed.code in (CloseCode.UNAUTHORIZED, CloseCode.FORBIDDEN):
            raise Refused(401 if closed.code == CloseCode.UNAUTHORIZED else 403, str(closed)) from None
        raise Unreachable(f"{target.url}: {closed}; try again in a moment, or check the hub's log") from None
