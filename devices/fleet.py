"""Many devices in one process: they come up over a ramp, run until told to stop, drain and say bye."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import trio

from devices.device import Device
from devices.disk import DISK_BYTES, CommandBook, DiskSpool
from devices.faults import Distortion, FaultyStreams, LinkFaults
from devices.link import Linkage, Stopped
from devices.models import Simulated, physics_of
from devices.report import Figures, FleetReport, report_of
from devices.scenario import Scenario
from devices.signals import seed_of, uniform
from devices.source import Source
from devices.spool import MEMORY_BYTES, MemorySpool, Spool, SpoolError
from hub.client import Target
from hub.model import Model, ModelError
from hub.ports import Ports, Streams

PROBLEMS_TOLD: Final = 20  # in a report; a whole fleet often has one and the same
DIALS_AT_ONCE: Final = 16  # a handshake costs both ends milliseconds of CPU; more at once would run into deadlines
BYE_SECONDS: Final = 5.0  # for the last words, after the drain
CLOSE_SECONDS: Final = 10.0  # for writing what is held to a slow disk

log = logging.getLogger("telemetrio.devices")


@dataclass(frozen=True)
class Member:
    """A device to be: its name, what it measures, its token, when it comes up and how its link fails."""

    name: str
    source: Source
    token: str
    delay: float = 0.0  # seconds after the start
    link: LinkFaults = field(default_factory=LinkFaults)


class Fleet:
    """Runs members side by side. One that the hub turns away ends alone; the others go on.

    ``spools``: the directory in which each keeps, in one of its own, up to ``spool_bytes``; else ``memory`` bytes.
    """

    def __init__(
        self,
        target: Target,
        members: Sequence[Member],
        ports: Ports,
        *,
        memory: int = MEMORY_BYTES,
        spools: Path | None = None,
        spool_bytes: int = DISK_BYTES,
    ) -> None:
        self.figures = Figures()
        self._target = target
        self._ports = ports
        self._memory = memory
        self._spools = spools
        self._spool_bytes = spool_bytes
        self._worker = ports.worker()  # of all spools: a disk does one thing after the other anyway
        self._members = [(member, self._device(member)) for member in members]
        self._linkages: list[Linkage] = []
        self._doorway = trio.CapacityLimiter(DIALS_AT_ONCE)
        self._stopped: dict[str, Stopped] = {}
        self._unusable: dict[str, SpoolError] = {}
        self._began = 0.0
        self._online_at_stop: int | None = None

    def _device(self, member: Member) -> Device:
        spool: Spool = MemorySpool(self._memory)
        book = None
        if self._spools is not None:
            directory, files = self._spools / f"{member.name}.spool", self._ports.files
            spool = DiskSpool(directory, files, self._worker, self._spool_bytes)
            book = CommandBook(directory, files, self._worker)
        return Device(member.name, member.source, spool, self._ports.clock, self.figures, book=book)

    async def run(self, stop: trio.Event, drain: float) -> FleetReport:
        """Run until ``stop`` is set or every device has been turned away, then drain for at most ``drain`` seconds."""
        self._began = trio.current_time()
        async with trio.open_nursery() as nursery:

            async def stop_when_asked() -> None:
                await stop.wait()
                self._online_at_stop = self.figures.online

            nursery.start_soon(stop_when_asked)
            async with trio.open_nursery() as lives:
                for member, device in self._members:
                    lives.start_soon(self._live, member, device, stop, drain)
            nursery.cancel_scope.cancel(reason="all devices have ended")
        return self.report()

    def report(self) -> FleetReport:
        """How it stands now."""
        online = self.figures.online if self._online_at_stop is None else self._online_at_stop
        waiting = sum(device.spool.next - device.spool.first for _, device in self._members)
        self.figures.dropped = sum(device.spool.dropped for _, device in self._members)
        return report_of(
            self.figures, devices=len(self._members), online=online, waiting=waiting,
            seconds=trio.current_time() - self._began, problems=self._problems(),
            turned_away=[stopped.code for stopped in self._stopped.values()], unusable=len(self._unusable),
        )  # fmt: skip

    def _problems(self) -> list[str]:
        found = [str(stopped) for stopped in (*self._stopped.values(), *self._unusable.values())]
        found += [device.spool.trouble for _, device in self._members if device.spool.trouble]
        apart = [each for each in self._linkages if not each.linked and each.name not in self._stopped]
        found += [f"{each.name}: {each.trouble}" for each in apart if each.trouble]
        more = len(found) - PROBLEMS_TOLD
        return found if more <= 0 else [*found[:PROBLEMS_TOLD], f"and {more} more"]

    async def _live(self, member: Member, device: Device, stop: trio.Event, drain: float) -> None:
        """One device from switching on to bye."""
        with trio.CancelScope() as sleep:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_cancel_at, stop, sleep)
                await trio.sleep(member.delay)
                nursery.cancel_scope.cancel(reason="its time has come")
        if stop.is_set():
            return
        streams = self._streams(member)
        linkage = Linkage(device, self._at(member), streams, self._ports.randomness, self._doorway)
        self._linkages.append(linkage)
        try:
            await device.open()
            await _switched_on(device, linkage, stop, drain)
        except Stopped as stopped:
            self._stopped[member.name] = stopped
            log.error("%s", stopped)
        except SpoolError as error:
            self._unusable[member.name] = error
            log.error("%s", error)
        finally:
            with trio.move_on_after(CLOSE_SECONDS, shield=True):
                await device.close()

    def _at(self, member: Member) -> Target:
        return replace(self._target, token=member.token)

    def _streams(self, member: Member) -> Streams:
        if not member.link:
            return self._ports.streams
        return FaultyStreams(self._ports.streams, member.link, self._ports.randomness)


async def _switched_on(device: Device, linkage: Linkage, stop: trio.Event, drain: float) -> None:
    """Measure and stay linked until ``stop``; then drain, say bye, and end. Raises Stopped."""
    stopped: Stopped | None = None
    async with trio.open_nursery() as nursery:
        measuring = trio.CancelScope()

        async def measure() -> None:
            with measuring:
                await device.measure(phase=device.source.period * uniform(seed_of(0, device.name), 0))

        async def stay_linked() -> None:
            nonlocal stopped
            try:
                await linkage.keep()
            except Stopped as error:
                stopped = error
            nursery.cancel_scope.cancel(reason="the device has left")

        nursery.start_soon(device.spool.run)
        nursery.start_soon(measure)
        nursery.start_soon(device.desk.serve)
        nursery.start_soon(stay_linked)
        await stop.wait()
        measuring.cancel(reason="asked to stop")
        linkage.hurry()
        with trio.move_on_after(drain) as draining:
            await device.emptied()
        device.leaving = True
        device.wake()
        if not draining.cancelled_caught and device.linked:
            await trio.sleep(BYE_SECONDS)
        nursery.cancel_scope.cancel(reason="no time left")
    if stopped is not None:
        raise stopped


async def _cancel_at(event: trio.Event, scope: trio.CancelScope) -> None:
    await event.wait()
    scope.cancel(reason="asked to stop")


def members_of(
    scenario: Scenario, models: Callable[[str], Model | None], tokens: dict[str, str], seed: int | None = None
) -> list[Member]:
    """The devices of a scenario, each with a seed of its own. Raises ModelError when a model is not there."""
    seed = scenario.seed if seed is None else seed
    members: list[Member] = []
    for group in scenario.groups:
        model = models(group.model)
        if model is None:
            raise ModelError(f"the scenario {scenario.name} wants a model {group.model!r}, which is not there")
        for name in group.names():
            own = seed_of(seed, name)
            distort = Distortion(group.sensors, own) if group.sensors else None
            source = Simulated(physics_of(model, own), model, period=group.period, batch=group.batch, distort=distort)
            delay = scenario.ramp * len(members) / max(1, scenario.devices)
            members.append(Member(name, source, tokens[name], delay, group.link))
    return members
