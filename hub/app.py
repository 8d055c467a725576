"""The composition root: opens what is on disk, wires the rooms, and owns the root nursery and the phases of the end."""

import gc
import os
import signal
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any, Final

import structlog
import trio

from hub.config import Settings
from hub.control.follower import ControlFollower
from hub.control.live import Live
from hub.control.registry import Registry
from hub.control.router import Router
from hub.data_directory import (
    MIB,
    HubError,
    open_journal,
    open_state,
    open_store,
    own_directory,
    pass_cursors,
    read_identity,
)
from hub.edge.edge import Edge
from hub.edge.listener import Limits
from hub.edge.rooms import Desk, Rooms
from hub.followers.account import AccountFollower
from hub.followers.acks import Acks
from hub.followers.base import Follower
from hub.followers.ledger import Counts, Ledger
from hub.followers.live import LiveFollower
from hub.followers.loop import Followers
from hub.followers.store import MirrorFollower, StoreFollower
from hub.ingest.credit import Credit
from hub.ingest.ingest import FOR_EVER, Ingest
from hub.ingest.marks import Marks
from hub.journal import Journal, JournalFailed
from hub.log import configure
from hub.model import Model, ModelError
from hub.ports import Ports, Worker
from hub.preflight import allow_files, device_models, mirror_token, server_tls
from hub.query import Columns, Question
from hub.serving import House, serve_house
from hub.state import State, StateError
from hub.store.base import Store, StoreError
from hub.store.mending import MendingStore
from hub.upkeep.collector import Collector, Doors, Hold
from hub.upkeep.keeper import Keeper
from hub.upkeep.mend import Mender
from hub.upkeep.reopen import reopen
from hub.wire.operator import StoreStatus

GB: Final = 1_000_000_000  # bytes, as disks are sold
#: The tail of the journal holds a few hundred thousand small objects that come and go without cycles. With Python's own
#: thresholds the collector walks them again and again: measured, a third of all time when rows come at full speed.
COLLECT: Final = (100_000, 20, 20)
CATCH_UP_SECONDS: Final = 20.0  # for followers at the end; what they miss they take at the next start
BOOKED_SECONDS: Final = (
    20.0  # for the account to book what an operator changes in quarantine; it takes a second at most
)
STORED_SECONDS: Final = 5.0  # for the store, which may be down: then the answer does not wait for it

log = structlog.get_logger(__name__)


def serve(settings: Settings, ports: Ports | None = None) -> int:
    """Run a hub until SIGTERM or SIGINT. The exit code: 0 stopped, 1 failed, 2 cannot start like this."""
    configure(settings.log.level, settings.log.format)
    gc.freeze()
    gc.set_threshold(*COLLECT)
    allow_files(settings)
    try:
        trio.run(_until_signal, settings, ports or Ports())
    except HubError as error:
        log.error("the hub ends", why=str(error))
        return 2 if error.usage else 1
    return 0


async def _until_signal(settings: Settings, ports: Ports) -> None:
    stop = trio.Event()

    async def wait_for_signal() -> None:
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            async for number in signals:
                if stop.is_set():
                    os._exit(1)  # asked twice: what is acked is on disk, the rest is with the devices
                log.info("stopping", signal=signal.Signals(number).name)
                stop.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait_for_signal)
        failure = await _failure_of(settings, ports, stop)
        nursery.cancel_scope.cancel()
    if failure is not None:
        raise failure


async def _failure_of(settings: Settings, ports: Ports, stop: trio.Event) -> HubError | None:
    """Run the hub; why it failed. Nurseries wrap exceptions in groups: here they are taken out again."""
    failure: BaseException | None = None
    try:
        await run_hub(settings, ports, stop)
    except* (HubError, JournalFailed) as group:
        failure = group
        while isinstance(failure, BaseExceptionGroup):
            failure = failure.exceptions[0]
    return failure if isinstance(failure, HubError | None) else HubError(str(failure))


