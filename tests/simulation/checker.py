"""Compares what devices saw with what the hub has: nothing lost, twice or invented, all in order."""

from collections import Counter
from typing import TYPE_CHECKING

from hub.wire.messages import REWOUND
from tests.simulation.store import SimulatedStore

if TYPE_CHECKING:
    from tests.simulation.world import World


async def check(world: "World") -> None:
    """Fill in the outcome. The hub is up and its followers have caught up."""
    house, outcome = world.house, world.outcome
    assert house is not None
    store = house.store
    assert isinstance(store, SimulatedStore)
    devices = {one.number: one.device for one in store._book.select(None, None)}
    readings = sorted(store._readings, key=lambda reading: (reading.lsn, reading.row))
    quarantine = [one for _, one in house.rooms.ledger.__self__._state.quarantine.list(None, 1_000_000)]  # type: ignore[attr-defined]
    places = Counter((devices[one.series], one.epoch, one.seq, one.row) for one in readings)
    found = [f"{place} is stored {count} times" for place, count in places.items() if count > 1]
    outcome.duplicated = len(found)
    outcome.problems += found[:5]
    for place in world.places:
        record = place.record
        stored = [int(one.value) for one in readings if devices[one.series] == place.name]
        values = [int(one.value) for one in readings if devices[one.series] == place.name and one.quality != REWOUND]
        aside = {one.value for one in quarantine if one.device == place.name}
        lost = record.acked - set(stored) - aside
        twice = sorted(value for value, count in Counter(values).items() if count > 1)
        outcome.acked += len(record.acked)
        outcome.stored += len(stored)
        outcome.lost += len(lost)
        outcome.duplicated += len(twice)
        if lost:
            outcome.problems.append(f"{place.name}: acked and not stored: {sorted(lost)[:5]}")
        if twice:
            outcome.problems.append(f"{place.name}: stored twice: {twice[:5]}")
        if set(stored) - record.sent:
            outcome.problems.append(f"{place.name}: stored and never sent: {sorted(set(stored) - record.sent)[:5]}")
        if values != sorted(values):
            outcome.problems.append(f"{place.name}: stored out of order")
        again = [n for n, count in Counter(record.executed).items() if count > 1]
        if again:
            outcome.problems.append(f"{place.name}: commands {again} were carried out more than once")
        outcome.problems += [f"{place.name}: {text}" for text in record.problems[:3]]
    for entry in await house.rooms.ledger(None):
        if not entry["balanced"] or entry["lost"]:
            outcome.problems.append(f"the ledger of {entry['device']}, epoch {entry['epoch']}: {entry}")
