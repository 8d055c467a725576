"""What an operator and the hub say to each other, without any I/O: bytes out, replies in, ids in between."""

from collections.abc import Iterable, Mapping
from enum import Enum
from typing import Final

from hub.query import Question
from hub.wire.codec import decode_reply, encode
from hub.wire.errors import CloseCode, LocalProtocolError, RemoteProtocolError
from hub.wire.messages import Plain
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


class _Open(Enum):
    """What an id that the hub may still answer stands for."""

    REQUEST = "request"
    SUBSCRIPTION = "subscription"
    ENDED = "ended"  # unsubscribed; updates may still be under way


_LEGAL: Final = {
    _Open.REQUEST: (Answer, Failure),
    _Open.SUBSCRIPTION: (Update, Answer, Failure),
    _Open.ENDED: (Update, Answer, Failure),
}


class OperatorConversation:
    """The operator's end of one link. Methods give the id of a request and the bytes to send for it."""

    def __init__(self) -> None:
        self.greeting: Greeting | None = None
        self._last = 0
        self._open: dict[int, _Open] = {}

    def call(self, verb: str, args: Mapping[str, Plain]) -> tuple[int, bytes]:
        """One of VERBS."""
        return self._request(Call(self._next(), verb, dict(args)))

    def ask(self, question: Question) -> tuple[int, bytes]:
        """A question to the store; answered in parts."""
        return self._request(Ask(self._next(), question.to_plain()))

    def send(self, device: str, name: str, args: Mapping[str, Plain], timeout: float, wait: bool) -> tuple[int, bytes]:
        """A command, to be done within ``timeout`` seconds; with ``wait`` every change of its state is answered."""
        return self._request(Send(self._next(), device, name, dict(args), float(timeout), wait))

    def subscribe(self, kinds: Iterable[str], devices: Iterable[str], metrics: Iterable[str]) -> tuple[int, bytes]:
        """Updates from now on, a snapshot first."""
        return self._request(Subscribe(self._next(), tuple(kinds), tuple(devices), tuple(metrics)), _Open.SUBSCRIPTION)

    def unsubscribe(self, subscription: int) -> bytes:
        """No more updates; what is under way is passed over."""
        if self._open.get(subscription) is not _Open.SUBSCRIPTION:
            raise LocalProtocolError(f"{subscription} is no open subscription")
        self._open[subscription] = _Open.ENDED
        return encode(Unsubscribe(subscription))

    def receive(self, frame: bytes) -> OperatorReply | None:
        """Take in a frame of the hub; None when it concerns nobody any more.

        Raises RemoteProtocolError, and changes nothing, when it is not what the hub may say now.
        """
        reply = decode_reply(frame)
        if isinstance(reply, Greeting) or self.greeting is None:
            if not isinstance(reply, Greeting) or self.greeting is not None:
                raise RemoteProtocolError(CloseCode.PROTOCOL, f"{type(reply).__name__} out of turn")
            self.greeting = reply
            return reply
        state = self._open.get(reply.id)
        if state is None or not isinstance(reply, _LEGAL[state]):
            raise RemoteProtocolError(CloseCode.PROTOCOL, f"{type(reply).__name__} to {reply.id}, which is not asked")
        if isinstance(reply, Failure) or (isinstance(reply, Answer) and not reply.more and state is _Open.REQUEST):
            del self._open[reply.id]
        return None if state is _Open.ENDED else reply

    def _next(self) -> int:
        if self.greeting is None:
            raise LocalProtocolError("the hub has not greeted yet")
        self._last += 1
        return self._last

    def _request(self, request: OperatorRequest, state: _Open = _Open.REQUEST) -> tuple[int, bytes]:
        frame = encode(request)  # first: what cannot be encoded must leave no id behind
        self._open[request.id] = state
        return request.id, frame
