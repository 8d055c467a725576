"""Carries what asyncio asks into trio's thread, and the outcome back."""

from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from typing import Any, TypeVar, cast

import trio

from hub.client.errors import HubFailure, SocketClosed
from hub.client.shell import Operator

T = TypeVar("T")


class NotConnected(Exception):
    """Asked while there is no link to the hub; the text says what is being done about it."""


async def answer_with(request: Callable[[Operator], Awaitable[T]], operator: Operator, answer: "Future[T]") -> None:
    """Carry the outcome over to asyncio; whoever asked may have gone, and no failure of a request ends the link."""
    try:
        result = await request(operator)
    except trio.Cancelled:
        _give(answer, NotConnected("the link to the hub was lost before it answered; try again when it is back"))
        raise
    except (HubFailure, SocketClosed) as error:
        _give(answer, error if isinstance(error, HubFailure) else NotConnected(str(error)))
    except Exception as error:  # the boundary of a request: whoever asked gets it
        _give(answer, error)
    else:
        if not answer.done():
            answer.set_result(result)


def _give(answer: "Future[Any]", error: Exception) -> None:
    if not answer.done():
        answer.set_exception(error)


def first(group: BaseException) -> Exception:
    """What is at the bottom of a group of exceptions, or the exception itself."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return cast("Exception", error)
