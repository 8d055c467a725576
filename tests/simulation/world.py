"""One run: a hub, twenty devices, a network and disks, trouble drawn from the seed, and then peace."""

import gc
import hashlib
import logging
import random
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final
from unittest import mock

import trio

from hub import crashpoints
from tests.simulation.api import Outcome
from tests.simulation.checker import check
from tests.simulation.clock import JumpClock
from tests.simulation.device import Place
from tests.simulation.files import SimulatedFiles
from tests.simulation.hub import closed_doors, enrolled, make_folder
from tests.simulation.network import Network
from tests.simulation.record import Note, Record, recorded
from tests.simulation.running import HubKeeper
from tests.simulation.trouble import Trouble
from tests.simulation.websocket import light_dial

DEVICES: Final = 20
TROUBLE_SECONDS: Final = 3.2
QUIET_SECONDS: Final = 0.3  # of measuring without trouble, before the end
PEACE_SECONDS: Final = 900.0  # by then everything must be settled: a pause for flapping is 300 s
SPOOL: Final = Path("/spool")


class World:
    """See the module. ``peace``: nothing more goes wrong, and nothing more is measured by who starts."""

    def __init__(self, outcome: Outcome, *, show: bool = False) -> None:
        self.outcome = outcome
        self.chance = random.Random(outcome.seed)
        self.clock = JumpClock()
        self.network = Network(self.clock, self.chance)
        self.places: list[Place] = []
        self.peace = False
        self.keeper = HubKeeper(self, retention=outcome.seed % 2 == 0)
        self._by_token: dict[str, tuple[Record, Note]] = {}
        self._show = show
        self._hash = hashlib.blake2b(digest_size=8)

    # --- what happens -------------------------------------------------------------------------------------------

    def note(self, *what: object) -> None:
        """Part of the trace."""
        line = f"{self.clock.now:.4f} {' '.join(map(str, what))}\n"
        self._hash.update(line.encode())
        if self._show:
            sys.stdout.write(line)

    def died(self, who: str, *, silently: bool) -> None:
        """A process was killed, or its machine lost its power."""
        self.outcome.kills += not silently
        self.outcome.power_cuts += silently
        self.note(who, "loses its power" if silently else "is killed")

    def cut_power(self, disk: SimulatedFiles) -> None:
        """What is not synced on this disk may be lost."""
        self.outcome.unsynced_bytes += disk.unsynced()
        disk.power_cut(self.chance.choice((0.0, 0.0, 0.5, 0.9)))

    # --- the run ------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """All of it; the outcome is filled in."""
        folder = make_folder(DEVICES)
        dial = recorded(light_dial, self._by_token.__getitem__)
        try:
            with (
                _determined(self.outcome.seed),
                closed_doors(self.keeper.store_disk),
                mock.patch("devices.link.dial", dial),
            ):
                trio.run(self._main, folder, clock=self.clock)
        finally:
            crashpoints.armed = None
            shutil.rmtree(folder)
        self.outcome.trace = self._hash.hexdigest()

    async def _main(self, folder: Path) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.keeper.keep, folder)
            await self.keeper.up.wait()
            for number, (name, token) in enumerate(enrolled(DEVICES)[1].items()):
                place = Place(self, name, token, SimulatedFiles(number) if number % 2 else None)
                self.places.append(place)
                self._by_token[token] = (place.record, partial(self.note, name))
                nursery.start_soon(place.keep, SPOOL)
            trouble = Trouble(self)
            with trio.move_on_after(TROUBLE_SECONDS):
                async with trio.open_nursery() as troubles:
                    for make in (trouble.of_hub, trouble.of_devices, trouble.of_network, trouble.commands):
                        troubles.start_soon(make)
            await self._make_peace()
            self.outcome.virtual_seconds = round(self.clock.now, 3)
            nursery.cancel_scope.cancel()

    async def _make_peace(self) -> None:
        self.note("peace")
        for disk in (self.keeper.disk, self.keeper.store_disk, *(place.disk for place in self.places)):
            if disk is not None:
                disk.capacity = None
                disk.heal()
        with trio.move_on_after(PEACE_SECONDS) as waiting:
            await trio.sleep(QUIET_SECONDS)
            self.peace = True
            for place in self.places:
                place.measuring.cancel()
            for place in self.places:
                while place.device is None:  # noqa: ASYNC110  (restarts are few)
                    await trio.sleep(0.1)
                await place.device.emptied()
            await self.keeper.up.wait()
            assert self.keeper.house is not None
            while any(one["lag"] for one in self.keeper.house.followers.status()):  # noqa: ASYNC110
                await trio.sleep(0.1)
            await check(self)
        if waiting.cancelled_caught:
            self.outcome.problems.append("not everything was settled in time")


@contextmanager
def _determined(seed: int) -> Iterator[None]:
    """Trio's scheduler draws from the seed; nobody logs; garbage is not looked for."""
    core = trio._core._run  # type: ignore[attr-defined]
    before, core._ALLOW_DETERMINISTIC_SCHEDULING = core._ALLOW_DETERMINISTIC_SCHEDULING, True
    core._r.seed(seed)
    logging.disable(logging.CRITICAL)
    gc.disable()
    try:
        yield
    finally:
        core._ALLOW_DETERMINISTIC_SCHEDULING = before
        logging.disable(logging.NOTSET)
        gc.enable()


__all__ = ["World"]
