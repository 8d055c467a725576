"""The rows that need real processes: a hub that is killed while a fleet streams."""

import random
import statistics
import sys
import time
from collections.abc import Awaitable, Callable

import trio

from hub.client.dial import Target
from tests.end_to_end.processes import TELEMETRIO, HubProcess
from tests.faults.crashing import VARIABLE, points
from tests.faults.lab import Failed, Figures, Lab, Row
from tests.faults.record import RecordedFleet, recount
from tests.faults.streaming import enrol, read_back, write_model

DEVICES = 20
LIVES = (0.3, 1.5)  # seconds that the hub lives, drawn anew each time
POINT_SECONDS = 60.0  # by then a hub under load has come to every step
LAUNCHER = (sys.executable, "-m", "tests.faults.launcher")
CRASHING = (sys.executable, "-m", "tests.faults.crashing")
PLANTS = ("cursor-apart", "ack-before-sync")


def hub_killed(lab: Lab) -> Figures:
    """F1: random kills."""
    restarts: list[float] = []
    command = (*LAUNCHER, lab.plant) if lab.plant else (*TELEMETRIO, "hub", "serve")
    kills = 5 if lab.plant else 10 if lab.quick else 40

    async def kill(hub: HubProcess, fleet: RecordedFleet) -> None:
        chance = random.Random(lab.seed)
        for _ in range(kills):
            await _progress(fleet)
            await trio.sleep(chance.uniform(*LIVES))
            await trio.to_thread.run_sync(hub.kill)
            restarts.append(await _start(hub))

    figures = _under_load(lab, command, kill)
    return figures | {"kills": kills} | _spread("restart_s", restarts)


def each_step(lab: Lab) -> Figures:
    """F2: a kill at every named step of the hub."""
    passed: list[str] = []
    restarts: list[float] = []

    async def kill(hub: HubProcess, fleet: RecordedFleet) -> None:
        settings = dict(hub.settings)
        for name in points():
            await trio.to_thread.run_sync(hub.kill)
            hub.settings = settings | {VARIABLE: f"{name}:3"}
            await _start(hub)
            assert hub.process is not None
            with trio.move_on_after(POINT_SECONDS):
                while hub.process.poll() is None:  # noqa: ASYNC110  (another process sets no event here)
                    await trio.sleep(0.05)
            if hub.process.poll() != -9:
                raise Failed(f"the step {name!r} was not reached: {hub.process.poll()}")
            hub.settings = settings
            restarts.append(await _start(hub))
            await _progress(fleet)
            passed.append(name)

    figures = _under_load(lab, CRASHING, kill)
    return figures | {"kills": 2 * len(passed), "points": passed} | _spread("restart_s", restarts)


Disturb = Callable[[HubProcess, RecordedFleet], Awaitable[None]]


def _under_load(lab: Lab, command: tuple[str, ...], disturb: Disturb) -> Figures:
    """Stream, disturb, let the fleet finish, compare; Failed where the sets differ or the ledger does not balance."""
    settings = {"TELEMETRIO_MODELS__DIRECTORY": str(write_model(lab.scratch))}
    hub = HubProcess.make(lab.scratch / "hub", command=command, settings=settings)
    try:
        hub.start()
        trio.run(_stream, hub, lab, disturb)
        figures = recount(lab.evidence)
        if figures["lost"] or figures["duplicated"] or figures["invented"] or not figures["acked"]:
            raise Failed(f"the sets differ: {figures}", figures)
        ledger = hub.run("ledger", "--verify", "-o", "json", timeout=120)
        if ledger.returncode != 0:
            raise Failed(f"the ledger says: {ledger.stderr or ledger.stdout[:2000]}", figures)
        return dict(figures)
    finally:
        hub.__exit__()


async def _stream(hub: HubProcess, lab: Lab, disturb: Disturb) -> None:
    target = Target(hub.url, hub.token(), hub.folder / "ca.pem", proxy="")
    tokens = await enrol(target, [f"counter-{number:03}" for number in range(DEVICES)])
    fleet = RecordedFleet(target, tokens, lab.evidence)
    failure: Failed | None = None
    async with trio.open_nursery() as nursery:
        await nursery.start(fleet.run)
        try:
            await disturb(hub, fleet)
            fleet.stop_measuring()
            with trio.fail_after(120):
                await fleet.emptied()
        except (Failed, RuntimeError, trio.TooSlowError) as error:
            failure = error if isinstance(error, Failed) else Failed(f"{type(error).__name__}: {error}")
        nursery.cancel_scope.cancel()
    if failure is not None:
        raise failure
    fleet.write_stored(await read_back(target))


async def _progress(fleet: RecordedFleet) -> None:
    """Until something is acked: a kill before that would show little."""
    before = fleet.acked
    with trio.fail_after(60):
        while fleet.acked == before:  # noqa: ASYNC110
            await trio.sleep(0.01)


async def _start(hub: HubProcess) -> float:
    began = time.monotonic()
    await trio.to_thread.run_sync(hub.start)
    return time.monotonic() - began


def _spread(name: str, seconds: list[float]) -> Figures:
    return {f"{name}_p50": round(statistics.median(seconds), 2), f"{name}_max": round(max(seconds), 2)}


ROWS = [Row("F1 hub killed under load", hub_killed, PLANTS), Row("F2 hub killed at each step", each_step)]
