"""What goes wrong in a run: drawn from the seed, and aimed at moments when something is not synced yet."""

import random
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import trio

from hub.control.errors import ControlRefused
from hub.state import StateError
from tests.simulation.files import SimulatedFiles
from tests.simulation.life import Killed
from tests.simulation.running import JOURNAL_WORKER, STORE_WORKER, HubKeeper

if TYPE_CHECKING:
    from tests.simulation.world import World

#: Calls of the hub's two disks and steps of the hub, as often as they are worth it.
MOMENTS: Final = (
    *("disk:sync",) * 4, *("disk:append",) * 2, "disk:rename", "disk:sync_directory", "disk:remove", "disk:open",
    "roll", "append", "marks", "sync", "archive", "collect", *("account",) * 2,
)  # fmt: skip
STORE_MOMENTS: Final = (*("store:sync",) * 3, *("store:append",) * 3, "store:rename", "apply", "commit")
DEVICE_MOMENTS: Final = (*("disk:sync",) * 3, "disk:append", "disk:rename", "disk:sync_directory", "disk:remove")
PATIENCE_SECONDS: Final = 1.0  # until a moment that does not come is waited for no more
POWER: Final = 0.6  # share of deaths that are power cuts
HOUR: Final = 3_600_000_000  # us
TEN_YEARS: Final = 87_660 * HOUR


class Trouble:
    """All of it for one run; every method ends by itself or with the time of trouble."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self._chance: random.Random = world.chance
        self._keeper: HubKeeper = world.keeper

    async def of_hub(self) -> None:
        """Deaths of the hub, and what its disks and its clock do to it; one after the other."""
        kinds = [self.dies, self.dies, self.dies_in_store, self.sync_fails, self.sync_fails, self.store_refuses,
                 self.disk_full, self.store_full, self.stalls, self.stalls, self.restarts]  # fmt: skip
        kinds.append(self.clock_leaps if self._keeper.retention else self.clock_jumps)
        while True:
            self._chance.shuffle(kinds)
            for kind in kinds:
                await trio.sleep(self._chance.uniform(0.05, 0.3))
                await self._keeper.up.wait()
                self._world.note("trouble", kind.__name__)
                await kind()

    async def dies(self) -> None:
        """At a moment: the n-th call of its disk, or step, from now."""
        await self._dies_at(self._chance.choice(MOMENTS))

    async def dies_in_store(self) -> None:
        """The same, of the disk of its store."""
        await self._dies_at(self._chance.choice(STORE_MOMENTS))

    async def _dies_at(self, where: str) -> None:
        life, nth = self._keeper.life, self._chance.choice((1, 1, 2, 3))
        life.trap(where, nth, silently=self._silently())
        with trio.move_on_after(PATIENCE_SECONDS):
            while not life.dead:  # noqa: ASYNC110  (virtual time)
                await trio.sleep(0.1)
        life.end(silently=self._silently())

    async def sync_fails(self) -> None:
        """Of the journal; its pages are gone, and perhaps the power soon is, too."""
        self._keeper.disk.fail("sync")
        await trio.sleep(self._chance.uniform(0.05, 0.25))
        if self._chance.random() < 0.8:
            self._keeper.life.end(silently=True)

    async def store_refuses(self) -> None:
        """One call of its disk fails."""
        self._keeper.store_disk.fail(self._chance.choice(("sync", "append")))

    async def disk_full(self) -> None:
        """Of the journal; perhaps it dies meanwhile."""
        await self._full(self._keeper.disk, self._chance.uniform(0.2, 0.8))

    async def store_full(self) -> None:
        """Long enough to fall behind what is in memory."""
        await self._full(self._keeper.store_disk, self._chance.uniform(0.5, 2.0))

    async def _full(self, disk: SimulatedFiles, seconds: float) -> None:
        life = self._keeper.life
        disk.capacity = disk.used()
        await trio.sleep(seconds)
        if self._chance.random() < 0.6:
            life.end(silently=self._silently())
        disk.capacity = None

    async def stalls(self) -> None:
        """A disk takes its time; perhaps it dies meanwhile."""
        life, seconds = self._keeper.life, self._chance.uniform(0.2, 0.6)
        life.workers[self._chance.choice((JOURNAL_WORKER, JOURNAL_WORKER, STORE_WORKER))].stall(seconds)
        await trio.sleep(seconds * 0.9)
        if self._chance.random() < 0.8:
            life.end(silently=self._silently())

    async def restarts(self) -> None:
        """It is stopped, and started again."""
        self._keeper.stop.set()

    async def clock_jumps(self) -> None:
        """Its wall clock: an hour, or back."""
        self._keeper.clock.offset = self._chance.choice((-HOUR, 0, HOUR))

    async def clock_leaps(self) -> None:
        """Its wall clock: ten years ahead, by which nothing may expire, or back."""
        self._keeper.clock.offset = self._chance.choice((0, TEN_YEARS))

    def _silently(self) -> bool:
        return self._chance.random() < POWER or self._world.outcome.power

    async def of_devices(self) -> None:
        """They die, at any time or at a moment, and their disks fail or are full."""
        while True:
            await trio.sleep(self._chance.uniform(0.1, 0.5))
            place = self._chance.choice(self._world.places)
            life, disk, kind = place.life, place.disk, self._chance.random()
            if life is None or place.device is None:
                continue
            if disk is None or kind < 0.3:
                life.end(silently=self._silently())
            elif kind < 0.7:
                life.trap(
                    self._chance.choice(DEVICE_MOMENTS), self._chance.choice((1, 1, 2)), silently=self._silently()
                )
            elif kind < 0.9:
                disk.fail(self._chance.choice(("sync", "append", "rename")))
            else:
                disk.capacity = disk.used()
                await trio.sleep(self._chance.uniform(0.2, 1.0))
                disk.capacity = None

    async def of_network(self) -> None:
        """Links are reset, deaf, half-open, stalled, or given up by devices that dial anew."""
        while True:
            await trio.sleep(self._chance.uniform(0.05, 0.3))
            self._world.note("network", self._world.network.disturb())

    async def commands(self) -> None:
        """Operators send commands meanwhile."""
        for n in range(12):
            await trio.sleep(self._chance.uniform(0.1, 0.5))
            place = self._chance.choice(self._world.places)
            if self._keeper.house is not None and self._keeper.up.is_set():
                with suppress(ControlRefused, StateError, Killed):
                    await self._keeper.house.router.send(place.name, "poke", {"n": n}, 5.0, "simulation")
