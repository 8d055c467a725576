"""How the hub is put together: makes every room, and hands each what it needs of the others.

Data goes through the rooms in the order in which they are made here: control knows who there is, ingest takes in, the
edge talks to devices and operators, followers take what is durable to all that show, keep or count it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from typing import Final

import structlog

from hub.control.follower import ControlFollower
from hub.control.live import Live
from hub.control.registry import Registry
from hub.control.router import Router
from hub.data_directory import MIB
from hub.doors import CursorDoor, ModelDoor, StateDoor, StoreDoor
from hub.edge.edge import Edge
from hub.edge.listener import Limits
from hub.edge.rooms import Desk, Rooms
from hub.followers.account import AccountFollower
from hub.followers.acks import Acks
from hub.followers.ledger import Ledger
from hub.followers.live import LiveFollower
from hub.followers.loop import Followers
from hub.followers.store import MirrorFollower, StoreFollower
from hub.ingest.credit import Credit
from hub.ingest.ingest import FOR_EVER, Ingest
from hub.ingest.marks import Marks
from hub.journal import Journal
from hub.ports import Ports, Worker
from hub.preflight import mirror_token
from hub.seeding import Seeding
from hub.serving import House
from hub.settings import LimitsSection, Settings
from hub.standing import Standing
from hub.state import State, StateError
from hub.store.base import Store, StoreError
from hub.store.mending import MendingStore
from hub.upkeep.collector import Collector, Doors, Hold
from hub.upkeep.copies import Copies
from hub.upkeep.damage import DamageWatch
from hub.upkeep.keeper import Keeper
from hub.upkeep.mend import Mender

GB: Final = 1_000_000_000  # bytes, as disks are sold

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Opened:
    """What is on disk, open and recovered; calls of state and store go through their workers."""

    journal: Journal
    marks: Marks
    state: State
    state_worker: Worker
    store: Store
    store_worker: Worker
    identity: str  # of the log


async def wire(settings: Settings, ports: Ports, opened: Opened, models: ModelDoor) -> House:
    """The hub, ready to run."""
    journal, state, worker = opened.journal, opened.state, opened.state_worker
    registry, router, live = await _control(ports, opened, models)
    ingest = _ingest(settings, ports, opened, models)
    asked, kept = StoreDoor(opened.store, ports.worker(), settings.store), StateDoor(state, worker)
    ledger = Ledger(journal, state, worker, asked.counts, registry.next)
    strangers = [device for device in opened.marks.devices() if device not in registry]
    if strangers:
        log.warning("devices have readings here, and the state file does not know them", devices=len(strangers))
    standing = Standing(
        journal, ingest, router, asked, ports.clock, lambda: [name for name in strangers if name not in registry]
    )  # fmt: skip
    rooms = Rooms(
        ingest=ingest, journal=journal, registry=registry, router=router, live=live, clock=ports.clock,
        models=models.known, log=opened.identity, version=version("telemetrio"), directory=journal.directory,
        ask=asked.ask, stored=asked.stored, ledger=ledger.entries, twin=kept.twin, followers=standing.status,
        quarantine=Desk(state, worker, standing.booked), reload=partial(models.reload, worker, ingest.models_changed),
        store=asked.status, rebuild=standing.rebuild, problems=standing.problems, cautions=standing.cautions,
    )  # fmt: skip
    edge = Edge(rooms, edge_limits(settings.limits))
    seeding = Seeding(opened.store, ports.worker(), live, registry)
    control, account = ControlFollower(state, worker, ports.clock, router), AccountFollower(state, worker)
    acks, shown = Acks(edge.acked, edge.rejected, registry.position), LiveFollower(live.publish, seeding.ready)
    stored, mirrors = StoreFollower(opened.store, opened.store_worker), _mirrors(settings, ports, opened)
    followers = Followers(journal, [acks, shown, control, account, stored, *mirrors], _follower_failed)
    mender = _mender(ports, opened, ledger, followers)
    cursors = CursorDoor(kept, asked, control, account, [mirror.name for mirror in mirrors])
    doors = Doors(
        asked.counts_through, cursors.lasting, ingest.expire, ingest.roll, ingest.trust.now, cursors.mirrors
    )  # fmt: skip
    keeper = _keeper(settings, ports, journal, doors, ingest.note_clock)
    damage = DamageWatch(journal, opened.store, ports.worker(), ledger, lambda: followers.cursor(opened.store.name))
    copies = Copies(state, ports.worker(), ports.files, _copies_failed)
    standing.followers, standing.mender, standing.keeper = followers, mender, keeper
    standing.damage, standing.copies, standing.mirrors = damage, copies, mirrors
    return House(
        settings, ports, journal, registry, router, followers, edge, rooms, opened.store, keeper, opened.identity,
        mender, damage, copies, seeding, mirrors,
    )  # fmt: skip


# --- the rooms -------------------------------------------------------------------------------------------------------


async def _control(ports: Ports, opened: Opened, models: ModelDoor) -> tuple[Registry, Router, Live]:
    """Who there is and what is asked of them, as the state file says; live shows every change of it."""
    state, worker = opened.state, opened.state_worker
    registry = Registry(state, worker, ports.clock, ports.randomness)
    router = Router(state, worker, ports.clock, ports.randomness, registry, models.known.get)
    live = Live(models.known.get)
    await registry.load()
    await router.load()
    for presence in registry.presences():
        live.presence(presence)
    registry.on_presence.append(live.presence)
    router.on_change.append(live.command)
    return registry, router, live


def _ingest(settings: Settings, ports: Ports, opened: Opened, models: ModelDoor) -> Ingest:
    limits = settings.limits
    return Ingest(
        opened.journal, opened.marks, ports.clock, Credit(limits.ingest_mb * MIB, limits.links), opened.identity,
        models.known.get, idle=limits.idle_seconds * 2.5,
        kept_for=settings.store.retention_us or FOR_EVER,
    )  # fmt: skip


def edge_limits(limits: LimitsSection) -> Limits:
    """What a connection may cost by the settings."""
    return Limits(
        silence=limits.idle_seconds, half_open=limits.half_open, links=limits.links,
        dials_per_second=limits.dials_per_second, tls=limits.tls_seconds, request=limits.request_seconds,
        hello=limits.hello_seconds, flaps=limits.flaps_per_minute, flap_pause=limits.flap_pause_seconds,
    )  # fmt: skip


def _mirrors(settings: Settings, ports: Ports, opened: Opened) -> list[MirrorFollower]:
    options = settings.mirror
    if not options.url:
        return []
    from hub.store.influx import InfluxMirror  # the client takes a third of a second to import

    mirror = InfluxMirror(options.url, mirror_token(settings), options.org, options.bucket)
    return [MirrorFollower(mirror, ports.worker(), opened.state, opened.state_worker)]


def _mender(ports: Ports, opened: Opened, ledger: Ledger, followers: Followers) -> Mender | None:
    """Whoever looks after the store, where that has a file."""
    store = opened.store
    if not isinstance(store, MendingStore):
        return None
    return Mender(store, opened.store_worker, ports.worker(), ledger, followers, opened.journal)


def _keeper(
    settings: Settings, ports: Ports, journal: Journal, doors: Doors, noted: Callable[[], None]
) -> Keeper:  # fmt: skip
    """Whoever looks after the journal's files; with a retention, it has old ones collected."""
    worker, retention, mirror = ports.worker(), settings.store.retention_us, settings.mirror
    if retention is None:
        return Keeper(journal, worker, _keeper_failed, noted=noted)
    hold = Hold(int(mirror.hold_gb * GB), mirror.hold_us)
    collector = Collector(journal, worker, ports.clock, retention, doors, hold)
    return Keeper(journal, worker, _keeper_failed, collector, noted)


def _follower_failed(name: str, error: Exception) -> None:
    told = None if isinstance(error, StoreError | StateError) else error  # those say all there is to say
    log.error("a follower cannot go on; it is tried again", follower=name, why=str(error), exc_info=told)


def _keeper_failed(error: Exception) -> None:
    log.error("closed segments cannot be archived or collected; it is tried again", why=str(error))


def _copies_failed(why: str) -> None:
    log.error("the hub makes no copy of its state file; it is tried again", why=why)
