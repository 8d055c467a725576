"""The spool on disk has a bound, whether the hub acks or not."""

import errno
from dataclasses import dataclass, field

import pytest
import trio
from trio.testing import MockClock

from devices.disk import DiskSpool
from devices.disk.files import RECORD_BYTES
from hub.ports import InlineWorker
from hub.wire.messages import Event
from hub.wire.ranges import Ranges
from tests.devices.spooling import DIRECTORY
from tests.simulation.files import SimulatedFiles

pytestmark = pytest.mark.trio

LIMIT = 64 * 1024


@dataclass
class Watched:
    """A device's disk, and the most that its batches ever took there."""

    files: SimulatedFiles = field(default_factory=SimulatedFiles)
    most: int = 0

    def sizes(self) -> list[int]:
        """Of the files of batches."""
        names = [name for name in self.files.list(DIRECTORY) if name.endswith(".batches")]
        return [len(self.files.read(DIRECTORY / name)) for name in names]

    def look(self, what: str) -> None:
        self.most = max(self.most, sum(self.sizes()))


async def fill(watched: Watched, size: int, count: int, every: float) -> DiskSpool:
    """A device that was linked once and then measures ``count`` times, offline; its spool."""
    files = watched.files
    spool = DiskSpool(DIRECTORY, files, InlineWorker(), LIMIT)
    await spool.open()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(spool.run)
        await spool.renumber(1, "log", True, Ranges())
        files.on_call = watched.look
        for number in range(count):
            spool.append(Event(0, number, "info", "x" * size), 1, 0.0)
            await trio.sleep(every)
        await trio.sleep(2)
        nursery.cancel_scope.cancel()
    await spool.close()
    return spool


@pytest.mark.parametrize(("size", "every"), [(100, 0.01), (5_000, 0.2), (5_000, 0.01), (60_000, 0.01)])
async def test_p3_what_an_offline_device_has_on_disk_is_bounded_by_bytes(
    autojump_clock: MockClock, size: int, every: float
) -> None:
    watched = Watched()
    spool = await fill(watched, size, 4 * LIMIT // size, every)
    assert LIMIT // 2 < watched.most <= LIMIT + size + 100 + RECORD_BYTES
    assert spool.dropped > 0


async def test_p3_what_waited_for_a_disk_that_refused_goes_to_more_than_one_file(autojump_clock: MockClock) -> None:
    watched, refuses = Watched(), True
    files = watched.files

    def refuse(what: str) -> None:
        if refuses and what == "append":
            raise OSError(errno.ENOSPC, "no space left")

    spool = DiskSpool(DIRECTORY, files, InlineWorker(), LIMIT)
    await spool.open()
    files.on_call = refuse
    async with trio.open_nursery() as nursery:
        nursery.start_soon(spool.run)
        for number in range(1_000):
            spool.append(Event(0, number, "info", "x" * 100), 1, 0.0)
        await trio.sleep(1)
        refuses = False
        await spool.flush()
        nursery.cancel_scope.cancel()
    await spool.close()
    sizes = watched.sizes()
    assert sum(sizes) > LIMIT // 4
    assert max(sizes) <= LIMIT // 16 + 100 + 100 + RECORD_BYTES  # a file and the batch that filled it
