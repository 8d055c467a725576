"""What the rows of the network stand on: a hub, devices that reach it through proxies, and the account in the end."""

import json
import statistics
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any

import trio

from devices.device import Device
from devices.link import Linkage
from devices.report import Figures as DeviceFigures
from hub.client.dial import Target
from hub.client.shell import Operator, connect
from hub.ports import SystemClock, SystemRandomness, TcpStreams
from hub.wire.messages import Ack, Row, Welcome
from hub.wire.session import DeviceSession
from tests.end_to_end.processes import HubProcess
from tests.end_to_end.raw import Raw, hello, opened, patiently
from tests.end_to_end.standing import Standing, standing
from tests.faults.lab import Failed, Figures, Lab
from tests.faults.proxy import Connection, Proxy
from tests.faults.record import RecordedFleet
from tests.faults.stage import Stage
from tests.faults.streaming import enrol, read_back

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

    def through(self, streamer: Streamer) -> Target:
        """The hub, by way of the proxy."""
        return Target(streamer.proxy.url, self.tokens[streamer.device.name], self.target.ca, proxy="")

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
        linkage = Linkage(streamer.device, self.through(streamer), TcpStreams(), Impatient())

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

    # --- devices cut down to their links ---------------------------------------------------------------------------

    async def backlog(self, streamer: Streamer, samples: int) -> int:
        """Have so many samples wait in a device, without waiting between them; how many readings that is."""
        device = streamer.device
        before = self.figures.produced
        for _ in range(samples):
            for row in await device.source.sample(self.clock.now()):
                assert isinstance(row, Row)
                device.offer(row, trio.current_time())
        return self.figures.produced - before

    def raw(self, streamer: Streamer) -> AbstractAsyncContextManager[Raw]:
        """An open link, with what the device knows of its numbers."""
        target, spool = self.through(streamer), streamer.device.spool

        def dial() -> AbstractAsyncContextManager[Raw]:
            numbers = DeviceSession(spool.epoch, spool.log, spool.acked, spool.first, spool.next)
            return opened(target, target.token, numbers)

        return patiently(dial)

    async def hello(self, raw: Raw, streamer: Streamer, *, forget: bool = False) -> None:
        """Say hello for a device, and take in what welcome says; ``forget``: not what is settled."""
        source, spool = streamer.device.source, streamer.device.spool
        await raw.say(hello(raw.session, model=source.model, metrics=source.metrics, time=self.clock.now()))
        welcome = await raw.hear(Welcome)
        plan = raw.session.renumbering(welcome)
        raw.session.receive(welcome)
        if not forget:
            if not plan.fresh:
                await spool.settle(welcome.through)
            await spool.renumber(plan.epoch, plan.log, plan.fresh, plan.settled)
        spool.rewind()

    async def hear_ack(self, raw: Raw, streamer: Streamer) -> None:
        await streamer.device.spool.settle((await raw.hear(Ack)).through)

    async def hub_has(self, device: str, seq: int) -> None:
        """Until the hub has settled everything up to ``seq``."""
        with trio.fail_after(PATIENCE_SECONDS):
            while (  # noqa: ASYNC110  (another process sets no event here)
                (await self.operator.call("devices.list", devices=[device]))[0]["through"] or 0
            ) < seq:
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
    names: Sequence[str], disturb: Disturb, settings: Mapping[str, str] | None = None, **hub: Any
) -> Callable[[Lab], Figures]:
    """A row: a hub, what is done to its devices, and whether the sets, the ledger and the hub's resources hold.
    ``settings`` and ``hub`` are those of ``Stage``."""

    def run(lab: Lab) -> Figures:
        stage = Stage(lab, settings, **hub)
        try:
            stage.start_hub()
            figures = trio.run(_act, lab, stage, names, disturb)
            return account(lab, stage) | figures
        finally:
            stage.end()

    return run


def account(lab: Lab, stage: Stage) -> Figures:
    """What the checker says of a hub that has lived all the time, and whose devices have dropped nothing."""
    process = stage.hub.process
    if process is None or process.poll() is not None:
        raise Failed("the hub has ended")
    figures = stage.judge()
    for entry in json.loads((lab.evidence / "ledger.json").read_text())["entries"]:
        if entry["lost"] or entry["dropped"]:
            raise Failed(f"{entry['device']}: lost {entry['lost']}, dropped {entry['dropped']}", figures)
    if "Traceback" in stage.hub.log():
        raise Failed(f"the hub's log has a traceback: {stage.hub.log()[-2000:]}", figures)
    return figures


async def _act(lab: Lab, stage: Stage, names: Sequence[str], disturb: Disturb) -> Figures:
    hub, target = stage.hub, stage.target
    tokens = await enrol(target, names)
    await read_back(target)  # the first question opens what stays open
    fleet = RecordedFleet(target, tokens, lab.evidence)
    figures: Figures = {}
    failure: Failed | None = None  # carried around the nursery, which would wrap it in a group
    base = await trio.to_thread.run_sync(standing, hub)
    async with connect(target) as operator, trio.open_nursery() as nursery:
        ground = Ground(lab, hub, nursery, fleet, operator=operator, target=target, tokens=tokens)
        try:
            figures = await disturb(ground)
        except Failed as failed:
            failure = failed
        nursery.cancel_scope.cancel()
    if failure is not None:
        raise failure
    await back(hub, base)
    fleet.end()
    return figures


def _first(group: BaseExceptionGroup[Failed]) -> Failed:
    found = group.exceptions[0]
    return _first(found) if isinstance(found, BaseExceptionGroup) else found


async def back(hub: HubProcess, base: Standing) -> None:
    """Until tasks, descriptors and connections are what they were before the devices came."""
    deadline = trio.current_time() + BASE_SECONDS
    while True:
        now = await trio.to_thread.run_sync(standing, hub)
        if all(ours <= theirs for ours, theirs in zip(now, base, strict=True)):
            return
        if trio.current_time() > deadline:
            raise Failed(f"the hub does not come back to {base}: {now}")
        await trio.sleep(0.1)


def spread(name: str, seconds: Sequence[float], digits: int = 2) -> Figures:
    """Median and largest."""
    return {f"{name}_p50": round(statistics.median(seconds), digits), f"{name}_max": round(max(seconds), digits)}
