"""Keeps the simulated hub running, life after life, and ends a life where it is asked to."""

from pathlib import Path
from typing import TYPE_CHECKING, Final

import trio

import hub.app
from hub import crashpoints
from hub.journal import JournalFailed
from hub.ports import Ports
from hub.wire.shapes import Presence
from tests.simulation.clock import Chance, WallClock
from tests.simulation.files import SimulatedFiles
from tests.simulation.hub import settings
from tests.simulation.life import Killed, Life, Worker, only_of

if TYPE_CHECKING:
    from tests.simulation.world import World

JOURNAL_WORKER: Final = 0  # in the order in which run_hub takes them
STATE_WORKER: Final = 1
STORE_WORKER: Final = 2


class HubKeeper:
    """The machine of the hub: two disks, a clock, and the process."""

    def __init__(self, world: "World", *, retention: bool) -> None:
        self.disk = SimulatedFiles(world.outcome.seed)
        self.store_disk = SimulatedFiles(world.outcome.seed + 1)
        self.clock = WallClock(world.clock)
        self.retention = retention
        self.house: hub.app.House | None = None
        self.life = Life(self._die)
        self.up = trio.Event()
        self.stop = trio.Event()
        self._world = world
        self._scope = trio.CancelScope()

    async def keep(self, folder: Path) -> None:
        """Start it whenever it is down."""
        world = self._world
        configured = settings(folder, retention=self.retention)
        while True:
            life = self.life = Life(self._die)
            self._scope, self.stop = trio.CancelScope(), trio.Event()
            ports = Ports(
                self.clock,
                Chance(world.chance),
                world.network,
                self.disk,
                lambda: Worker(self.life, world.clock, world.chance),
            )  # type: ignore[arg-type]
            crashpoints.armed = only_of(life)
            self.disk.on_call, self.store_disk.on_call = life.calls_of("disk"), life.calls_of("store")
            why = "stopped"
            try:
                with self._scope:
                    async with trio.open_nursery() as nursery:
                        self.house = await nursery.start(hub.app.run_hub, configured, ports, self.stop)
                        self.house.registry.on_presence.append(self._presence)
                        self.up.set()
                        world.note("the hub is up", self.house.journal.durable)
            except* (Killed, JournalFailed, hub.app.HubError) as ended:
                why = type(_first(ended)).__name__
            self._bury(life, why)
            await trio.sleep(world.chance.uniform(0.05, 0.4))

    def _bury(self, life: Life, why: str) -> None:
        self.up = trio.Event()
        self._world.note("the hub is down", "power cut" if life.silently else "killed" if life.dead else why)
        if not life.dead:
            self._world.network.hub_died(silently=False)
        self.disk.on_call = self.store_disk.on_call = None
        for disk in (self.disk, self.store_disk):
            disk.unlock()
            if life.silently:
                self._world.cut_power(disk)

    def _die(self) -> None:
        self._world.died("the hub", silently=self.life.silently)
        self._world.network.hub_died(silently=self.life.silently)
        self._scope.cancel()

    def _presence(self, presence: Presence) -> None:
        self._world.outcome.takeovers += presence["reason"] == "taken over"
        assert self.house is not None
        credit = self.house.rooms.ingest.credit
        if not 0 <= credit.granted <= credit._budget:
            self._world.outcome.problems.append(f"{credit.granted} bytes are granted, of {credit._budget}")


def _first(group: BaseException) -> BaseException:
    while isinstance(group, BaseExceptionGroup):
        group = group.exceptions[0]
    return group
