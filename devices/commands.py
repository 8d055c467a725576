"""Commands at the device: checked, run once, answered with progress and one final result."""

import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Final

import trio

from devices.disk.book import BEGUN, REMEMBERED, CommandBook
from devices.source import CommandFailed, Source
from hub.model import ModelError, check_arguments
from hub.ports import Clock
from hub.wire.messages import MAX_TEXT, Command, Plain, Result

INTERRUPTED: Final = "the device stopped while it was under way; what it has done is not known"
AT_ONCE: Final = 8  # commands under way together; more are rejected, so that nobody can fill a device's memory

log = logging.getLogger("telemetrio.devices")


class CommandDesk:
    """Takes commands in, runs each id once, and says how it goes.

    ``say`` gets results without a seq while a command is under way, ``finish`` the final one, to be numbered. A device
    with storage has a ``book``: there an id stands before it is acted upon, and its end once ``flush`` has seen to it
    that the final result is not forgotten.
    """

    def __init__(
        self,
        source: Source,
        clock: Clock,
        say: Callable[[Result], None],
        finish: Callable[[Result], None],
        book: CommandBook | None = None,
        flush: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._source = source
        self._clock = clock
        self._say = say
        self._finish = finish
        self._book = book
        self._flush = flush
        self._results: OrderedDict[str, Result | None] = OrderedDict()  # None: under way
        self._running: dict[str, trio.CancelScope] = {}
        self._offset: float | None = None  # hub time less our monotonic clock, us
        self._nursery: trio.Nursery | None = None

    async def open(self) -> None:
        """Recall what was done before a restart; OSError when the book cannot be read."""
        if self._book is not None:
            for result in await self._book.open():
                self._results[result.id] = None if result.state == BEGUN else result

    async def serve(self) -> None:
        """Run commands until cancelled; they outlive the link they came by."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            for id in [id for id, result in self._results.items() if result is None]:
                nursery.start_soon(self._end_for_good, id, "failed", INTERRUPTED)
            await trio.sleep_forever()

    def set_hub_time(self, time: int) -> None:
        """``welcome`` told the hub's time (us): expiry is judged by it and our monotonic clock."""
        self._offset = time - self._clock.monotonic() * 1e6

    def receive(self, command: Command) -> None:
        """Begin it, unless its id has been here before: then only tell again what came of it."""
        if command.id in self._results:
            known = self._results[command.id]
            if known is not None:
                self._say(known)
            return
        self._results[command.id] = None
        while len(self._results) > REMEMBERED:
            self._results.popitem(last=False)
        refusal = self._refusal(command)
        if refusal is not None:
            self._end(command.id, *refusal)
            return
        assert self._nursery is not None, "commands come after serve() has begun"
        self._nursery.start_soon(self._run, command)

    def cancel(self, id: str) -> None:
        """Break off a command that is under way; one that has ended keeps its result."""
        scope = self._running.get(id)
        if scope is not None:
            scope.cancel(reason="the operator took it back")

    def _refusal(self, command: Command) -> tuple[str, Plain] | None:
        """Why it is not run, or None."""
        if self._offset is not None and self._clock.monotonic() * 1e6 + self._offset > command.expiry:
            return "expired", "it came after its deadline"
        if command.name not in self._source.handlers or command.name not in self._source.commands:
            known = ", ".join(sorted(self._source.handlers)) or "none"
            return "rejected", _short(f"unknown command {command.name!r}; this device knows {known}")
        if len(self._running) >= AT_ONCE:
            return "rejected", f"busy: {AT_ONCE} commands are under way; send it again when one has ended"
        return None

    async def _run(self, command: Command) -> None:
        try:
            arguments = check_arguments(self._source.commands[command.name], command.args)
            if self._book is not None:
                await self._book.begin(command.id)
        except ModelError as error:
            self._end(command.id, "rejected", _short(str(error)))
            return
        except OSError as error:
            text = f"the device cannot write the command down ({error.strerror or error}), so it does not run it"
            self._end(command.id, "rejected", _short(text))
            return
        self._say(Result(None, command.id, "acknowledged", None))
        with trio.CancelScope() as scope:
            self._running[command.id] = scope
            try:
                state, value = await self._carry_out(command, arguments)
            finally:
                del self._running[command.id]
        if scope.cancelled_caught:
            state, value = "cancelled", None
        await self._end_for_good(command.id, state, value)

    async def _carry_out(self, command: Command, arguments: dict[str, Plain]) -> tuple[str, Plain]:
        def progress(value: Plain) -> None:
            self._say(Result(None, command.id, "acknowledged", value))

        try:
            value = await self._source.handlers[command.name](arguments, progress)
        except CommandFailed as failure:
            return "failed", _short(str(failure))
        return "succeeded", value

    def _end(self, id: str, state: str, value: Plain) -> Result:
        log.debug("command %s %s", id, state)
        result = Result(None, id, state, value)
        self._results[id] = result
        self._finish(result)
        return result

    async def _end_for_good(self, id: str, state: str, value: Plain) -> None:
        """End one that stands in the book."""
        result = self._end(id, state, value)
        if self._book is None or self._flush is None:
            return
        await self._flush()
        try:
            await self._book.end(result)
        except OSError as error:
            log.error("cannot write down that command %s has ended: %s", id, error)


def _short(text: str) -> str:
    """As much of a text as fits on the wire."""
    return text.encode()[:MAX_TEXT].decode(errors="ignore")
