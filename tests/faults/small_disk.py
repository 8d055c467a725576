"""A disk that is full: a real file system of a few MiB, filled while a fleet streams, and grown again."""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import trio

from hub.client.shell import Operator, connect
from tests.end_to_end.processes import HubProcess
from tests.faults.disturbed import more_acked, must, target_of
from tests.faults.record import RecordedFleet

DEVICES = 10
MIB = 1024 * 1024
SIZE_MB, GROWN_MB, RESERVE_MB = 24, 96, 4
BALLAST_LEFT = 3 * MIB  # bytes that the ballast leaves free: a few seconds of streaming fill them
PATIENCE_SECONDS = 60.0
STILL_SECONDS = 3.0  # in which nothing is acked
FULL = "disk of the journal is full"


class NoDisk(Exception):
    """No file system can be mounted here; the text says why."""


@contextmanager
def small_disk(disk: Path) -> Iterator[None]:
    """A file system of SIZE_MB in place of the directory, with what is in it; NoDisk where none can be mounted."""
    before = disk.with_name(f"{disk.name}-before")
    disk.rename(before)
    disk.mkdir()
    options = f"size={SIZE_MB}m,mode=700"
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", disk], capture_output=True, check=False)
    if done.returncode:
        raise NoDisk(done.stderr.decode().strip())
    try:
        shutil.copytree(before, disk, dirs_exist_ok=True)
        yield
    finally:
        subprocess.run(["umount", "-l", disk], check=True)


@contextmanager
def elsewhere(folder: Path, place: Path) -> Iterator[None]:
    """The directory ``folder`` lies on the disk of ``place`` from now on; NoDisk where nothing can be mounted."""
    folder.mkdir(parents=True, exist_ok=True)
    place.mkdir()
    done = subprocess.run(["mount", "--bind", place, folder], capture_output=True, check=False)
    if done.returncode:
        raise NoDisk(done.stderr.decode().strip())
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def free(disk: Path) -> int:
    """Bytes."""
    space = os.statvfs(disk)
    return space.f_bavail * space.f_frsize


@dataclass
class Fullness:
    """Fills ``disk`` and grows it again. ``reserve``: whether the hub's reserve is on it. Seconds, once told."""

    disk: Path
    reserve: bool = True
    full_s: float = 0.0
    resumed_s: float = 0.0
    healthy_s: float = 0.0

    async def disturb(self, hub: HubProcess, fleet: RecordedFleet) -> None:
        """While it is full acks stop and nothing else; with space again all goes on by itself."""
        await more_acked(fleet, 200)
        pid = hub.pid
        async with connect(target_of(hub)) as operator:
            await self._fill(operator)
            await trio.sleep(2.0)  # what was on its way has arrived; devices run dry
            still, links = fleet.acked, (await operator.call("status"))["links"]
            await trio.sleep(STILL_SECONDS)
            must(fleet.acked == still, "something is acked while the disk is full")
            must((await operator.call("status"))["links"] == links == DEVICES + 1, "links are lost")
            with trio.fail_after(20):
                sent = await operator.send_command("counter-0", "nothing", {}, 15.0)
            must(sent["state"] == "rejected", f"the device does not answer: {sent}")
            await self._grow(operator, fleet, still)
        must(hub.pid == pid and hub.process is not None and hub.process.poll() is None, "the hub has ended")

    async def _fill(self, operator: Operator) -> None:
        await trio.to_thread.run_sync((self.disk / "ballast").write_bytes, bytes(free(self.disk) - BALLAST_LEFT))
        began = time.monotonic()
        with trio.fail_after(PATIENCE_SECONDS):
            while not await self._given_up(operator):
                more = max(0, free(self.disk) - 65_536)  # somebody else fills the rest
                with (self.disk / "ballast").open("ab") as file:
                    file.write(bytes(min(more, MIB // 2)))
                await trio.sleep(0.1)
        self.full_s = round(time.monotonic() - began, 2)

    async def _given_up(self, operator: Operator) -> bool:
        """Whether the hub says that its disk is full and has given up its reserve: that comes a moment later."""
        problems = (await operator.call("status"))["problems"]
        return any(FULL in problem for problem in problems) and not (self.reserve and (self.disk / "reserve").exists())

    async def _grow(self, operator: Operator, fleet: RecordedFleet, still: int) -> None:
        command = ["mount", "-o", f"remount,size={GROWN_MB}m", str(self.disk)]
        await trio.to_thread.run_sync(lambda: subprocess.run(command, check=True))
        began = time.monotonic()
        with trio.fail_after(PATIENCE_SECONDS):
            while fleet.acked == still:  # noqa: ASYNC110  (another process sets no event here)
                await trio.sleep(0.01)
            self.resumed_s = round(time.monotonic() - began, 2)
            while (await operator.call("status"))["problems"]:  # noqa: ASYNC110  (the same)
                await trio.sleep(0.05)
        self.healthy_s = round(time.monotonic() - began, 2)
        if self.reserve:
            must((self.disk / "reserve").stat().st_size == RESERVE_MB * MIB, "the reserve is not held again")
