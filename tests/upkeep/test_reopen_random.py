"""P10 over random histories: whatever is damaged, the ledger balances, and nothing is there twice or lost unsaid.

What the guarantees name as a limit is left out, and nothing else: see ``Truth`` and ``History._gone``.
"""

import re
from collections import Counter
from pathlib import Path
from typing import Final

import pytest

from hub.followers.ledger import ledger_entry
from hub.followers.tally import Key
from hub.upkeep.verify import Claims, verify
from hub.wire.messages import Row
from hub.wire.ranges import Ranges
from hub.wire.shapes import LedgerEntry
from tests.ingest.house import House
from tests.journal.driving import DIRECTORY
from tests.upkeep.history import History

pytestmark = [pytest.mark.trio, pytest.mark.usefixtures("autojump_clock")]

METRICS: Final = ("temperature", "gust", "count")
DAMAGE: Final = ("the journal is damaged", "the store alone has", "record ")
DIFFERS: Final = re.compile(r"(kept|dropped|lost|moved|received|rejected|removed|closed) is [^-]* by the hub's ledger$")


@pytest.mark.parametrize("seed", range(36))
async def test_p10_whatever_is_damaged_nothing_is_there_twice_or_lost_unsaid(tmp_path: Path, seed: int) -> None:
    await run(tmp_path, seed)


async def run(folder: Path, seed: int) -> None:
    """One history."""
    history = History(folder, seed)
    chance = history.chance
    for _ in range(chance.choice([1, 1, 2])):
        for _ in range(chance.choice([1, 1, 2, 3])):
            await history.live(chance.randrange(3, 14))
        history.damage()
        if chance.random() < 0.3:
            await history.wait()
        await end(history, chance.choice([0, 0, 0.5]))
    await end(history, 0)
    history.machine.state.close()


async def end(history: History, away: float) -> None:
    """All comes to its end in one more life, and is as it should be."""
    history.begin()
    async with history.machine.hub() as hub:
        await history.come(hub, away)
        check_store(history)
        entries = {(entry["device"], entry["epoch"]): entry for entry in ledger(history)}
        if history.truth.far:
            return
        current = {(device.name, device.epoch or 0): device for device in history.devices}
        for key, entry in entries.items():
            sure = key not in history.truth.unsure and (key in current or key not in history.truth.hit)
            assert entry["balanced"] or not sure, entry
        for key in entries.keys() & current.keys():
            device, entry = current[key], entries[key]
            assert not entry["waiting"] or device.opening is None, entry
            assert not device.keeps or not entry["lost"] or any(spot[:2] == key for spot in history.truth.retried)
            check_batches(history, entry)
        check_proof(history, hub, list(entries.values()))


def ledger(history: History) -> list[LedgerEntry]:
    """What the hub says when all has been followed."""
    rows, stored = history.machine.state.account.all(), history.machine.store.counts()[1]
    nexts = {(device.name, device.epoch): device.next for device in history.devices}
    assert not stored.keys() - {(row.device, row.epoch) for row in rows}, "all that is stored is in the account"
    entries = []
    for row in rows:
        key = row.device, row.epoch
        assert min([row.received, *row.rejected.values(), *row.removed.values()]) >= 0
        entries.append(ledger_entry(row, 0 if row.closed else nexts.get(key, 0), stored.get(key, 0), 0, row.expired))
    return entries


def stored_spots(history: History) -> dict[tuple[str, int, int, str], float | str]:
    """Values by device, epoch, seq and metric, each of them once."""
    store = history.machine.store
    names = {one.number: (one.device, one.metric) for one in store._book.select(None, None)}
    spots: dict[tuple[str, int, int, str], float | str] = {}
    for reading in store._readings:
        device, metric = names[reading.series]
        spot = device, reading.epoch, reading.seq, metric
        assert spot not in spots or spot[:3] in history.truth.unretried, f"twice: {spot}"
        spots[spot] = reading.value
    return spots


def check_store(history: History) -> None:
    """Nothing twice, in whatever epoch, and nothing that was never sent."""
    spots = stored_spots(history)
    for (device, epoch, seq, metric), value in spots.items():
        body = history.truth.sent.get((device, epoch, seq))
        assert isinstance(body, Row)
        assert body.values[METRICS.index(metric)] == value
    values = Counter((metric, value) for (_, _, _, metric), value in spots.items())
    assert max(values.values(), default=1) == 1, "no value was made twice"


def check_batches(history: History, entry: LedgerEntry) -> None:
    """Each reading of a batch that is kept is stored, in quarantine, or was dropped from it."""
    key: Key = entry["device"], entry["epoch"]
    truth, kept = history.truth, Ranges((first, last) for first, last in entry["kept"])
    quarantine = {
        (each.device, each.epoch, each.seq, each.metric)
        for _, each in history.machine.state.quarantine.list(limit=100_000)
    }
    stored = stored_spots(history).keys()
    assert key in truth.unsure or not stored & {spot for spot in quarantine if spot[:2] == key}
    dropped = 0
    for spot, body in truth.sent.items():
        if spot[:2] != key or spot[2] not in kept or not isinstance(body, Row) or truth.vanished[spot] > 1:
            continue
        for at, value in enumerate(body.values):
            if value is not None and (*spot, METRICS[at]) not in stored | quarantine:
                assert isinstance(value, float | int)
                assert (value > 60, value > 100, value < 0)[at], f"{spot}: a good {METRICS[at]} is nowhere"
                dropped += spot not in truth.unbooked
    assert key in truth.unsure or dropped <= sum(entry["removed"].values()), entry


def check_proof(history: History, hub: House, entries: list[LedgerEntry]) -> None:
    """It tells the damage, and where the account knows more than the journal has; nothing else."""
    store, closed = history.machine.store, {(each["device"], each["epoch"]) for each in entries if each["closed"]}
    stored = dict(store.stored(1 << 62).rows())
    claims = Claims(DIRECTORY, hub.journal.durable, entries, stored, store.counts()[0], True)
    for text in verify(claims, history.machine.files).problems:
        if text.startswith(DAMAGE) or DIFFERS.search(text) or text.endswith("hub's ledger, but not in the journal"):
            continue
        found = re.match(r"(d\d) epoch (\d+): .* accounted for", text)  # of a closed one with a damaged batch
        assert found is not None, text
        assert (found[1], int(found[2])) in closed, text
