"""The spool on disk through power cuts and kills at every call it makes of the disk (P2, P3).

The bugs that are planted at the end show that these tests can fail.
"""

import copy
import random
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from devices.disk import DiskSpool
from devices.disk.files import BatchFile
from devices.disk.files import SpoolFiles as Disk
from devices.disk.numbers import Numbers
from devices.line import Held
from hub.ports import Files, Worker
from hub.wire.ranges import Ranges
from tests.devices.spooling import DIRECTORY, Hub, Life, PowerCut, SlowWorker, chance_of, cut_at, killed, live
from tests.simulation.files import SimulatedFiles

Spools = Callable[[SimulatedFiles, int], DiskSpool]
ROOMY = 1 << 20  # bytes: nothing is ever given up
SMALL = 32 * 1024  # most of what is held is on disk only, and some of it is given up
TINY = 8 * 1024


async def wander(life: Life, chance: random.Random, most: int) -> None:
    """Whatever can happen to a device that is on; it makes up to ``most`` batches at a time."""
    spool = life.spool
    for _ in range(chance.randint(3, 30)):
        what = chance.random()
        if what < 0.25:
            life.make(chance.randint(1, most))
        elif what < 0.5:
            await trio.sleep(chance.choice([0.0, 0.001, 0.01, 0.06, 0.3, 1.2]))
        elif what < 0.6 or life.session is None:
            if chance.random() < 0.1 and life.hub.marks.current:
                life.hub.forget_log()
            await life.link()
        elif what < 0.85:
            await life.send(chance.randint(1, 30))
        elif what < 0.92:
            await life.ack()
        elif what < 0.98:
            await life.send(chance.randint(1, 10), arrive=False)
            life.session = None
        else:
            life.session = None
            life.aside += spool.set_aside(spool.acked + chance.randint(0, 3), "poison")


class Trial:
    """Lives of one device, drawn from a seed, and what must be true after them."""

    def __init__(self, seed: int, limit: int = ROOMY, spools: Spools | None = None) -> None:
        self.chance = chance_of(seed)
        self.limit = limit
        self.spools = spools
        self.files = SimulatedFiles(seed)
        self.hub = Hub()
        self.made: list[float] = []
        self.durable: set[float] = set()  # synced when a life ended
        self.given_up = 0  # batches
        try:
            for _ in range(4):
                self.live_on()
            self.live_out()
        except BaseException as error:
            error.add_note(f"Trial({seed}, {limit})")
            raise

    def life(self) -> Life:
        spool = self.spools(self.files, self.limit) if self.spools else None
        return Life(self.files, self.hub, self.made, self.limit, spool)

    def live_on(self) -> None:
        """Wander until the power fails, the process is killed, or it ends as it should."""
        life, chance = self.life(), self.chance
        end = chance.choice(["power cut", "power cut", "kill", "close"])
        if end != "close":
            cut_at(self.files, chance.randint(1, 60))
        script = partial(wander, chance=chance, most=12 if self.limit == ROOMY else 60)
        closes = end == "close" or chance.random() < 0.5
        try:
            trio.run(partial(live, life, script, close=closes), clock=MockClock(autojump_threshold=0))
        except* PowerCut:
            pass
        self.files.on_call = None
        self.durable |= life.on_disk()
        self.given_up += life.spool.dropped + life.aside
        if end == "power cut":
            self.files.power_cut(chance.choice([0.0, 0.5, 1.0]))
        else:
            killed(self.files)

    def live_out(self) -> None:
        """A last life, in which the hub gets all that is left; then the account."""
        life = self.life()

        async def drain(life: Life) -> None:
            await life.link()
            await life.drain()

        trio.run(live, life, drain, clock=MockClock(autojump_threshold=0))
        assert self.hub.through == life.spool.next - 1, "a number is neither kept nor declared"
        assert not self.hub.missing, "a hole that was not declared"
        stored = Counter((log, value) for value, keys in self.hub.stored.items() for log, _, _ in keys)
        assert max(stored.values(), default=0) <= 1, "a reading is stored twice"
        lost = self.durable - self.hub.stored.keys()
        assert len(lost) <= self.given_up, f"synced and lost: {sorted(lost)}"


@pytest.mark.parametrize("limit", [ROOMY, SMALL, TINY])
def test_p3_no_number_is_used_twice_and_nothing_synced_is_lost(limit: int) -> None:
    for seed in range(150):
        Trial(seed, limit)


def after_power_cut(files: SimulatedFiles) -> SimulatedFiles:
    """What would be on the platter if the power failed now and nothing unsynced had reached it."""
    on_call, files.on_call = files.on_call, None
    left = copy.deepcopy(files)
    files.on_call = on_call
    left.power_cut(keep=0.0)
    return left


def numbers_on(files: SimulatedFiles) -> Numbers:
    return Disk(DIRECTORY, files).load_numbers()[0] or Numbers()


async def stream(life: Life, rounds: int) -> None:
    """A quick device on a good link."""
    await life.link()
    for _ in range(rounds):
        life.make(30)
        await life.send(40)
        await life.ack()
        await trio.sleep(0.01)


