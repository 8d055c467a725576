"""Records of a real hub's journal are damaged: what its devices still hold is sent again, the rest is booked as lost,
and nothing that the store has is stored twice.

The hub's store is kept shut at first (another process has its file), so that records stand above its cursor.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import trio

from hub.client.dial import Target
from hub.client.shell import Operator, connect
from hub.disk import DiskFiles
from hub.journal.segments import segments
from hub.wire.kept import Birth, Kept
from hub.wire.messages import Row
from hub.wire.records import unpack
from tests.end_to_end.processes import HubProcess
from tests.faults.damaged_journal import Places
from tests.faults.disturbed import PATIENCE_SECONDS, first_of, make_hub, more_acked, must, target_of
from tests.faults.gate import Gate
from tests.faults.lab import Failed, Figures
from tests.faults.record import Record, RecordedFleet
from tests.faults.streaming import enrol, read_back

DEVICES = 4
VICTIMS = 5  # records of each kind, per damage
UNACKED = 80  # records that have to stand there unacked


@dataclass(frozen=True)
class Victim:
    """A record of one reading, and where it stands."""

    lsn: int
    device: str
    seq: int
    value: int
    start: int
    stop: int


def sent_again(scratch: Path, evidence: Path) -> Figures:
    """Run it; Failed where the promise does not hold."""
    hub = make_hub(scratch)
    try:
        return trio.run(_run, hub, evidence)
    except* (Failed, trio.TooSlowError, RuntimeError) as group:
        raise first_of(group) from group
    finally:
        hub.__exit__()


async def _run(hub: HubProcess, evidence: Path) -> Figures:
    data = hub.folder / "data"
    data.mkdir(exist_ok=True)
    shut = duckdb.connect(str(data / "store.duckdb"))
    await trio.to_thread.run_sync(hub.start)
    direct = target_of(hub)
    gate = Gate(int(hub.url.rpartition(":")[2]))
    async with trio.open_nursery() as nursery:
        port = await nursery.start(gate.run)
        target = Target(f"wss://localhost:{port}", direct.token, direct.ca, proxy="")
        tokens = await enrol(direct, [f"counter-{number}" for number in range(DEVICES)])
        fleet = RecordedFleet(target, tokens, evidence)
        await nursery.start(fleet.run)

        await more_acked(fleet, 200)
        await _unacked(direct, gate, lambda status: status["appended"])
        hub.kill()
        shut.close()
        lost, held = _damage(hub, fleet, below=None)
        await trio.to_thread.run_sync(hub.start)
        gate.release()

        await more_acked(fleet, 200)
        await _unacked(direct, gate, _stored)
        async with connect(direct) as operator:
            below = _stored(await operator.call("status"))
        hub.kill()
        there, twice = _damage(hub, fleet, below=below)
        await trio.to_thread.run_sync(hub.start)
        gate.release()

        fleet.stop_measuring()
        with trio.fail_after(PATIENCE_SECONDS):
            await fleet.emptied()
        stored = await read_back(direct)
        fleet.write_stored(stored)
        booked = Record(evidence / "booked.jsonl")
        for victim in lost:
            booked.write(victim.device, [victim.value])
        await _ledger(direct, lost)
        nursery.cancel_scope.cancel()
    return _compare(fleet, stored, lost) | {
        "sent_again": len(held), "lost_at_hub": len(lost), "stored_already": len(there) + len(twice),
    }  # fmt: skip


def _stored(status: Mapping[str, Any]) -> int:
    """How far the store has come."""
    return next(int(each["cursor"]) for each in status["followers"] if each["name"] == "store")


async def _unacked(target: Target, gate: Gate, position: Callable[[Mapping[str, Any]], int]) -> None:
    """Hold back the acks, until so many records more have come to ``position``."""
    async with connect(target) as operator:
        gate.hold()
        await trio.sleep(0.2)  # acks on their way have arrived
        wanted = (await operator.call("status"))["appended"] + UNACKED
        with trio.fail_after(60):
            while position(await operator.call("status")) < wanted:  # noqa: ASYNC110  (another process sets no event)
                await trio.sleep(0.05)
            await trio.sleep(0.1)  # a group is synced within 10 ms


def _damage(hub: HubProcess, fleet: RecordedFleet, below: int | None) -> tuple[list[Victim], list[Victim]]:
    """Flip a bit in some records of acked readings and in some of readings that devices still hold. ``below``: only
    in records up to there."""
    journal = hub.folder / "data" / "journal"
    victims = [each for each in _readings(journal) if below is None or each.lsn <= below]
    acked = {name: set(spool.acknowledged) for name, spool in fleet.spools.items()}
    hit = [each for each in victims if each.value in acked[each.device]]
    held = [each for each in victims[:-1] if each.value not in acked[each.device]]
    must(len(hit) >= 4 * VICTIMS and len(held) >= 4 * VICTIMS, f"{len(hit)} acked and {len(held)} unacked records")
    chosen = hit[-4 * VICTIMS :: 4], held[:: len(held) // VICTIMS][:VICTIMS]
    path = max(journal.glob("*.journal"))
    with path.open("r+b") as file:
        for number, victim in enumerate((*chosen[0], *chosen[1])):
            at = victim.start + (number * 17) % (victim.stop - victim.start)  # header, head and frame
            file.seek(at)
            byte = file.read(1)[0]
            file.seek(at)
            file.write(bytes([byte ^ 1 << number % 8]))
    return chosen


def _readings(journal: Path) -> Iterable[Victim]:
    """The records of the newest segment that are a row each."""
    files = DiskFiles()
    first = segments(journal, files)[-1]
    reader = Places(files.open(max(journal.glob("*.journal"))), first)
    births: dict[int, Birth] = {}
    while chunk := reader.read():
        for lsn, payload in chunk:
            entry = unpack(lsn, payload, births)
            if isinstance(entry, Kept) and isinstance(entry.body, Row):
                value = entry.body.values[0]
                assert isinstance(value, int)
                yield Victim(lsn, entry.birth.device, entry.seq, value, *reader.places[lsn])
    reader.close()


async def _ledger(target: Target, lost: list[Victim]) -> None:
    """It books exactly these as lost at the hub, and balances."""
    async with connect(target) as operator:
        entries = await _booked(operator)
    told = {
        (entry["device"], seq) for entry in entries for first, last in entry["lost"] for seq in range(first, last + 1)
    }
    must(told == {(each.device, each.seq) for each in lost}, f"lost at the hub is {sorted(told)}, and not {lost}")
    problems = [entry.get("problem") for entry in entries if not entry["balanced"]]
    must(not problems, f"the ledger does not balance: {problems}")


async def _booked(operator: Operator) -> list[dict[str, Any]]:
    began = time.monotonic()
    while any(each["lag"] for each in (await operator.call("status"))["followers"]):
        must(time.monotonic() - began < 30, "followers do not get to the end")
        await trio.sleep(0.05)
    return list(await operator.call("ledger"))


def _compare(fleet: RecordedFleet, stored: dict[str, list[int]], lost: list[Victim]) -> Figures:
    """All that was sent is stored once, but for what is booked as lost."""
    verdict = fleet.compare(stored)
    gone = {(device, value) for device, values in verdict.lost.items() for value in values}
    unbooked = gone - {(each.device, each.value) for each in lost}
    doubled = sum(map(len, verdict.doubled.values()))
    figures: Figures = {"acked": verdict.acked, "lost": len(unbooked), "duplicated": doubled}
    must(not (unbooked or doubled or verdict.invented), f"the sets differ: {figures}, {verdict.doubled}")
    return figures
