"""The composition root: opens what is on disk, has the rooms wired, owns the root nursery and the phases of the end."""

import gc
import os
import signal
from functools import partial
from typing import Final

import structlog
import trio

from hub.data_directory import (
    HubError,
    open_journal,
    open_state,
    open_store,
    own_directory,
    pass_cursors,
    read_identity,
)
from hub.doors import ModelDoor
from hub.journal import JournalFailed
from hub.log import configure
from hub.ports import Ports
from hub.preflight import allow_files, device_models, server_tls
from hub.serving import House, serve_house
from hub.settings import Settings
from hub.state import StateError
from hub.upkeep.reopen import reopen
from hub.upkeep.restored import bring_up
from hub.wiring import Opened, wire

#: The tail of the journal holds a few hundred thousand small objects that come and go without cycles. With Python's own
#: thresholds the collector walks them again and again: measured, a third of all time when rows come at full speed.
COLLECT: Final = (100_000, 20, 20)
YOUNG_SECONDS: Final = 10.0  # what ends in a cycle does not wait for so many others: a scrape of /metrics leaves some
CATCH_UP_SECONDS: Final = 20.0  # for followers at the end; what they miss they take at the next start

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


async def _collect_young() -> None:
    """Have the collector look at what is new, until cancelled: a few milliseconds at most."""
    while True:
        await trio.sleep(YOUNG_SECONDS)
        gc.collect(0)


async def run_hub(
    settings: Settings,
    ports: Ports,
    stop: trio.Event,
    *,
    task_status: trio.TaskStatus[House] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Run a hub until ``stop`` is set, then drain it. ``started`` when it takes links; HubError when it cannot."""
    tls, models = server_tls(settings), ModelDoor(partial(device_models, settings))
    worker, state_worker, store_worker = ports.worker(), ports.worker(), ports.worker()
    async with (
        own_directory(settings, ports) as reserve,
        open_state(settings, state_worker) as state,
        open_journal(settings, ports, worker, reserve) as (journal, marks),
        open_store(settings, ports, store_worker, journal) as store,
    ):
        identity = await read_identity(settings, ports, worker)
        try:
            await pass_cursors(journal, state, state_worker, store)
            await bring_up(journal, state, state_worker)
            await reopen(journal, marks, store, store_worker, state, state_worker, ports.clock)
            opened = Opened(journal, marks, state, state_worker, store, store_worker, identity)
            house = await wire(settings, ports, opened, models)
        except (OSError, StateError) as error:
            raise HubError(f"what is on disk cannot be brought together: {error}") from error
        async with trio.open_nursery() as core:
            core.start_soon(journal.run)
            core.start_soon(journal.watch)
            core.start_soon(_collect_young)
            await core.start(house.followers.run)
            core.start_soon(house.seeding.run, house.followers.reached, journal.durable)
            core.start_soon(house.router.run, partial(house.followers.reached, journal.durable, ["control"]))
            core.start_soon(house.registry.run)
            core.start_soon(house.keeper.run)
            core.start_soon(house.damage.run)
            core.start_soon(house.copies.run)
            if house.mender is not None:
                core.start_soon(house.mender.run)
            await serve_house(house, tls, stop, task_status)
            await _settle(house)
            store.interrupt()  # whoever asks now gets no answer any more, and a thread is waited for
            core.cancel_scope.cancel()
    log.info("stopped", durable=journal.durable)


async def _settle(house: House) -> None:
    """Bring to disk what came in before the door was shut. A full disk is not waited for: what is not durable was not
    acked, and devices still hold it."""
    journal = house.journal
    if not await journal.flush():
        left = journal.appended - journal.durable
        log.warning("the disk is full: what was not acked stays with the devices", records=left)
    with trio.move_on_after(CATCH_UP_SECONDS):
        await house.followers.settled(journal.durable)
    try:
        await house.registry.flush()
    except StateError as error:
        log.warning("when devices were last seen is not written", why=str(error))
    await house.copies.last()
