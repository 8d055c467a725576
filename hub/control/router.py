"""Commands on their way: from an operator to the device's outbox, and what becomes of them (DELIVERY, "Commands").

What is in an outbox may leave at any moment, so `sent` is durable before a command is put there, and an id is put there
once. All changes of state are decided in the state file, by its table; the router asks, and shows what came of it.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Final, TypeAlias

import trio

from hub.control.board import Board, Watch
from hub.control.checks import check_command
from hub.control.errors import CommandRefused
from hub.control.registry import Registry
from hub.control.round import Leaving, change, ended, leaving
from hub.model import Model
from hub.ports import Clock, Randomness, Worker
from hub.state import Change, Deed, State, StateError, is_final
from hub.wire.messages import COMMAND_STATES, DEVICE_STATES, Cancel, Command, Plain, Result
from hub.wire.shapes import CommandInfo

ID_BYTES: Final = 8  # as hex; unique in one state file, whose key refuses a second one
LIST_LIMIT: Final = 10_000  # commands in one answer
FULL_SECONDS: Final = 0.1  # until an outbox without room is looked at again
CATCH_UP_SECONDS: Final = 5.0  # at the start; an answer that is taken later overwrites
RETRY_SECONDS: Final = (0.1, 5.0)  # first and longest wait after the state file refused

Infos: TypeAlias = list[CommandInfo]


class Router:
    """Every command that is not over is on the board; all of them are in the state file."""

    def __init__(
        self,
        state: State,
        worker: Worker,
        clock: Clock,
        randomness: Randomness,
        registry: Registry,
        models: Callable[[str], Model | None],
    ) -> None:
        self._state = state
        self._worker = worker
        self._clock = clock
        self._randomness = randomness
        self._registry = registry
        self._models = models
        self._board = Board()
        self._said: dict[str, Result] = {}  # the newest unnumbered word of each open command, not written yet
        self._order = trio.Lock()
        self._kick = trio.Event()
        self._loaded = False
        self.ignored = 0  # words about commands that are over, or of other devices
        self.problem: str | None = None  # why states cannot be written at the moment
        self.on_change: list[Watch] = []
        registry.on_presence.append(lambda presence: self._kick.set())

    # --- doors -----------------------------------------------------------------------------------------------------

    async def load(self) -> None:
        """At the hub's start, before anything is sent: what was only queued is unreachable, what was sent waits for
        its deadline."""
        if self._loaded:
            return
        now = self._clock.now()
        left = await self._worker.run(self._state.commands.open)
        for info in left:
            most = info["expiry"] - info["created"]  # also by a clock that was never set
            self._board.enter(info, min(info["expiry"] - now, most) / 1e6)
        self._loaded = True
        why = "the hub was restarted before it was sent"
        await self._advance([change(info, "unreachable", now, why) for info in left if info["state"] == "queued"])

    async def send(
        self, device: str, name: str, args: Mapping[str, Plain], timeout: float, by: str, watch: Watch | None = None
    ) -> CommandInfo:
        """Queue a command, or find the device unreachable at once; ``timeout`` in seconds until it expires.

        ``watch`` is called with every later state. CommandRefused when it is not for this device, with the reason.
        """
        if device not in self._registry:
            raise CommandRefused("unknown_device", f"no device {device[:64]!r} is enrolled")
        known = self._registry.info(device)
        model = self._models(known["model"])
        checked = check_command(known, model, name, args, timeout, self._board.count(device))
        now = self._clock.now()
        present = self._registry.outbox(device) is not None
        info = CommandInfo(
            id=self._randomness.token(ID_BYTES).hex(), device=device, name=name, args=checked,
            state="queued" if present else "unreachable", value=None if present else "the device is not connected",
            late=False, by=by, created=now, expiry=now + round(timeout * 1e6), changed=now,
        )  # fmt: skip
        self._board.count(device, 1)  # before it is written: many may be on their way there
        try:
            await self._worker.run(self._state.commands.insert, [info])
        except StateError as exc:
            raise CommandRefused("internal", f"the command was not sent: {exc}") from exc
        finally:
            self._board.count(device, -1)
        if present:
            self._board.enter(info, timeout, watch)
            self._kick.set()
        self._show(info)
        return info

    async def cancel(self, id: str, by: str) -> CommandInfo:
        """Take a command back: at once when it has not left, else by asking the device, which has the last word."""
        info = await self.show(id)
        deed = Deed(self._clock.now(), by, "command.cancel", id, "")
        await self._worker.run(self._state.audit.add, deed)
        if info["state"] == "queued":
            taken = await self._advance([change(info, "cancelled", deed.at, None)])
            if taken:
                return taken[0]
        info = await self.show(id)
        if is_final(info["state"]):
            raise CommandRefused("conflict", f"command {id} is over: {info['state']}")
        outbox = self._registry.outbox(info["device"])
        if outbox is None or not outbox.offer(Cancel(id)):
            raise CommandRefused(
                "conflict", f"command {id} was sent and {info['device']} cannot be asked now; it ends at its deadline"
            )
        return info

    def unwatch(self, watch: Watch) -> None:
        """Whoever watched has left."""
        self._board.unwatch(watch)

    def progress(self, device: str, result: Result) -> None:
        """An unnumbered word of a device about a command: progress, or the final state ahead of its numbered copy
        (P12). It is written, then shown."""
        info = self._board.get(result.id)
        if info is None or info["device"] != device or result.state not in DEVICE_STATES:
            self.ignored += 1
            return
        earlier = self._said.get(result.id)
        if earlier is None or not is_final(earlier.state):
            self._said[result.id] = result
        self._kick.set()

    async def list(self, globs: Sequence[str] = (), states: Sequence[str] = (), limit: int = 100) -> Infos:
        """Commands of the devices that match, in one of ``states`` (none: any), newest first."""
        for state in states:
            if state not in COMMAND_STATES:
                raise CommandRefused("bad_argument", f"{state!r} is no state: use {', '.join(COMMAND_STATES)}")
        devices = self._registry.resolve(globs) if globs else None
        limit = max(1, min(limit, LIST_LIMIT))
        return await self._worker.run(self._state.commands.list, devices, states or None, limit)

    async def show(self, id: str) -> CommandInfo:
        """One command; CommandRefused when there is none of that id."""
        info = await self._worker.run(self._state.commands.get, id)
        if info is None:
            raise CommandRefused("unknown", f"there is no command {id[:64]!r}; `telemetrio commands ls` lists them")
        return info

    @asynccontextmanager
    async def in_order(self) -> AsyncIterator[None]:
        """Held by who changes commands in the state file until ``changed`` has been told: one order for all."""
        async with self._order:
            yield

    def changed(self, infos: Iterable[CommandInfo]) -> None:
        """These have changed in the state file: show them."""
        for info in infos:
            for watch in self._board.changed(info):
                watch(info)
            self._show(info)

    async def run(self, caught_up: Callable[[], Awaitable[None]] | None = None) -> None:
        """Send what is queued, keep deadlines, write what devices say; never ends. Begins when ``caught_up`` returns:
        among what had come before the hub's start may be the answer to a command whose deadline has passed since."""
        if caught_up is not None:
            with trio.move_on_after(CATCH_UP_SECONDS):
                await caught_up()
        wait = RETRY_SECONDS[0]
        while True:
            try:
                await self.load()
                until = await self._round()
                self.problem, wait = None, RETRY_SECONDS[0]
            except StateError as exc:  # nothing was taken: the same again after a while
                self.problem = f"commands: {exc}"
                await trio.sleep(wait)
                wait = min(wait * 2, RETRY_SECONDS[1])
                continue
            with trio.move_on_at(until):
                await self._kick.wait()

    # --- one round -------------------------------------------------------------------------------------------------

    async def _round(self) -> float:
        """Do what is to be done now; when to look again, whatever happens."""
        self._kick = trio.Event()
        now = self._clock.now()
        due = self._board.take_due()
        said, self._said = self._said, {}
        outgoing, waits = leaving(self._board, self._registry.outbox)
        changes = [Change(id, info["device"], result.state, result.value, now)
                   for id, result in said.items() if (info := self._board.get(id)) is not None]  # fmt: skip
        changes += ended(self._board, self._registry.outbox, [id for _, id in due], now)
        changes += [change(info, "sent", now, None) for info, _ in outgoing]
        try:
            changed = await self._advance(changes)
        except BaseException:
            self._board.put_back(due)
            self._said = {**said, **self._said}
            raise
        await self._hand_over(outgoing, {info["id"] for info in changed if info["state"] == "sent"})
        until = self._board.next_deadline()
        return min(until, trio.current_time() + FULL_SECONDS) if waits else until

    async def _hand_over(self, outgoing: Leaving, sent: set[str]) -> None:
        """Put into the outboxes what is durably `sent`. What an outbox refuses is known not to have left."""
        refused = []
        for info, outbox in outgoing:
            expiry = outbox.as_told(self._board.deadline(info["id"]))
            command = Command(info["id"], info["name"], info["args"], expiry)
            if info["id"] in sent and not outbox.offer(command):
                refused.append(info)
        why = "the link was lost before it left"
        now = self._clock.now()
        await self._advance([change(info, "unreachable", now, why, only_from="sent") for info in refused])

    async def _advance(self, changes: Sequence[Change]) -> Infos:
        if not changes:
            return []
        async with self._order:
            infos = await self._worker.run(self._state.commands.advance, changes)
            self.changed(infos)
        return infos

    def _show(self, info: CommandInfo) -> None:
        for watch in self.on_change:
            watch(info)
