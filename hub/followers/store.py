"""Stores and mirrors as followers: big transactions, seldom."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

from hub.followers.base import StartAgain
from hub.ports import Worker
from hub.state import State
from hub.wire.kept import Entry

PACE_SECONDS: Final = 0.2  # between two commits while little waits: a query sees a reading within this
BUSY: Final = 2_000  # entries in a take: from here on a commit's own cost (3 ms and more) is worth halving
BUSY_PACE_SECONDS: Final = 0.5
BATCH: Final = 20_000  # entries in one commit: beyond it a bigger one is hardly cheaper


class Taker(Protocol):
    """The part of a store that takes in (hub.store.base.Store)."""

    name: str

    def open(self) -> int: ...
    def take(self, entries: Sequence[Entry], cursor: int) -> None: ...


class Writer(Protocol):
    """The part of a mirror that takes in; taking the same again changes nothing."""

    name: str

    def take(self, entries: Sequence[Entry]) -> None: ...
    def statistics(self) -> Mapping[str, Any]: ...


class StoreFollower:
    """A follower that feeds a store; the store keeps the cursor beside its rows."""

    at_end = False
    batch = BATCH

    def __init__(self, store: Taker, worker: Worker) -> None:
        self.name = store.name
        self.pace = PACE_SECONDS
        self._store = store
        self._worker = worker
        self._cursor = 0

    async def start(self) -> int:
        self._cursor = await self._worker.run(self._store.open)
        return self._cursor

    async def take(self, entries: Sequence[Entry], cursor: int) -> None:
        await self._worker.run(self._take, entries, cursor)
        self._cursor = cursor
        self.pace = BUSY_PACE_SECONDS if len(entries) >= BUSY else PACE_SECONDS

    def _take(self, entries: Sequence[Entry], cursor: int) -> None:
        """A store that broke and was opened again, or begun anew, may be elsewhere than it was left."""
        if self._store.open() != self._cursor:
            raise StartAgain
        self._store.take(entries, cursor)


class MirrorFollower:
    """A follower that feeds a mirror; its cursor is in the state file, written after the mirror has answered.

    It takes what there is. ``missing``: the records before that, as ranges: they were collected before it came to them,
    or are damaged. They stand in the state file, too.
    """

    at_end = False
    pace = PACE_SECONDS
    batch = BATCH

    def __init__(self, mirror: Writer, worker: Worker, state: State, state_worker: Worker) -> None:
        self.name = mirror.name
        self._mirror = mirror
        self._worker = worker
        self._state = state
        self._state_worker = state_worker
        self._cursor = 0
        self.missing: list[tuple[int, int]] = []

    async def start(self) -> int:
        self._cursor, self.missing = await self._state_worker.run(self._load)
        return self._cursor

    async def take(self, entries: Sequence[Entry], cursor: int) -> None:
        await self._worker.run(self._mirror.take, entries)
        missing = _between(self._cursor, entries, cursor)
        await self._state_worker.run(self._pass, cursor, missing)
        self._cursor = cursor
        self.missing += missing

    def statistics(self) -> Mapping[str, Any]:
        """The mirror's own counters since the hub's start; ``refusal``: what its server said of the line that it
        refused last."""
        return self._mirror.statistics()

    # --- in the worker of the state file ---------------------------------------------------------------------------

    def _load(self) -> tuple[int, list[tuple[int, int]]]:
        return self._state.cursors.get(self.name), self._state.cursors.missed(self.name)

    def _pass(self, cursor: int, missing: list[tuple[int, int]]) -> None:
        with self._state.transaction():
            for first, last in missing:
                self._state.cursors.miss(self.name, first, last)
            self._state.cursors.set(self.name, cursor)


def _between(after: int, entries: Sequence[Entry], cursor: int) -> list[tuple[int, int]]:
    """The records after ``after`` and up to ``cursor`` that are not among these; every record is an entry."""
    if cursor - after == len(entries):
        return []
    missing = []
    for lsn in (*(entry.lsn for entry in entries), cursor + 1):
        if lsn > after + 1:
            missing.append((after + 1, lsn - 1))
        after = lsn
    return missing