async def run_hub(
    settings: Settings,
    ports: Ports,
    stop: trio.Event,
    *,
    task_status: trio.TaskStatus[House] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Run a hub until ``stop`` is set, then drain it. ``started`` when it takes links; HubError when it cannot."""
    tls, models = server_tls(settings), dict(device_models(settings))
    worker, state_worker, store_worker = ports.worker(), ports.worker(), ports.worker()
    async with (
        own_directory(settings, ports) as reserve,
        open_state(settings, state_worker) as state,
        open_journal(settings, ports, worker, reserve) as (journal, marks),
        open_store(settings, ports, store_worker, journal) as store,
    ):
        await pass_cursors(journal, state, state_worker, store)
        await reopen(journal, marks, store, store_worker, state, state_worker)
        identity = await read_identity(settings, ports, worker)
        house = await _wire(settings, ports, state, state_worker, journal, marks, store, store_worker, models, identity)
        async with trio.open_nursery() as core:
            core.start_soon(journal.run)
            core.start_soon(journal.watch)
            await core.start(house.followers.run)
            core.start_soon(house.router.run)
            core.start_soon(house.registry.run)
            core.start_soon(house.keeper.run)
            if house.mender is not None:
                core.start_soon(house.mender.run)
            await serve_house(house, tls, stop, task_status)
            await journal.wait_durable(journal.appended)
            with trio.move_on_after(CATCH_UP_SECONDS):
                await house.followers.reached(journal.durable)
            await house.registry.flush()
            core.cancel_scope.cancel()
    log.info("stopped", durable=journal.durable)


# --- wiring ----------------------------------------------------------------------------------------------------------


async def _wire(
    settings: Settings,
    ports: Ports,
    state: State,
    state_worker: Worker,
    journal: Journal,
    marks: Marks,
    store: Store,
    store_worker: Worker,
    models: dict[str, Model],
    identity: str,
) -> House:
    """Make every room and hand each what it needs of the others."""
    clock, limits = ports.clock, settings.limits
    ingest = Ingest(
        journal, marks, clock, Credit(limits.ingest_mb * MIB, limits.links), identity, models.get,
        frame=limits.frame_bytes, idle=limits.idle_seconds * 2.5, kept_for=settings.store.retention_us or FOR_EVER,
    )  # fmt: skip
    registry = Registry(state, state_worker, clock, ports.randomness)
    router = Router(state, state_worker, clock, ports.randomness, registry, models.get)
    live = Live(models.get)
    await registry.load()
    await router.load()
    for presence in registry.presences():
        live.presence(presence)
    registry.on_presence.append(live.presence)
    router.on_change.append(live.command)
    reader = ports.worker()
    mender: Mender | None = None

    async def ask(question: Question) -> Columns:
        rows, seconds = settings.store.query_rows, settings.store.query_seconds
        return await reader.run(lambda: store.ask(question, rows=rows, seconds=seconds))

    async def stored(lsn: int) -> list[tuple[int, int]]:
        return await reader.run(store.stored, lsn)

    async def twin(device: str) -> tuple[dict[str, Any], dict[str, Any]]:
        known = await state_worker.run(state.twins.get, device)
        return known.desired, known.reported

    async def counts(device: str | None) -> Counts:
        return await reader.run(store.counts, device)

    async def booked(lsn: int) -> None:
        await journal.wait_durable(lsn)
        with trio.move_on_after(BOOKED_SECONDS) as scope:
            await followers.reached(lsn, ("account",))
        if scope.cancelled_caught:
            raise StateError(f"the account is behind; what was recorded is booked later: {' '.join(problems())}")
        with trio.move_on_after(STORED_SECONDS):
            await followers.reached(lsn, (store.name,))

    async def reload() -> list[str]:
        try:
            read = await state_worker.run(device_models, settings)
        except HubError as error:
            raise ModelError(str(error)) from None
        changed = sorted(name for name in read.keys() | models.keys() if read.get(name) != models.get(name))
        models.clear()
        models.update(read)
        ingest.models_changed()
        log.info("models read again", changed=changed)
        return changed

    ledger = Ledger(journal, state, state_worker, counts, registry.next)
    rooms = Rooms(
        ingest=ingest, journal=journal, registry=registry, router=router, live=live, clock=clock, models=models,
        log=identity, version=version("telemetrio"), directory=journal.directory, ask=ask, stored=stored,
        ledger=ledger.entries, twin=twin, followers=lambda: followers.status(),
        quarantine=Desk(state, state_worker, booked), reload=reload,
        store=lambda: _store_status(store), rebuild=lambda: None if mender is None else mender.renew(),
        problems=lambda: problems(),
    )  # fmt: skip
    edge = Edge(rooms, Limits(silence=limits.idle_seconds, frame=limits.frame_bytes, half_open=limits.half_open,
                              links=limits.links, dials_per_second=limits.dials_per_second))  # fmt: skip
    control = ControlFollower(state, state_worker, clock, router)
    members: list[Follower] = [
        Acks(edge.acked, edge.rejected, registry.position),
        LiveFollower(live.publish),
        control,
        AccountFollower(state, state_worker),
        StoreFollower(store, store_worker),
    ]
    mirrors = [_mirror(settings, ports, state, state_worker)] if settings.mirror.url else []
    members += mirrors
    followers = Followers(journal, members, _follower_failed)
    if isinstance(store, MendingStore):
        mender = Mender(store, store_worker, ports.worker(), ledger, followers, journal)

    async def cursors() -> Mapping[str, int]:
        await control.settle()
        lasting = [each for each in members if not each.at_end and each.name != store.name and each not in mirrors]
        return {**await written(lasting), store.name: int(store.statistics()["cursor"])}

    async def written(followers: Sequence[Follower]) -> dict[str, int]:
        return {each.name: await state_worker.run(state.cursors.get, each.name) for each in followers}

    async def counted(through: int) -> Counts:
        return await reader.run(store.counts, None, through)

    keeping, collector = ports.worker(), None
    if (retention := settings.store.retention_us) is not None:
        doors = Doors(counted, cursors, ingest.expire, ingest.roll, lambda: written(mirrors))
        hold = Hold(int(settings.mirror.hold_gb * GB), settings.mirror.hold_us)
        collector = Collector(journal, keeping, clock, retention, doors, hold)
    keeper = Keeper(journal, keeping, _keeper_failed, collector)

    def problems() -> list[str]:
        mending = store.progress() if isinstance(store, MendingStore) else None
        wrong = [] if mending is None else [mending]
        wrong += [f"follower {f['name']} is {f['lag']} records behind: {f['error']}" for f in followers.status()
                 if not f["healthy"]]  # fmt: skip
        if router.problem is not None:
            wrong.append(f"commands cannot change state: {router.problem}")
        if journal.stalled:
            wrong.append("the disk of the journal is full: nothing is acked until there is space")
        if keeper.problem is not None:
            wrong.append(keeper.problem)
        return wrong

    return House(
        settings, ports, journal, registry, router, followers, edge, rooms, store, keeper, identity, mender
    )  # fmt: skip


def _store_status(store: Store) -> StoreStatus:
    told = store.statistics()
    rebuilding = isinstance(store, MendingStore) and store.progress() is not None
    return StoreStatus(rebuilding=rebuilding, cursor=told.get("cursor", 0), readings=told.get("readings", 0))


def _follower_failed(name: str, error: Exception) -> None:
    told = None if isinstance(error, StoreError | StateError) else error  # those say all there is to say
    log.error("a follower cannot go on; it is tried again", follower=name, why=str(error), exc_info=told)


def _keeper_failed(error: Exception) -> None:
    log.error("closed segments cannot be archived or collected; it is tried again", why=str(error))


def _mirror(settings: Settings, ports: Ports, state: State, state_worker: Worker) -> Follower:
    from hub.store.influx import InfluxMirror  # the client takes a third of a second to import

    options = settings.mirror
    mirror = InfluxMirror(options.url, mirror_token(settings), options.org, options.bucket)
    return MirrorFollower(mirror, ports.worker(), state, state_worker)
