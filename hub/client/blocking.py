"""The operator client for programs without trio: every call opens a link of its own, and closes it."""

from collections.abc import Callable, Mapping
from typing import Any

import trio

from hub.client.dial import Target
from hub.client.shell import connect
from hub.query import Columns, Question
from hub.wire.messages import Plain
from hub.wire.shapes import CommandInfo


class Hub:
    """A hub, asked in ordinary Python. Raises what ``hub.client.errors`` lists.

    A link per call costs a few milliseconds, and nothing has to be kept alive between calls.
    """

    def __init__(self, target: Target) -> None:
        self.target = target

    def call(self, verb: str, **args: Any) -> Any:
        """The answer to a verb of ``hub.wire.operator.VERBS``."""

        async def main() -> Any:
            async with connect(self.target) as operator:
                return await operator.call(verb, **args)

        return trio.run(main)

    def ask(self, question: Question) -> Columns:
        """The answer of the store."""

        async def main() -> Columns:
            async with connect(self.target) as operator:
                return await operator.ask(question)

        return trio.run(main)

    def send_command(
        self,
        device: str,
        name: str,
        args: Mapping[str, Plain],
        timeout: float,
        wait: bool = True,
        on_change: Callable[[CommandInfo], None] | None = None,
    ) -> CommandInfo:
        """Send a command that expires after ``timeout`` seconds; its last state, or its first without ``wait``."""

        async def main() -> CommandInfo:
            async with connect(self.target) as operator:
                return await operator.send_command(device, name, args, timeout, wait, on_change)

        return trio.run(main)