def watch(seed: int, spools: Spools | None = None) -> int:
    """A life in which, at every call of the disk and whenever a batch leaves, the disk alone knows of every number that
    has left, and of its epoch; how many have."""
    files, hub, chance = SimulatedFiles(seed), Hub(), chance_of(seed)
    highest: dict[tuple[str, int], int] = {}

    def look(what: str) -> None:
        numbers = numbers_on(after_power_cut(files))
        known = highest.get((numbers.log or "", numbers.epoch or 0), 0)
        assert numbers.reserved >= known, f"at {what}: {known} has left, {numbers.reserved} is reserved"

    def leaves(log: str, epoch: int, seq: int) -> None:
        numbers = numbers_on(after_power_cut(files))
        assert (numbers.log, numbers.epoch) == (log, epoch), "the epoch is not on disk"
        highest[log, epoch] = seq
        look("send")

    async def script(life: Life) -> None:
        hub.on_sent, files.on_call = leaves, look
        for _ in range(2):
            await wander(life, chance, 40)
            await stream(life, 30)
        files.on_call = None

    life = Life(files, hub, [], spool=spools(files, ROOMY) if spools else None)
    trio.run(live, life, script, clock=MockClock(autojump_threshold=0))
    return sum(highest.values())


def test_p3_p2_a_number_and_its_epoch_are_on_disk_before_it_leaves() -> None:
    assert sum(map(watch, range(3))) > 500


def test_p3_an_ack_and_a_hole_are_on_disk_before_what_they_cover_is_discarded() -> None:
    files, hub, chance = SimulatedFiles(), Hub(), chance_of(1)
    life = Life(files, hub, [], limit=SMALL)
    there: dict[str, list[int]] = {}
    removed = 0

    def look(what: str) -> None:
        nonlocal removed
        files.on_call = None
        disk = Disk(DIRECTORY, files)
        now = disk.batch_files()
        gone = [place for name in there.keys() - set(now) for place in there.pop(name)]
        if gone:
            numbers = numbers_on(after_power_cut(files))
            known = Ranges([(1, numbers.acked), *((hole.first, hole.last) for hole in numbers.holes)])
            seqs = [numbers.numbering.seq(place) for place in gone]
            assert all(seq is None or seq in known for seq in seqs)
            removed += len(gone)
        if what in {"remove", "sync_directory"}:
            there.update({name: [batch.place for batch in disk.read_batches(name)[0]] for name in now})
        files.on_call = look

    async def script(life: Life) -> None:
        files.on_call = look
        await life.link()
        for _ in range(60):
            life.make(60)
            await trio.sleep(0.1)
            if chance.random() < 0.3:
                await life.send(70)
                await life.ack()
        await trio.sleep(2)
        files.on_call = None

    trio.run(live, life, script, clock=MockClock(autojump_threshold=0))
    assert removed > 1000
    assert life.spool.dropped > 1000


# --- bugs, planted -------------------------------------------------------------------------------------------------


class Eager(DiskSpool):
    """Lets a number leave before it is reserved: after a crash it is used again."""

    async def spend(self, held: Held) -> None:
        await trio.lowlevel.checkpoint()


class Shrinking(DiskSpool):
    """Reserves less than before while numbers of the earlier reservation leave."""

    def _reservation(self) -> int:
        reserved, self._reserved = self._reserved, 0
        wanted = super()._reservation()
        self._reserved = reserved
        return wanted


class Hasty(DiskSpool):
    """Sends in a fresh epoch before that is on disk."""

    async def _changed(self) -> None:
        self._generation += 1
        self._reserved = self.next + 16
        self._soon(0.0)


class UnsyncedDisk(Disk):
    def append_batches(self, batches: Sequence[bytes], *, fresh: bool) -> int:
        assert self._batches is not None
        self._batches.append(b"".join(batches))
        return self._batches.size()


class Unsynced(DiskSpool):
    """Says that batches are on disk when they are in the page cache."""

    def __init__(self, directory: Path, files: Files, worker: Worker, limit: int) -> None:
        super().__init__(directory, files, worker, limit)
        self._disk = UnsyncedDisk(directory, files)


class Discarding(DiskSpool):
    """Removes files of batches that are not settled."""

    def _collectable(self) -> list[BatchFile]:
        return [file for file in self._files if file is not self._writing]


class Resending(DiskSpool):
    """Numbers what is held anew after every restart, in the same epoch."""

    async def open(self) -> None:
        await super().open()
        kept = [(item.seq, item.last) for item in self._held if not isinstance(item, Held)]
        self._held = type(self._held)(item for item in self._held if not isinstance(item, Held))
        if kept and self.epoch is not None:
            self._numbering = self._numbering.from_one(kept, self.next)
            self._number_from_one()


def spools(kind: type[DiskSpool]) -> Spools:
    return lambda files, limit: kind(DIRECTORY, files, SlowWorker(), limit)


def caught(planted: type[DiskSpool], seed: int) -> bool:
    """Does a trial or a watch with this seed fail?"""
    found = False
    try:
        Trial(seed, SMALL if seed % 2 else ROOMY, spools(planted))
        if seed % 20 == 0:
            watch(seed, spools(planted))
    except* (AssertionError, FileNotFoundError):
        found = True
    return found


@pytest.mark.parametrize("planted", [Eager, Shrinking, Hasty, Unsynced, Discarding, Resending])
def test_a_planted_bug_is_caught(planted: type[DiskSpool]) -> None:
    assert any(caught(planted, seed) for seed in range(400)), "the planted bug went unnoticed"
