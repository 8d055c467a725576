"""Compares what devices saw with what the hub has: nothing lost, twice or invented, all in order, the ledger right."""

from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from hub.query.time import parse_duration
from hub.store.memory import Reading
from hub.wire.messages import REWOUND
from tests.simulation.hub import RETENTION
from tests.simulation.store import SimulatedStore

if TYPE_CHECKING:
    from tests.simulation.device import Place
    from tests.simulation.world import World

TOLD = 3  # problems of one kind that are told


async def check(world: "World") -> None:
    """Fill in the outcome. The hub is up and its followers have caught up."""
    house, problems = world.keeper.house, world.outcome.problems
    assert house is not None
    store = house.store
    assert isinstance(store, SimulatedStore)
    devices = {one.number: one.device for one in store._book.select(None, None)}
    by_device: dict[str, list[Reading]] = defaultdict(list)
    for reading in sorted(store.ever(), key=lambda reading: (reading.lsn, reading.row)):
        by_device[devices[reading.series]].append(reading)
    aside: dict[str, list[int]] = defaultdict(list)
    for _, one in house.rooms.quarantine.state.quarantine.list(None, 1_000_000):
        aside[one.device].append(int(one.value))
    oldest = world.keeper.clock.now() - world.keeper.clock.offset - parse_duration(RETENTION)
    there = set(store._readings)
    early = [one for one in store.ever() if one not in there and (not world.keeper.retention or one.time >= oldest)]
    if early:
        problems.append(f"{len(early)} readings expired too early: {early[:TOLD]}")
    if store.expired_before > oldest:
        problems.append(f"what is before {store.expired_before} expired, though nothing above {oldest} is too old")
    for place in world.places:
        _compare(world, place, by_device[place.name], aside[place.name])
    for entry in await house.rooms.ledger(None):
        if not entry["balanced"] or entry["lost"]:
            problems.append(f"the ledger of {entry['device']}, epoch {entry['epoch']}: {entry}")
    if house.rooms.ingest.credit.granted < 0:
        problems.append("more credit was given back than was granted")


def _compare(world: "World", place: "Place", readings: list[Reading], aside: list[int]) -> None:
    record, outcome = place.record, world.outcome
    stored = [int(one.value) for one in readings]
    kept = Counter(stored) + Counter(aside)
    lost = sorted(record.acked - kept.keys())
    twice = sorted(value for value, count in kept.items() if count > 1)
    invented = sorted(kept.keys() - record.sent)
    places = Counter((one.epoch, one.seq, one.row) for one in readings)
    outcome.acked += len(record.acked)
    outcome.stored += len(stored)
    outcome.rejected += len(aside)
    outcome.lost += len(lost)
    outcome.duplicated += len(twice)
    outcome.invented += len(invented)
    wrong = {
        "acked, and neither stored nor in quarantine": lost,
        "kept twice": twice,
        "kept and never sent": invented,
        "stored under one number": [number for number, count in places.items() if count > 1],
        "stored out of order": [] if stored == sorted(stored) else stored[:1],
        "stored though the model forbids it": [value for value in stored if value < 0],
        "numbered as if it had been rewound": [int(one.value) for one in readings if one.quality == REWOUND],
        "commands carried out more than once": [n for n, count in Counter(record.executed).items() if count > 1],
    }
    outcome.problems += [f"{place.name}: {what}: {found[:TOLD]}" for what, found in wrong.items() if found]
    outcome.problems += [f"{place.name}: {text}" for text in record.problems[:TOLD]]
