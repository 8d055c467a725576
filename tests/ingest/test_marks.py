"""Marks are the same whether they lived through it or read it back, and keep each batch once."""

import copy
import json
import random

import pytest
import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.ingest.marks import Marks
from hub.ingest.numbering import Numbering
from hub.wire.kept import Kept
from hub.wire.messages import GOOD, Dropped, Hello, Row
from hub.wire.ranges import Ranges
from hub.wire.records import marks_snapshot
from tests.ingest.house import DECLARED, LOG, NOON, HandClock, House, framed, house
from tests.simulation.files import SimulatedFiles


class Device:
    """What the rules ask of a device (P1 to P4), with each thing it has to say told apart by its value."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.epoch: int | None = None
        self.acked = 0
        self.next = 1
        self.holds: dict[int, float] = {}
        self.said = 0
        self.dropped: set[float] = set()  # what it declared as dropped (an image may have it still)
        self.settled: set[float] = set()  # what it let go of because the hub said that it has it

    def rewound_to(self, image: "Device") -> None:
        """Restored from an image of an earlier day."""
        self.epoch, self.acked, self.next, self.holds = image.epoch, image.acked, image.next, dict(image.holds)

    def measure(self, count: int) -> None:
        for _ in range(count):
            self.said += 1
            self.holds[self.next] = float(self.said)
            self.next += 1

    def hello(self) -> Hello:
        log = None if self.epoch is None else LOG
        first = min(self.holds, default=self.next)
        return Hello("station", self.epoch, log, self.acked, first, self.next, DECLARED[:1], None, None, "test", None)

    def heard(self, epoch: int, through: int, held: tuple[tuple[int, int], ...]) -> None:
        """Welcome came."""
        settled = Ranges([*held, (1, through)])
        rest = {seq: value for seq, value in self.holds.items() if seq not in settled}
        self.settled |= set(self.holds.values()) - set(rest.values())
        if epoch == self.epoch:
            self.holds, self.acked = rest, max(self.acked, through)
        else:
            self.holds = dict(enumerate(rest.values(), start=1))
            self.epoch, self.acked, self.next = epoch, 0, len(rest) + 1

    def ack(self, through: int) -> None:
        self.acked = max(self.acked, through)
        self.settled |= {value for seq, value in self.holds.items() if seq <= through}
        self.holds = {seq: value for seq, value in self.holds.items() if seq > through}


def link(hub: House, device: Device, chance: random.Random) -> None:
    """One link that may be lost at any point: before welcome is heard, while batches go, before acks come."""
    opening = hub.ingest.open(device.name, device.hello())
    if chance.random() < 0.2:
        return
    welcome, intake = opening.welcome, opening.intake
    settled = welcome.through if welcome.epoch == device.epoch else 0
    device.heard(welcome.epoch, welcome.through, welcome.held)
    if chance.random() < 0.1 and device.holds:
        last = max(device.holds)
        first = min(device.holds)
        intake.gap(Dropped(first, last, len(device.holds), "spool full"))
        device.dropped |= set(device.holds.values())
        device.holds.clear()
        return
    for seq in sorted(device.holds):
        if chance.random() < 0.1:
            break
        intake.keep(*framed(Row(seq, NOON, [device.holds[seq]])))
        settled = seq
    if chance.random() < 0.6:
        device.ack(settled)
    intake.close()


async def lives(seed: int, files: SimulatedFiles, clock: HandClock) -> None:
    """Some lives of a hub, killed in between, with devices that lose links, spools and their memory."""
    chance = random.Random(seed)
    devices = [Device(f"device-{number}") for number in range(3)]
    images = {device.name: copy.deepcopy(device) for device in devices}
    for _ in range(3):
        async with house(files, clock, segment_bytes=2_000) as hub:
            for _ in range(chance.randrange(15)):
                device = chance.choice(devices)
                device.measure(chance.randrange(4))
                what = chance.random()
                if what < 0.05:  # its spool is lost, and its numbering with it
                    device.holds.clear()
                    device.epoch, device.acked, device.next = None, 0, 1
                elif what < 0.1:
                    device.rewound_to(images[device.name])
                elif what < 0.2 and device.epoch is not None:  # one that never had an epoch tells nothing by null
                    images[device.name] = copy.deepcopy(device)
                link(hub, device, chance)
            check(devices, await hub.kept())
            live = hub.marks.snapshot()
        async with house(files, clock) as again:
            assert again.marks.snapshot() == live


def check(devices: list[Device], entries: list[Kept]) -> None:
    """What was called settled is here, and nothing is here twice that does not say so."""
    for device in devices:
        kept = [entry for entry in entries if entry.birth.device == device.name]
        assert len({(entry.epoch, entry.seq) for entry in kept}) == len(kept)
        values = [value_of(entry) for entry in kept]
        assert device.settled - device.dropped <= set(values)
        good = [value_of(entry) for entry in kept if entry.verdict.quality == GOOD]
        assert len(set(good)) == len(good)


def value_of(kept: Kept) -> float:
    assert isinstance(kept.body, Row)
    value = kept.body.values[0]
    assert isinstance(value, float)
    return value


@settings(deadline=None, max_examples=150)
@given(st.integers(0, 2**32))
def test_p5_whatever_is_sent_again_is_kept_once_and_marks_survive(seed: int) -> None:
    clock = trio.testing.MockClock(autojump_threshold=0)
    trio.run(lives, seed, SimulatedFiles(seed), HandClock(), clock=clock)


spans = st.lists(st.tuples(st.integers(1, 40), st.integers(0, 6)), max_size=20)


@given(spans)
def test_settled_numbers_are_prefix_and_held_whatever_the_order(spans: list[tuple[int, int]]) -> None:
    numbering = Numbering(1)
    numbers: set[int] = set()
    for first, more in spans:
        numbering.settle(first, first + more)
        numbers |= set(range(first, first + more + 1))
    assert {seq for seq in range(1, 60) if seq in numbering} == numbers
    assert numbering.highest == max(numbers, default=0)
    assert numbering.prefix + 1 not in numbers
    assert all(first > numbering.prefix + 1 for first, _ in numbering.held)
    assert Numbering.from_plain(json.loads(numbering.to_text())).to_text() == numbering.to_text()


def test_marks_of_another_version_are_refused() -> None:
    with pytest.raises(ValueError, match="version 9"):
        Marks().restore(b"[9,0,{}]")


def test_a_snapshot_of_no_device_restores_to_none() -> None:
    marks = Marks()
    marks.restore(Marks().snapshot())
    assert len(marks) == 0
    assert marks_snapshot(b"\x05" + marks.snapshot()) == marks.snapshot()
