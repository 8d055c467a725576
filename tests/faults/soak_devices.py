"""The devices of the soak, a process of its own: ``python -m tests.faults.soak_devices FOLDER``.

Reads ``FOLDER/devices.json``. Devices are switched off and on at random, links break at random, some have a spool on
disk. Counts go on where the record of a killed process ended. SIGTERM: measure no more, have all acked, end.
"""

import json
import os
import random
import signal
import sys
from pathlib import Path
from typing import Any

import trio

from devices.device import Device
from devices.faults import FaultyStreams, LinkFaults
from devices.link import Linkage
from devices.report import Figures
from hub.client.dial import Target
from hub.disk import DiskFiles, raise_open_files
from hub.ports import SystemClock, SystemRandomness, TcpStreams, ThreadWorker
from tests.faults.crowd import FILES
from tests.faults.witness import GroupRecord, WitnessedDisk, WitnessedMemory, WitnessedSource, last_numbers

PERIOD = 2.0  # seconds between two readings of a device
CUT_SECONDS = 120.0  # mean life of a link
ON_SECONDS = (60.0, 600.0)  # how long a device is on
RAMP = 100.0  # devices that are switched on each second
TOLD_SECONDS = 1.0
DIALS_AT_ONCE = 16  # as a fleet does: each handshake takes longer the more there are, and a hub waits for 5 s
CLOSE_SECONDS = 120.0  # for a spool on a slow disk; its directory is free again only then


class Herd:
    """All devices, in this process."""

    def __init__(self, folder: Path) -> None:
        told: dict[str, Any] = json.loads((folder / "devices.json").read_text())
        self._folder = folder
        self._tokens: dict[str, str] = told["tokens"]
        self._on_disk = frozenset(told["on_disk"])
        self._target = Target(told["url"], None, Path(told["ca"]), proxy="")
        evidence = Path(told["evidence"])
        self._sent, self._acked = GroupRecord(evidence / "sent.jsonl"), GroupRecord(evidence / "acked.jsonl")
        self._next = {name: number + 1 for name, number in last_numbers(evidence / "sent.jsonl").items()}
        self._figures = Figures()
        self._doorway = trio.CapacityLimiter(DIALS_AT_ONCE)
        self._stop = trio.Event()
        self._restarts = 0

    async def run(self) -> None:
        """Until SIGTERM, and until all is acked then."""
        raise_open_files(FILES)
        async with trio.open_nursery() as background:
            for run in (self._sent.run, self._acked.run, self._tell, self._wait_for_signal):
                background.start_soon(run)
            async with trio.open_nursery() as nursery:
                for at, name in enumerate(self._tokens):
                    nursery.start_soon(self._live, name, at / RAMP)
            background.cancel_scope.cancel(reason="all devices have left")
        await self._sent.sync()
        await self._acked.sync()

    async def _wait_for_signal(self) -> None:
        with trio.open_signal_receiver(signal.SIGTERM) as signals:
            async for _ in signals:
                self._stop.set()

    async def _tell(self) -> None:
        path, draft = self._folder / "status.json", self._folder / "status.tmp"
        while True:
            statistics = trio.lowlevel.current_statistics()
            told = {
                "pid": os.getpid(), "online": self._figures.online, "acked": self._figures.acked,
                "links": self._figures.links, "restarts": self._restarts, "tasks": statistics.tasks_living,
                "blocks": sys.getallocatedblocks(),
            }  # fmt: skip
            draft.write_text(json.dumps(told))
            draft.replace(path)
            await trio.sleep(TOLD_SECONDS)

    async def _live(self, name: str, delay: float) -> None:
        """A device: on, off, and on again."""
        with trio.move_on_after(delay):
            await self._stop.wait()
        while not self._stop.is_set():
            source = WitnessedSource(name, self._sent, PERIOD, self._next.get(name, 0))
            await self._be_on(name, source)
            self._next[name] = source.next
            self._restarts += not self._stop.is_set()

    async def _be_on(self, name: str, source: WitnessedSource) -> None:
        device = Device(name, source, self._spool(name), SystemClock(), self._figures)
        streams = FaultyStreams(TcpStreams(), LinkFaults(cut=CUT_SECONDS), SystemRandomness())
        target = Target(self._target.url, self._tokens[name], self._target.ca, proxy="")
        linkage = Linkage(device, target, streams, SystemRandomness(), self._doorway)
        await device.open()
        try:
            async with trio.open_nursery() as nursery:
                for run in (device.spool.run, linkage.keep):
                    nursery.start_soon(run)
                with trio.move_on_after(random.uniform(*ON_SECONDS)):
                    await self._measure(device)
                if self._stop.is_set():
                    linkage.hurry()
                    await device.emptied()
                nursery.cancel_scope.cancel(reason="switched off")
        finally:
            with trio.move_on_after(CLOSE_SECONDS, shield=True):
                await device.close()

    async def _measure(self, device: Device) -> None:
        """Until the soak ends."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(device.measure, random.uniform(0.0, PERIOD))
            await self._stop.wait()
            nursery.cancel_scope.cancel(reason="asked to stop")

    def _spool(self, name: str) -> WitnessedDisk | WitnessedMemory:
        spool: WitnessedDisk | WitnessedMemory
        if name in self._on_disk:
            spool = WitnessedDisk(self._folder / f"{name}.spool", DiskFiles(), ThreadWorker())
        else:
            spool = WitnessedMemory()
        spool.witness(name, self._acked)
        return spool


if __name__ == "__main__":
    trio.run(Herd(Path(sys.argv[1])).run)
