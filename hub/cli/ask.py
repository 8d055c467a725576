"""One link for one command: connect, ask, close."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import trio

from hub.client import Operator, Target, connect

T = TypeVar("T")


def with_operator(target: Target, use: Callable[[Operator], Awaitable[T]]) -> T:
    """What ``use`` returns; raises what the client room raises."""

    async def main() -> T:
        async with connect(target) as operator:
            return await use(operator)

    return trio.run(main)


def call(target: Target, verb: str, **args: Any) -> Any:
    """The answer to one verb."""
    return with_operator(target, lambda operator: operator.call(verb, **args))
