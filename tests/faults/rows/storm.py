"""The rows of many links that end at once: a hub that stops under load, one that restarts, a network that is cut."""

import math
import random
import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import trio

from hub.client.dial import Target
from hub.ports import Randomness
from hub.wire.errors import CloseCode
from tests.end_to_end.processes import HubProcess
from tests.faults.crowd import Crowd, enrol_many
from tests.faults.lab import Failed, Figures, Lab, Row
from tests.faults.record import recount
from tests.faults.streaming import Impatient, read_back, write_model
from tests.faults.witness import write_stored

LIVES = (0.2, 0.8)  # seconds under load before the next SIGTERM
DRAIN_SECONDS = 10.0  # what a hub may take to stop
START_SECONDS = (
    2.0  # what it takes to start at most; by twice as much as that takes longer, stopping may take longer too
)
LINKED_SECONDS = 600.0  # for a crowd to be linked on a machine that does much else
SHARES = (50, 99, 100)  # percent of the devices that are back


@dataclass(frozen=True)
class Gathering:
    """How many devices, how often each measures (seconds), how many are switched on a second, and their back-off."""

    devices: int
    period: float
    ramp: float
    randomness: Randomness | None = None


Disturb = Callable[[HubProcess, Crowd], Awaitable[Figures]]


def stopped_under_load(lab: Lab) -> Figures:
    """F23: SIGTERM while all stream, again and again: everybody is told, nothing under way is lost, exit 0, in time."""
    rounds = 2 if lab.quick else 10

    async def disturb(hub: HubProcess, crowd: Crowd) -> Figures:
        chance = random.Random(lab.seed)
        stops: list[float] = []
        starts: list[float] = []
        for _ in range(rounds):
            await _progress(crowd)
            await trio.sleep(chance.uniform(*LIVES))
            stops.append(await _stop(hub, crowd))
            starts.append(await _start(hub))
        limit = DRAIN_SECONDS + 2 * max(0.0, statistics.median(starts) - START_SECONDS)
        figures = {"rounds": rounds} | _spread("drain_s", stops)
        if max(stops) > limit:
            raise Failed(f"the hub took {max(stops):.1f} s to stop", figures)
        return figures

    return _in_a_crowd(lab, Gathering(50, 0.1, 100.0, Impatient()), disturb)


def restarted(lab: Lab) -> Figures:
    """F24: the hub is stopped and started again: all come back by themselves, spread as they were told."""
    rounds, devices = (1, 100) if lab.quick else (2, 500)

    async def disturb(hub: HubProcess, crowd: Crowd) -> Figures:
        back: list[Sequence[float]] = []
        for _ in range(rounds):
            await _all_linked(crowd)
            moment = trio.current_time()
            await _stop(hub, crowd)
            await _start(hub)
            back.append(await _all_back(crowd, moment))
        return {"devices": devices, "restarts": rounds} | _times([max(round_) for round_ in zip(*back, strict=True)])

    return _in_a_crowd(lab, Gathering(devices, 2.0, 200.0), disturb)


def all_cut(lab: Lab) -> Figures:
    """L10: every link is reset in the same step, while all stream."""
    devices = 200 if lab.quick else 2_000

    async def disturb(hub: HubProcess, crowd: Crowd) -> Figures:
        await _all_linked(crowd)
        await _progress(crowd)
        moment, before = trio.current_time(), crowd.acked
        crowd.cut()
        back = await _all_back(crowd, moment)
        return {"devices": devices, "acked_before": before} | _times(back)

    return _in_a_crowd(lab, Gathering(devices, 5.0, 250.0), disturb)


# --- the scene -------------------------------------------------------------------------------------------------------


def _in_a_crowd(lab: Lab, gathering: Gathering, disturb: Disturb) -> Figures:
    """Stream, disturb, let the crowd finish, compare; Failed where the sets differ or the ledger does not balance."""
    settings = {"TELEMETRIO_MODELS__DIRECTORY": str(write_model(lab.scratch))}
    hub = HubProcess.make(lab.scratch / "hub", settings=settings)
    try:
        hub.start()
        told = trio.run(_stream, hub, lab, gathering, disturb)
        figures = recount(lab.evidence) | told
        if figures["lost"] or figures["duplicated"] or figures["invented"] or not figures["acked"]:
            raise Failed(f"the sets differ: {figures}", figures)
        ledger = hub.run("ledger", "--verify", "-o", "json", timeout=300)
        if ledger.returncode != 0:
            raise Failed(f"the ledger says: {ledger.stderr or ledger.stdout[:2000]}", figures)
        return figures
    finally:
        hub.__exit__()


