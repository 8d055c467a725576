"""Control follows the journal: final results, reported properties and events go to the state file."""

from collections.abc import Sequence
from typing import Final

from hub.control.router import Router
from hub.ports import Clock, Worker
from hub.state import Change, State
from hub.wire.kept import Entry, Kept
from hub.wire.messages import DEVICE_STATES, Event, Reported, Result
from hub.wire.rows import event_time
from hub.wire.shapes import CommandInfo, EventInfo

OF_INTEREST: Final = frozenset({Event, Reported, Result})
CURSOR_EVERY: Final = (
    20_000  # records of no interest until the cursor is written all the same: reading them again is cheap
)


class ControlFollower:
    """A follower (see hub.followers); its cursor is written in the transaction of what it covers."""

    name = "control"
    at_end = False
    pace = 0.0  # results are waited for by people
    batch = 20_000

    def __init__(self, state: State, worker: Worker, clock: Clock, router: Router) -> None:
        self._state = state
        self._worker = worker
        self._clock = clock
        self._router = router
        self._written = 0
        self._taken = 0  # nothing of interest is between what is written and here

    async def start(self) -> int:
        self._written = await self._worker.run(self._state.cursors.get, self.name)
        return self._written

    async def take(self, entries: Sequence[Entry], cursor: int) -> None:
        found = [entry for entry in entries if type(entry) is Kept and type(entry.body) in OF_INTEREST]
        if not found and cursor - self._written < CURSOR_EVERY:
            self._taken = cursor
            return
        async with self._router.in_order():
            self._router.changed(await self._worker.run(self._write, found, cursor, self._clock.now()))
            self._written = self._taken = cursor

    async def settle(self) -> None:
        """Write the cursor where it has come to: the records before it may be collected then."""
        async with self._router.in_order():
            if self._taken > self._written:
                written = self._taken
                await self._worker.run(self._state.cursors.set, self.name, written)
                self._written = written

    def _write(self, found: Sequence[Kept], cursor: int, now: int) -> list[CommandInfo]:
        """In the worker; the commands that changed."""
        changes: list[Change] = []
        events: list[tuple[int, EventInfo]] = []
        with self._state.transaction():
            for kept in found:
                device, body = kept.birth.device, kept.body
                if type(body) is Result and body.state in DEVICE_STATES:
                    changes.append(Change(body.id, device, body.state, body.value, now, heard=kept.received))
                elif type(body) is Reported:
                    self._state.twins.report(device, body.properties)
                elif type(body) is Event:
                    info = EventInfo(device=device, time=event_time(kept), level=body.level, text=body.text)
                    events.append((kept.lsn, info))
            self._state.events.add(events)
            self._state.cursors.set(self.name, cursor)
            return self._state.commands.advance(changes)
