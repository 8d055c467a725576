"""One run: a hub, twenty devices, a network and disks, a script of faults drawn from the seed, and then peace."""

import hashlib
import random
import shutil
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Final
from unittest import mock

import trio
from trio.testing import MockClock

import hub.app
from devices.device import Device
from devices.disk import CommandBook, DiskSpool
from devices.link import Linkage
from devices.link import dial as honest_dial
from devices.report import Figures
from devices.spool import MemorySpool
from hub.client import Target
from hub.control.errors import ControlRefused
from hub.journal import JournalFailed
from hub.ports import InlineWorker, Ports
from hub.wire.messages import Row
from hub.wire.operator import Presence
from tests.simulation.api import Outcome
from tests.simulation.checker import check
from tests.simulation.files import SimulatedFiles
from tests.simulation.hub import METRICS, MODEL, closed_doors, settings
from tests.simulation.network import Network
from tests.simulation.record import Record, recorded

DEVICES: Final = 20
TROUBLE_SECONDS: Final = 8.0
PEACE_SECONDS: Final = 900.0  # by then everything must be settled: a pause for flapping is 300 s
NOON: Final = 1_750_000_000_000_000  # us


class Killed(BaseException):
    """The process is no more."""


class Clock:
    """A wall clock that runs along with trio's, and may be moved."""

    def __init__(self) -> None:
        self.offset = 0

    def now(self) -> int:
        return NOON + self.offset + int(trio.current_time() * 1e6)

    def monotonic(self) -> float:
        return trio.current_time()


class Chance:
    """The randomness port; devices are impatient: back-offs stay short."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance

    def token(self, size: int) -> bytes:
        return self._chance.randbytes(size)

    def uniform(self, low: float, high: float) -> float:
        return self._chance.uniform(low, min(high, 2.0))


class Counting:
    """A device's source: n, n + 1, ... over all its lives, so that no two readings are alike."""

    model, metrics, commands = MODEL.name, METRICS, MODEL.commands
    properties: ClassVar[Any] = {}

    def __init__(self, record: Record, period: float) -> None:
        self.period = period
        self.made = 0
        self.handlers = {"poke": self._poke}
        self._record = record

    def set_property(self, name: str, value: object) -> bool:
        return False

    async def sample(self, time: int) -> list[Row]:
        self.made += 2
        return [Row(0, time, [self.made - 1]), Row(0, time + 1, [self.made])]

    async def _poke(self, arguments: Any, progress: Callable[..., None]) -> int:
        self._record.executed.append(arguments["n"])
        await trio.sleep(0.2)
        return int(arguments["n"])


@dataclass(eq=False)
class Place:
    """Where a device stands: what outlives it."""

    name: str
    token: str
    source: Counting
    record: Record
    disk: SimulatedFiles | None
    device: Device | None = None
    scope: trio.CancelScope = field(default_factory=trio.CancelScope)
    measuring: trio.CancelScope = field(default_factory=trio.CancelScope)


