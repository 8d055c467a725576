"""A fleet streams into a hub process while something is done to it; in the end what was acked is what is stored, once.

What tests and rows of the fault lab share whose fault is one of disks.
"""

import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from subprocess import TimeoutExpired

import trio

from hub.client.dial import Target
from tests.end_to_end.processes import HubProcess
from tests.faults.lab import Failed, Figures
from tests.faults.record import RecordedFleet, recount
from tests.faults.streaming import enrol, read_back, write_model

PATIENCE_SECONDS = 90.0  # for a fleet to be rid of what it holds, on a loaded machine

Disturb = Callable[[HubProcess, RecordedFleet], Awaitable[None]]


def must(holds: object, why: str) -> None:
    """Failed unless it holds."""
    if not holds:
        raise Failed(why)


def make_hub(folder: Path, **settings: str) -> HubProcess:
    """A hub in ``folder``, not yet started, that knows the counting model; ``settings``: of its environment."""
    models = {"TELEMETRIO_MODELS__DIRECTORY": str(write_model(folder))}
    return HubProcess.make(folder / "hub", settings=models | settings)


def target_of(hub: HubProcess) -> Target:
    """Where its operators dial."""
    return Target(hub.url, hub.token(), hub.folder / "ca.pem", proxy="")


def disturbed(hub: HubProcess, evidence: Path, devices: int, disturb: Disturb) -> Figures:
    """Start the hub, stream, disturb, let the fleet finish, compare; Failed where the sets on record in ``evidence``
    differ or the ledger does not balance. The hub still runs afterwards."""
    hub.start()
    try:
        trio.run(_stream, hub, evidence, devices, disturb)
    except* (Failed, RuntimeError, trio.TooSlowError, TimeoutExpired) as group:
        raise first_of(group) from group
    figures: Figures = dict(recount(evidence))
    clean = figures["acked"] and not (figures["lost"] or figures["duplicated"] or figures["invented"])
    if not clean:
        raise Failed(f"the sets differ: {figures}", figures)
    ledger = hub.run("ledger", "--verify", "-o", "json", timeout=120)
    if ledger.returncode != 0:
        raise Failed(f"the ledger says: {ledger.stderr or ledger.stdout[:2000]}", figures)
    return figures


def first_of(group: BaseExceptionGroup[Exception]) -> Failed:
    """What went wrong, out of the groups that nurseries make."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error if isinstance(error, Failed) else Failed(f"{type(error).__name__}: {error}")


async def _stream(hub: HubProcess, evidence: Path, devices: int, disturb: Disturb) -> None:
    target = target_of(hub)
    tokens = await enrol(target, [f"counter-{number}" for number in range(devices)])
    fleet = RecordedFleet(target, tokens, evidence)
    async with trio.open_nursery() as nursery:
        await nursery.start(fleet.run)
        await disturb(hub, fleet)
        fleet.stop_measuring()
        with trio.fail_after(PATIENCE_SECONDS):
            await fleet.emptied()
        nursery.cancel_scope.cancel()
    fleet.write_stored(await read_back(target))


async def more_acked(fleet: RecordedFleet, readings: int = 1) -> float:
    """Until so many more readings are acked; seconds that took."""
    before, began = fleet.acked, time.monotonic()
    with trio.fail_after(60):
        while fleet.acked < before + readings:  # noqa: ASYNC110  (links of other processes set no event here)
            await trio.sleep(0.01)
    return time.monotonic() - began