async def _stream(hub: HubProcess, lab: Lab, gathering: Gathering, disturb: Disturb) -> Figures:
    target = Target(hub.url, hub.token(), hub.folder / "ca.pem", proxy="")
    tokens = await enrol_many(target, [f"counter-{number:04}" for number in range(gathering.devices)])
    crowd = Crowd(
        target, tokens, lab.evidence, period=gathering.period, ramp=gathering.ramp, randomness=gathering.randomness
    )
    figures: Figures = {}
    failure: Failed | None = None
    async with trio.open_nursery() as nursery:
        await nursery.start(crowd.run)
        try:
            figures = await disturb(hub, crowd)
            crowd.stop_measuring()
            with trio.fail_after(LINKED_SECONDS):
                await crowd.emptied()
        except (Failed, RuntimeError, trio.TooSlowError) as error:
            failure = error if isinstance(error, Failed) else Failed(f"{type(error).__name__}: {error}", figures)
        nursery.cancel_scope.cancel(reason="the row is over")
    if failure is not None:
        raise failure
    write_stored(lab.evidence, await read_back(target))
    return figures


async def _stop(hub: HubProcess, crowd: Crowd) -> float:
    """SIGTERM; how long it took. Failed unless the exit code is 0 and each linked device was told 1012."""
    linked, before = {name for name, device in crowd.devices.items() if device.linked}, len(crowd.endings)
    began = time.monotonic()
    code = await trio.to_thread.run_sync(hub.stop)
    seconds = time.monotonic() - began
    if code != 0:
        raise Failed(f"the hub ended with exit code {code}")
    with trio.move_on_after(LINKED_SECONDS):
        while linked - {name for name, _ in crowd.endings[before:]}:  # noqa: ASYNC110  (other processes set no event)
            await trio.sleep(0.01)
    first = {name: ending for name, ending in reversed(crowd.endings[before:]) if name in linked}
    others = {name: ending for name, ending in first.items() if (ending.code, ending.by_hub) != (CloseCode.DRAIN, True)}
    if others or not linked:
        raise Failed(f"of {len(linked)} links {len(others)} were not closed with 1012: {list(others.items())[:3]}")
    return seconds


async def _start(hub: HubProcess) -> float:
    began = time.monotonic()
    await trio.to_thread.run_sync(hub.start)
    return time.monotonic() - began


async def _progress(crowd: Crowd) -> None:
    """Until each device, on average, has another reading acked: what happens to those that are idle shows little."""
    before = crowd.acked
    with trio.fail_after(LINKED_SECONDS):
        while crowd.acked < before + len(crowd.devices):  # noqa: ASYNC110
            await trio.sleep(0.01)


async def _all_linked(crowd: Crowd) -> None:
    with trio.move_on_after(LINKED_SECONDS):
        await crowd.all_linked()
        return
    raise Failed(f"{crowd.figures.online} of {len(crowd.devices)} devices are linked")


async def _all_back(crowd: Crowd, moment: float) -> Sequence[float]:
    """Seconds from ``moment`` until each device was welcomed again, in rising order."""
    with trio.move_on_after(LINKED_SECONDS):
        while len(crowd.back_after(moment)) < len(crowd.devices):  # noqa: ASYNC110
            await trio.sleep(0.1)
    back = crowd.back_after(moment)
    if len(back) < len(crowd.devices):
        raise Failed(f"{len(crowd.devices) - len(back)} devices have not come back", {"back": len(back)})
    return back


def _times(back: Sequence[float]) -> Figures:
    return {f"back_{share}_s": round(back[math.ceil(len(back) * share / 100) - 1], 2) for share in SHARES}


def _spread(name: str, seconds: Sequence[float]) -> Figures:
    return {f"{name}_p50": round(statistics.median(seconds), 2), f"{name}_max": round(max(seconds), 2)}


ROWS = [
    Row("L10 all links cut at once", all_cut, seconds=200.0, alone=True, apart=True),
    Row("F23 hub stopped under load", stopped_under_load, seconds=60.0),
    Row("F24 hub restarted under a crowd", restarted, seconds=80.0),
]
