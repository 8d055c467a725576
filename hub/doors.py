"""Doors between the rooms: what one asks of others that it does not know. Wiring makes them and hands them out."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import structlog

from hub.control.follower import ControlFollower
from hub.data_directory import HubError
from hub.followers.account import AccountFollower
from hub.followers.ledger import Counts
from hub.model import Model, ModelError
from hub.ports import Worker
from hub.query import Columns, Question
from hub.settings import StoreSection
from hub.state import State
from hub.store.base import Store
from hub.store.mending import MendingStore
from hub.wire.shapes import StoreStatus

log = structlog.get_logger(__name__)


class ModelDoor:
    """The models that devices may have; ``known`` is one mapping for ever, which ``reload`` changes."""

    def __init__(self, read: Callable[[], Mapping[str, Model]]) -> None:
        """``read`` takes them from their files; HubError when it cannot."""
        self.known = dict(read())
        self._read = read

    async def reload(self, worker: Worker, changed: Callable[[], None]) -> list[str]:
        """Read them again and say that they are ``changed``; the names of those that are. ModelError."""
        try:
            read = await worker.run(self._read)
        except HubError as error:
            raise ModelError(str(error)) from None
        known = self.known
        names = sorted(name for name in read.keys() | known.keys() if read.get(name) != known.get(name))
        known.clear()
        known.update(read)
        changed()
        log.info("models read again", changed=names)
        return names


class StoreDoor:
    """Questions to the store: in a thread of their own, so that no commit waits for them, and within its limits."""

    def __init__(self, store: Store, reader: Worker, limits: StoreSection) -> None:
        self.name = store.name
        self._store = store
        self._reader = reader
        self._limits = limits

    async def ask(self, question: Question) -> Columns:
        """The answer; StoreError."""
        rows, seconds = self._limits.query_rows, self._limits.query_seconds
        return await self._reader.run(lambda: self._store.ask(question, rows=rows, seconds=seconds))

    async def stored(self, lsn: int) -> Columns:
        """Columns ``lsn`` and ``readings`` of what it holds up to an LSN."""
        return await self._reader.run(self._store.stored, lsn)

    async def counts(self, device: str | None) -> Counts:
        """Of one device or of all, as of its cursor."""
        return await self._reader.run(self._store.counts, device)

    async def counts_through(self, lsn: int) -> Counts:
        """Of the records up to an LSN."""
        return await self._reader.run(self._store.counts, None, lsn)

    @property
    def cursor(self) -> int:
        """LSN of the last record that it has committed; KeyError while it is not open."""
        return int(self._store.statistics()["cursor"])

    @property
    def rebuilding(self) -> str | None:
        """How far it is, while it is being made again from the journal."""
        return self._store.progress() if isinstance(self._store, MendingStore) else None

    def status(self) -> StoreStatus:
        """How it stands, for operators."""
        told = self._store.statistics()
        kept = self._store.kept if isinstance(self._store, MendingStore) else None
        return StoreStatus(
            rebuilding=self.rebuilding is not None, cursor=told.get("cursor", 0), readings=told.get("readings", 0),
            set_aside=None if kept is None else str(kept),
        )  # fmt: skip


class StateDoor:
    """What others keep in the state file."""

    def __init__(self, state: State, worker: Worker) -> None:
        self._state = state
        self._worker = worker

    async def twin(self, device: str) -> tuple[dict[str, Any], dict[str, Any]]:
        """Its desired and reported properties."""
        known = await self._worker.run(self._state.twins.get, device)
        return known.desired, known.reported

    async def cursors(self, followers: Iterable[str]) -> dict[str, int]:
        """How far these have come, durably."""
        return {name: await self._worker.run(self._state.cursors.get, name) for name in followers}


class CursorDoor:
    """The durable cursors that collecting waits for, by name of their follower."""

    def __init__(
        self, state: StateDoor, store: StoreDoor, control: ControlFollower, account: AccountFollower, mirrors: list[str]
    ) -> None:
        self._state = state
        self._store = store
        self._control = control
        self._names = (control.name, account.name)
        self._mirrors = mirrors

    async def lasting(self) -> Mapping[str, int]:
        """Of all that keep something, but for mirrors."""
        await self._control.settle()
        return {**await self._state.cursors(self._names), self._store.name: self._store.cursor}

    async def mirrors(self) -> Mapping[str, int]:
        """Of every mirror."""
        return await self._state.cursors(self._mirrors)
