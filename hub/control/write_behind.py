"""Write-behind of what devices do: presence and deeds reach the state file in groups, after the links."""

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Final

import trio

from hub.ports import Worker
from hub.state import Deed, DeviceRow, State, StateError

FLUSH_SECONDS: Final = 1.0  # presence is written at most this much later: it is a memory aid, not a promise
DEEDS_HELD: Final = 10_000  # that wait for a state file which cannot be written
ONLINE_ROUNDS: Final = 30  # flushes until last_seen of devices that stay online is written


class WriteBehind:
    """``writing``: held by whoever writes rows of devices; they reach the file in the order in which they were
    copied."""

    def __init__(self, state: State, worker: Worker) -> None:
        self.writing = trio.Lock()
        self._state = state
        self._worker = worker
        self._changed: dict[str, DeviceRow] = {}  # since they were written
        self._deeds: list[Deed] = []  # not yet written

    def changed(self, row: DeviceRow) -> None:
        """Write this row as it is at the next flush."""
        self._changed[row.device] = row

    def note(self, deed: Deed) -> None:
        """Write it at the next flush, where not too many wait already."""
        if len(self._deeds) < DEEDS_HELD:
            self._deeds.append(deed)

    async def run(self, online: Callable[[], Iterable[DeviceRow]]) -> None:
        """Flush for ever; rows of devices that stay ``online`` now and then, too."""
        while True:
            for _ in range(ONLINE_ROUNDS):
                await trio.sleep(FLUSH_SECONDS)
                with suppress(StateError):  # what could not be written is tried again with the next round
                    await self.flush()
            for row in online():
                self.changed(row)

    async def flush(self) -> None:
        """Write now what waits."""
        async with self.writing:
            changed, self._changed = self._changed, {}
            deeds, self._deeds = self._deeds, []
            if not changed and not deeds:
                return
            try:
                rows = [replace(row) for row in changed.values()]
                audit = (partial(self._state.audit.add, deed) for deed in deeds)
                await self._worker.run(self._state.atomically, lambda: self._state.devices.save(rows), *audit)
            except BaseException:
                self._changed = changed | self._changed
                self._deeds = deeds + self._deeds
                raise
