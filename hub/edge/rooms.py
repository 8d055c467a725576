"""What the edge needs of the rest of the hub; the composition root fills it in."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from hub.control.live import Live
from hub.control.registry import Registry
from hub.control.router import Router
from hub.ingest.ingest import Ingest
from hub.journal import Journal
from hub.model import Model
from hub.ports import Clock, Worker
from hub.query.question import Columns, Question
from hub.state import State
from hub.wire.messages import Plain
from hub.wire.shapes import FollowerStatus, LedgerEntry, StoreRebuild, StoreStatus

Twin = tuple[dict[str, Plain], dict[str, Plain]]


@dataclass
class Desk:
    """Where quarantine is: calls of ``state`` go through ``worker``; ``booked`` waits until account and store have
    taken in everything up to an LSN, StateError when they do not."""

    state: State
    worker: Worker
    booked: Callable[[int], Awaitable[None]]


@dataclass
class Rooms:
    """The doors of the other rooms, and a few questions that only the composition root can answer."""

    ingest: Ingest
    journal: Journal
    registry: Registry
    router: Router
    live: Live
    clock: Clock
    models: Mapping[str, Model]
    log: str  # the log's id
    version: str
    directory: Path  # of the journal, for ``ledger.pin``
    ask: Callable[[Question], Awaitable[Columns]]  # the store, with its limits of rows and seconds
    stored: Callable[[int], Awaitable[Columns]]  # lsn and readings of each batch in the open table up to an LSN
    ledger: Callable[[str | None], Awaitable[list[LedgerEntry]]]  # of one device, or of all
    twin: Callable[[str], Awaitable[Twin]]  # desired and reported properties
    followers: Callable[[], list[FollowerStatus]]
    quarantine: Desk
    reload: Callable[[], Awaitable[list[str]]]  # read the models again; the names of those that changed; ModelError
    store: Callable[[], StoreStatus]
    rebuild: Callable[[bool], Awaitable[StoreRebuild | None]]  # with ``accept_loss``; None: nothing to rebuild
    problems: Callable[[], list[str]] = field(default=list)  # what is wrong now, a line each; none: ready
    cautions: Callable[[], list[str]] = field(default=list)  # what somebody should look at, though all goes on