class World:
    """See the module."""

    def __init__(self, outcome: Outcome) -> None:
        self.outcome = outcome
        self.chance = random.Random(outcome.seed)
        self.disk = SimulatedFiles(outcome.seed)
        self.store_disk = SimulatedFiles(outcome.seed + 1)
        self.network = Network(self.chance)
        self.clock = Clock()
        self.records: dict[str, Record] = {}
        self.places: list[Place] = []
        self.house: hub.app.House | None = None
        self.commands: list[tuple[str, int, str]] = []  # device, n, id
        self._hub = trio.CancelScope()
        self._up = trio.Event()
        self._silently = False
        self._peace = False
        self._hash = hashlib.sha256()

    def note(self, *what: object) -> None:
        """Part of the trace."""
        self._hash.update(f"{trio.current_time():.6f} {what}\n".encode())

    def run(self) -> None:
        """All of it; the outcome is filled in."""
        folder = Path(tempfile.mkdtemp(prefix="simulation-"))
        core = trio._core._run  # type: ignore[attr-defined]
        before, core._ALLOW_DETERMINISTIC_SCHEDULING = core._ALLOW_DETERMINISTIC_SCHEDULING, True
        core._r.seed(self.outcome.seed)
        dial = recorded(honest_dial, self.records, self.note)
        try:
            (folder / "data").mkdir()
            with closed_doors(self.store_disk), mock.patch("devices.link.dial", dial):
                trio.run(self._main, folder, clock=MockClock(autojump_threshold=0))
        finally:
            core._ALLOW_DETERMINISTIC_SCHEDULING = before
            shutil.rmtree(folder)
        self.outcome.trace = self._hash.hexdigest()[:16]

    async def _main(self, folder: Path) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._keep_hub, folder)
            await self._up.wait()
            assert self.house is not None
            for number in range(DEVICES):
                nursery.start_soon(self._keep_device, await self._place(number))
            with trio.move_on_after(TROUBLE_SECONDS):
                async with trio.open_nursery() as trouble:
                    for make in (self._kill_hubs, self._kill_devices, self._disturb, self._command, self._refuse):
                        trouble.start_soon(make)
            await self._make_peace()
            self.outcome.virtual_seconds = trio.current_time()
            nursery.cancel_scope.cancel()

    async def _make_peace(self) -> None:
        self._peace = True
        self.disk.capacity = self.store_disk.capacity = None
        with trio.move_on_after(PEACE_SECONDS) as waiting:
            await trio.sleep(3.0)
            for place in self.places:
                place.measuring.cancel()
            for place in self.places:
                while place.device is None:  # noqa: ASYNC110  (restarts are few)
                    await trio.sleep(0.1)
                await place.device.emptied()
            await self._up.wait()
            assert self.house is not None
            while any(one["lag"] for one in self.house.followers.status()):  # noqa: ASYNC110
                await trio.sleep(0.1)
            await check(self)
        if waiting.cancelled_caught:
            self.outcome.problems.append("not everything was settled in time")

    # --- the hub ---------------------------------------------------------------------------------------------------

    async def _keep_hub(self, folder: Path) -> None:
        ports = Ports(self.clock, Chance(self.chance), self.network, self.disk, InlineWorker)  # type: ignore[arg-type]
        while True:
            self._silently = False
            try:
                with trio.CancelScope() as self._hub:
                    async with trio.open_nursery() as nursery:
                        self.house = await nursery.start(hub.app.run_hub, settings(folder), ports, trio.Event())
                        self.house.registry.on_presence.append(self._presence)
                        self._up.set()
            except* (Killed, JournalFailed, hub.app.HubError):
                pass
            self._up = trio.Event()
            self.note("the hub is down", self._silently)
            self.network.hub_died(silently=self._silently)
            self.disk.on_call = self.store_disk.on_call = None
            if self._silently:
                self._cut_power(self.disk)
                self._cut_power(self.store_disk)
            await trio.sleep(self.chance.uniform(0.1, 1.0))

    def _presence(self, presence: Presence) -> None:
        self.outcome.takeovers += presence["reason"] == "taken over"

    def _cut_power(self, disk: SimulatedFiles) -> None:
        self.outcome.unsynced_bytes += sum(inode.unsynced for inode in disk._names.values())
        disk.power_cut(self.chance.choice((0.0, 0.5, 0.9)))

    async def _kill_hubs(self) -> None:
        """At the n-th call of a disk from now, by a signal or a power cut."""
        for _ in range(self.chance.randint(1, 3)):
            await trio.sleep(self.chance.uniform(0.5, 3.0))
            await self._up.wait()
            left = self.chance.randint(1, 12)
            silently = self.chance.random() < 0.6

            def call(what: str, silently: bool = silently) -> None:
                nonlocal left
                left -= 1
                if left == 0:
                    self._silently = silently
                    self.outcome.power_cuts += silently
                    self.outcome.kills += not silently
                    self._hub.cancel()
                if left <= 0:
                    raise Killed

            self.chance.choice((self.disk, self.store_disk)).on_call = call

    # --- devices ---------------------------------------------------------------------------------------------------

    async def _place(self, number: int) -> Place:
        assert self.house is not None
        name = f"counter-{number:02}"
        token = await self.house.registry.enroll(name, {}, "simulation")
        record = self.records[token] = Record()
        source = Counting(record, self.chance.uniform(0.2, 0.8))
        place = Place(name, token, source, record, SimulatedFiles(number) if number % 2 else None)
        self.places.append(place)
        return place

    async def _keep_device(self, place: Place) -> None:
        while True:
            with trio.CancelScope() as place.scope, suppress(OSError):
                await self._live(place)
            place.device = None
            if place.disk is not None:
                for inode in place.disk._names.values():
                    inode.locked = False
                if self.chance.random() < 0.5:
                    self.outcome.power_cuts += 1
                    self._cut_power(place.disk)
            await trio.sleep(self.chance.uniform(0.1, 1.0))

    async def _live(self, place: Place) -> None:
        spool: Any = MemorySpool()
        book = None
        if place.disk is not None:
            spool = DiskSpool(Path("/spool"), place.disk, InlineWorker())
            book = CommandBook(Path("/spool"), place.disk, InlineWorker())
        device = Device(place.name, place.source, spool, Clock(), Figures(), book=book)  # type: ignore[arg-type]
        await device.open()
        target = Target("ws://localhost:1", place.token, proxy="", insecure_ws=True)
        linkage = Linkage(device, target, self.network, Chance(self.chance))
        place.device = device
        async with trio.open_nursery() as nursery:
            for part in (spool.run, device.desk.serve, linkage.keep):
                nursery.start_soon(part)
            with trio.CancelScope() as place.measuring:
                if not self._peace:
                    await device.measure(self.chance.uniform(0.0, 0.5))

    async def _kill_devices(self) -> None:
        for _ in range(self.chance.randint(2, 6)):
            await trio.sleep(self.chance.uniform(0.3, 1.5))
            place = self.chance.choice(self.places)
            self.outcome.kills += 1
            self.note("killed", place.name)
            place.scope.cancel()

    # --- other trouble ---------------------------------------------------------------------------------------------

    async def _disturb(self) -> None:
        while True:
            await trio.sleep(self.chance.uniform(0.1, 0.8))
            self.network.disturb()

    async def _command(self) -> None:
        for n in range(12):
            await trio.sleep(self.chance.uniform(0.2, 0.8))
            place = self.chance.choice(self.places)
            if self.house is not None and self._up.is_set():
                with suppress(ControlRefused):
                    info = await self.house.router.send(place.name, "poke", {"n": n}, 5.0, "simulation")
                    self.commands.append((place.name, n, info["id"]))

    async def _refuse(self) -> None:
        """Full disks, failing syncs, and a wall clock that jumps."""
        while True:
            await trio.sleep(self.chance.uniform(1.0, 3.0))
            disk = self.chance.choice((self.disk, self.store_disk))
            what = self.chance.choice(("sync", "full", "clock"))
            if what == "sync":
                disk.fail("sync")
            elif what == "clock":
                self.clock.offset = self.chance.choice((-3_600_000_000, 0, 3_600_000_000))
            else:
                disk.capacity = disk.used()
                await trio.sleep(self.chance.uniform(0.3, 1.0))
                disk.capacity = None


__all__ = ["World"]
