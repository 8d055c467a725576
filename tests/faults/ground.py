"""What the rows of the network stand on: a hub, devices that reach it through proxies, and the account in the end."""

import statistics
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import trio

from devices.device import Device
from devices.link import Linkage
from devices.report import Figures as DeviceFigures
from hub.client.dial import Target
from hub.client.shell import Operator, connect
from hub.ports import SystemClock, SystemRandomness, TcpStreams
from tests.end_to_end.processes import HubProcess
from tests.end_to_end.standing import Standing, standing
from tests.faults.lab import Failed, Figures, Lab
from tests.faults.proxy import Connection, Proxy
from tests.faults.record import RecordedFleet, recount
from tests.faults.streaming import enrol, read_back, write_model

PERIOD = 0.2  # seconds between two samples of a device: each is synced to the record, and so is each ack
BACKOFF_SECONDS = 0.03  # at most: the rows are not about patience
PATIENCE_SECONDS = 60.0  # for what takes a second on a machine that does nothing else
BASE_SECONDS = 30.0  # for the hub's own deadlines: 5 s for TLS, 5 s for a request, 10 s for hello
LOOK_SECONDS = 0.005


class Impatient(SystemRandomness):
    def uniform(self, low: float, high: float) -> float:
        return super().uniform(low, min(high, BACKOFF_SECONDS))


@dataclass
class Streamer:
    """A device that streams through a proxy of its own. ``opened``: every connection it has had."""

    device: Device
    proxy: Proxy
    opened: list[Connection] = field(default_factory=list)
    measuring: trio.CancelScope = field(default_factory=trio.CancelScope)
    living: trio.CancelScope = field(default_factory=trio.CancelScope)

    @property
    def connection(self) -> Connection:
        """The newest."""
        return self.opened[-1]

    async def finish(self) -> None:
        """Measure no more, have all acked, and leave."""
        self.measuring.cancel()
        with trio.fail_after(PATIENCE_SECONDS):
            await self.device.emptied()
        self.living.cancel()


class Ground:
    """See the module. ``fleet`` keeps the record; its devices are those of ``names``, whoever drives them."""

    def __init__(self, lab: Lab, hub: HubProcess, nursery: trio.Nursery, fleet: RecordedFleet, **more: Any) -> None:
        self.lab, self.hub, self.nursery, self.fleet = lab, hub, nursery, fleet
        self.operator: Operator = more["operator"]
        self.target: Target = more["target"]
        self.tokens: Mapping[str, str] = more["tokens"]
        self.figures = DeviceFigures()
        self.clock = SystemClock()

    @property
    def port(self) -> int:
        return int(self.hub.url.rpartition(":")[2])

    async def streamer(self, name: str) -> Streamer:
        """A device and its proxy; it neither dials nor measures yet."""
        proxy = Proxy(self.port)
        await self.nursery.start(proxy.run)
        self.fleet.sources[name].period = PERIOD
        device = Device(name, self.fleet.sources[name], self.fleet.spools[name], self.clock, self.figures)
        made = Streamer(device, proxy)
        proxy.opened = made.opened.append
        return made

    def link(self, streamer: Streamer) -> None:
        """Dial and stay linked."""
        device = streamer.device
        target = Target(streamer.proxy.url, self.tokens[device.name], self.target.ca, proxy="")
        linkage = Linkage(device, target, TcpStreams(), Impatient())

        async def keep() -> None:
            with streamer.living:
                await linkage.keep()

        self.nursery.start_soon(keep)

    def measure(self, streamer: Streamer) -> None:
        async def measure() -> None:
            with streamer.measuring:
                await streamer.device.measure()

        self.nursery.start_soon(measure)

    async def streaming(self, names: Iterable[str]) -> list[Streamer]:
        """Devices that stream, and have had something acked."""
        streamers = [await self.streamer(name) for name in names]
        for streamer in streamers:
            self.link(streamer)
            self.measure(streamer)
        await self.progress(streamers)
        return streamers

    async def progress(self, streamers: Sequence[Streamer]) -> None:
        """Until each of them has had something measured from now on acked."""
        for each in streamers:
            await self.acked_beyond(each, each.device.spool.next)

    async def acked_beyond(self, streamer: Streamer, seq: int) -> None:
        await until(lambda: streamer.device.spool.acked > seq and streamer.device.linked)

    async def hub_has(self, device: str, seq: int) -> None:
        """Until the hub has settled everything up to ``seq``."""
        with trio.fail_after(PATIENCE_SECONDS):
            while ((await self.operator.call("devices.list", devices=[device]))[0]["through"] or 0) < seq:
                await trio.sleep(LOOK_SECONDS)


