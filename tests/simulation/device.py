"""Where a device stands: its real code on a simulated disk and network, switched off and on again."""

import random
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, Final

import trio

from devices.device import Device
from devices.disk import CommandBook, DiskSpool
from devices.link import Linkage, Stopped
from devices.report import Figures
from devices.spool import MemorySpool, SpoolError
from hub.client import Target
from hub.wire.messages import Row
from tests.simulation.clock import Chance, WallClock
from tests.simulation.files import SimulatedFiles
from tests.simulation.hub import METRICS, MODEL
from tests.simulation.life import Killed, Life, Worker
from tests.simulation.network import Network, Wire
from tests.simulation.record import Record

if TYPE_CHECKING:
    from pathlib import Path

    from tests.simulation.world import World

REJECTED: Final = 9  # every so many readings are below the model's limit
GRID: Final = 0.05  # seconds: many devices measure at the same moment


class Counting:
    """A device's source: 1, 2, ... over all its lives, each reading another; the rejected are negative."""

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
        return [self._reading(time), self._reading(time + 1)]

    def _reading(self, time: int) -> Row:
        self.made += 1
        value = -self.made if self.made % REJECTED == 0 else self.made
        return Row(0, time, [value])

    async def _poke(self, arguments: Any, progress: Callable[..., None]) -> int:
        self._record.executed.append(arguments["n"])
        await trio.sleep(0.2)
        return int(arguments["n"])


class Place:
    """What outlives the device that stands there. Is its streams port, too."""

    def __init__(self, world: "World", name: str, token: str, disk: SimulatedFiles | None) -> None:
        self.name = name
        self.token = token
        self.disk = disk
        self.record = Record()
        self.device: Device | None = None
        self.life: Life | None = None
        self.measuring = trio.CancelScope()
        self._world = world
        self._chance: random.Random = world.chance
        self._network: Network = world.network
        self._source = Counting(self.record, GRID * self._chance.randint(4, 16))
        self._scope = trio.CancelScope()
        self._wire: Wire | None = None

    async def dial(self, host: str, port: int) -> Wire:
        self._wire = await self._network.dial(host, port)
        return self._wire

    async def keep(self, spool: "Path") -> None:
        """Switch it on whenever it is off."""
        while True:
            self.life = Life(self._die)
            self._scope = trio.CancelScope()
            try:
                with self._scope:
                    await self._live(spool, self.life)
            except* Killed:
                self.life.end(silently=False)
            except* (OSError, SpoolError):
                self._give_up()
            except* Stopped as stopped:
                self.record.problems.append(f"gave up: {stopped.exceptions[0]}")
            self.device = None
            self._lose()
            await trio.sleep(self._chance.uniform(0.1, 0.8))

    def _die(self) -> None:
        assert self.life is not None
        if self._wire is not None:
            self._wire.vanish() if self.life.silently else self._wire.reset()
        self._scope.cancel()
        self._world.died(self.name, silently=self.life.silently)

    def _give_up(self) -> None:
        """Its disk refuses, and the process ends by itself: nobody has killed it."""
        assert self.life is not None
        self.life.dead = True
        if self._wire is not None:
            self._wire.reset()
        self._world.note(self.name, "ends: its disk refuses")

    def _lose(self) -> None:
        if self.disk is not None:
            self.disk.unlock()
            if self.life is not None and self.life.silently:
                self._world.cut_power(self.disk)

    async def _live(self, path: "Path", life: Life) -> None:
        spool: Any = MemorySpool()
        book = None
        if self.disk is not None:
            self.disk.on_call = life.calls_of("disk")
            worker = Worker(life, self._world.clock, self._chance)
            spool = DiskSpool(path, self.disk, worker)
            book = CommandBook(path, self.disk, worker)
        clock = WallClock(self._world.clock)
        device = Device(self.name, self._source, spool, clock, Figures(), book=book)
        await device.open()
        target = Target("ws://localhost:1", self.token, proxy="", insecure_ws=True)
        linkage = Linkage(device, target, self, Chance(self._chance))  # type: ignore[arg-type]
        self.device = device
        async with trio.open_nursery() as nursery:
            for part in (spool.run, device.desk.serve, linkage.keep):
                nursery.start_soon(part)
            with trio.CancelScope() as self.measuring:
                if not self._world.peace:
                    now = trio.current_time()
                    await device.measure((now // GRID + self._chance.randint(1, 10)) * GRID - now)
