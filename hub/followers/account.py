"""The account follows the journal: what became of every batch and reading, and the rejected readings themselves."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import trio

from hub.crashpoints import reach
from hub.followers.rejections import rejected_readings
from hub.followers.tally import Key, Tally, touched
from hub.ports import Worker
from hub.state import AccountRow, State
from hub.wire.kept import Entry
from hub.wire.messages import Declared

PACE_SECONDS: Final = (0.2, 1.0)  # between two commits: each costs a sync and a row per device, so they are gathered
ROW_SECONDS: Final = 1e-3  # of pace for each row written: fifty times what a row costs, copies and all
PIECE: Final = 2_000  # entries booked until others get their turn: about a millisecond


class AccountFollower:
    """A follower. A group is booked in memory, then rows, quarantine and cursor are committed in one transaction."""

    name = "account"
    at_end = False
    batch = 20_000

    def __init__(self, state: State, worker: Worker) -> None:
        self._state = state
        self._worker = worker
        self._open: dict[Key, AccountRow] = {}  # the rows of epochs that are not closed, as committed
        self._cursor = 0
        self.pace = PACE_SECONDS[0]
        self.received = 0  # readings since the log began
        self.rejected = 0

    @property
    def accepted(self) -> int:
        """Readings since the log began."""
        return self.received - self.rejected

    async def start(self) -> int:
        return await self._worker.run(self._load)

    async def take(self, entries: Sequence[Entry], cursor: int) -> None:
        entries = [entry for entry in entries if entry.lsn > self._cursor]
        tally = Tally()
        base = await self._base(touched(entries))
        tally.bring(base, base)
        for at in range(0, len(entries), PIECE):
            tally.book(entries[at : at + PIECE])
            await trio.lowlevel.checkpoint()
        await self._worker.run(self._write, tally, cursor)
        self._committed(tally, base, cursor)
        self.pace = min(max(PACE_SECONDS[0], len(tally.rows) * ROW_SECONDS), PACE_SECONDS[1])

    async def _base(self, keys: Iterable[Key]) -> dict[Key, AccountRow]:
        """The rows as committed; those of closed epochs come from the file."""
        base = {key: self._open[key] for key in keys if key in self._open}
        missing = [key for key in keys if key not in base]
        if missing:
            base |= await self._worker.run(self._fetch, missing)
        return base

    def _committed(self, tally: Tally, base: Mapping[Key, AccountRow], cursor: int) -> None:
        for key, row in tally.rows.items():
            before = base[key]
            self.received += row.received - before.received
            if row.rejected is not before.rejected:
                self.rejected += sum(row.rejected.values()) - sum(before.rejected.values())
            if row.closed:
                self._open.pop(key, None)
            else:
                self._open[key] = row
        self._cursor = cursor

    # --- in the worker ---------------------------------------------------------------------------------------------

    def _load(self) -> int:
        self._open = {(row.device, row.epoch): row for row in self._state.account.open()}
        self.received, self.rejected = self._state.account.totals()
        self._cursor = self._state.cursors.get(self.name)
        return self._cursor

    def _fetch(self, keys: Iterable[Key]) -> dict[Key, AccountRow]:
        return {key: self._state.account.get(*key) or AccountRow(*key) for key in keys}

    def _write(self, tally: Tally, cursor: int) -> None:
        with self._state.transaction():
            self._state.account.save(tally.rows.values())
            self._state.quarantine.add(reading for kept in tally.rejected for reading in rejected_readings(kept))
            self._state.quarantine.remove(
                (left.of, row, _name(metric)) for left in tally.left for row, metric, *_ in left.readings
            )
            reach("account")
            self._state.cursors.set(self.name, cursor)


def _name(metric: "str | Declared") -> str:
    return metric if isinstance(metric, str) else metric.name