async def until(true: Callable[[], bool], seconds: float = PATIENCE_SECONDS) -> float:
    """Look again and again; how many seconds it took. trio.TooSlowError."""
    began = trio.current_time()
    with trio.fail_after(seconds):
        while not true():  # noqa: ASYNC110  (what is looked at sets no event)
            await trio.sleep(LOOK_SECONDS)
    return trio.current_time() - began


Disturb = Callable[[Ground], Awaitable[Figures]]


def on_the_network(
    names: Callable[[Lab], Sequence[str]], disturb: Disturb, *, idle: float | None = None, **hub: Any
) -> Callable[[Lab], Figures]:
    """A row: a hub, what is done to its devices, and whether the sets, the ledger and the hub's resources hold.
    ``idle``: seconds of silence until the hub pings, instead of 20."""

    def run(lab: Lab) -> Figures:
        settings = {"TELEMETRIO_MODELS__DIRECTORY": str(write_model(lab.scratch))}
        if idle is not None:
            settings["TELEMETRIO_LIMITS__IDLE_SECONDS"] = str(idle)
        with HubProcess.make(lab.scratch / "hub", settings=settings, **hub) as process:
            figures = trio.run(_act, lab, process, list(names(lab)), disturb)
            return _judge(lab, process, figures)

    return run


async def _act(lab: Lab, hub: HubProcess, names: list[str], disturb: Disturb) -> Figures:
    target = Target(hub.url, hub.token(), hub.folder / "ca.pem", proxy="")
    tokens = await enrol(target, names)
    await read_back(target)  # the first question opens what stays open
    fleet = RecordedFleet(target, tokens, lab.evidence)
    async with connect(target) as operator:
        base = await trio.to_thread.run_sync(standing, hub)
        figures: Figures = {}
        failure: Failed | None = None  # carried around the nursery, which would wrap it in a group
        async with trio.open_nursery() as nursery:
            ground = Ground(lab, hub, nursery, fleet, operator=operator, target=target, tokens=tokens)
            try:
                figures = await disturb(ground)
            except Failed as failed:
                failure = failed
            nursery.cancel_scope.cancel()
        if failure is not None:
            raise failure
        await _back(hub, base)
    fleet.write_stored(await read_back(target))
    async with connect(target) as operator:
        for entry in await operator.call("ledger"):
            if entry["lost"] or entry["dropped"]:
                raise Failed(f"{entry['device']}: lost {entry['lost']}, dropped {entry['dropped']}", figures)
    return figures


async def _back(hub: HubProcess, base: Standing) -> None:
    """Until tasks, descriptors and connections are what they were before the devices came."""
    deadline = trio.current_time() + BASE_SECONDS
    while True:
        now = await trio.to_thread.run_sync(standing, hub)
        if all(ours <= theirs for ours, theirs in zip(now, base, strict=True)):
            return
        if trio.current_time() > deadline:
            raise Failed(f"the hub does not come back to {base}: {now}")
        await trio.sleep(0.1)


def _judge(lab: Lab, hub: HubProcess, figures: Figures) -> Figures:
    assert hub.process is not None
    figures = recount(lab.evidence) | figures
    if hub.process.poll() is not None:
        raise Failed(f"the hub ended with {hub.process.returncode}", figures)
    if figures["lost"] or figures["duplicated"] or figures["invented"] or not figures["acked"]:
        raise Failed(f"the sets differ: {figures}", figures)
    ledger = hub.run("ledger", "--verify", "-o", "json", timeout=120)
    if ledger.returncode != 0:
        raise Failed(f"the ledger says: {ledger.stderr or ledger.stdout[:2000]}", figures)
    if "Traceback" in hub.log():
        raise Failed(f"the hub's log has a traceback: {hub.log()[-2000:]}", figures)
    return figures


def spread(name: str, seconds: Sequence[float], digits: int = 2) -> Figures:
    """Median and largest."""
    return {f"{name}_p50": round(statistics.median(seconds), digits), f"{name}_max": round(max(seconds), digits)}
