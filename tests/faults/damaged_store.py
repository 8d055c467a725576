"""The store's file is deleted, cut, or has a bit flipped, while the hub is down and while it runs: the same answers
afterwards, from the journal alone."""

import json
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import trio

from hub.client.shell import connect
from hub.query import Question
from hub.wire.messages import Row
from tests.end_to_end.processes import HubProcess
from tests.faults.disturbed import must, target_of
from tests.faults.lab import Failed
from tests.faults.streaming import Counting, Fleet, enrol, settled

DEVICES = 8
YEAR_US = 365 * 86_400 * 1_000_000
REBUILT_SECONDS = 60.0  # for some ten thousand readings on a loaded machine

Damage = Callable[[Path], None]


class Odd(Counting):
    """Counts; the first reading is a year old, the second is from before it, and the third is out of range."""

    async def sample(self, time: int) -> Sequence[Row]:
        rows = list(await super().sample(time))
        if rows[0].values == [0]:
            old = [Row(0, time - YEAR_US, [1_000_000]), Row(0, time - 3 * YEAR_US, [1_000_001])]
            return [*rows, *old, Row(0, time + 5, [-1])]
        return rows


async def stream(hub: HubProcess, seconds: float) -> None:
    """Have a fleet measure for so long, and everything acked."""
    target = target_of(hub)
    fleet = Fleet(target, await enrol(target, [f"counter-{number}" for number in range(DEVICES)]))
    fleet.sources = {name: Odd() for name in fleet.sources}
    async with trio.open_nursery() as nursery:
        await nursery.start(fleet.run)
        await trio.sleep(seconds)
        fleet.stop_measuring()
        with trio.fail_after(60):
            await fleet.emptied()
        nursery.cancel_scope.cancel()


async def answers(hub: HubProcess) -> dict[str, Any]:
    """What people ask: all rows, aggregates, quarantine by the ledger; once nothing is being rebuilt."""
    async with connect(target_of(hub)) as operator:
        with trio.fail_after(REBUILT_SECONDS):
            while (await operator.call("status"))["problems"]:  # noqa: ASYNC110  (another process sets no event here)
                await trio.sleep(0.05)
            await settled(operator)
        rows = await operator.ask(Question(metrics=("n",), limit=1_000_000))
        sums = await operator.ask(
            Question(metrics=("n",), every=60_000_000, aggregates=("count", "mean", "max", "min"))
        )
        ledger = await operator.call("ledger")
    lines = sorted(zip(*(map(str, rows.columns[name]) for name in ("device", "time", "value", "quality")), strict=True))
    booked = [(entry["device"], entry["received"], entry["stored"], entry["rejected"]) for entry in ledger]
    return {"rows": lines, "sums": {n: list(map(str, c)) for n, c in sums.columns.items()}, "ledger": booked}


def ask(hub: HubProcess) -> dict[str, Any]:
    """``answers``, from outside; Failed when the store does not get there."""
    try:
        return trio.run(answers, hub)
    except* trio.TooSlowError:
        raise Failed(f"the store does not answer as it should within {REBUILT_SECONDS:g} s") from None


def flip(path: Path, share: float = 0.5) -> None:
    """One bit, so far into the file, in a byte that is not 0 (zeros fill blocks that nothing is in)."""
    with path.open("r+b") as file:
        content = file.read()
        filled = [at for at, byte in enumerate(content) if byte]
        at = filled[int(len(filled) * share)]
        file.seek(at)
        file.write(bytes([content[at] ^ 0x10]))


def verified(hub: HubProcess) -> None:
    """The ledger's proof, in a process of its own."""
    done = hub.run("ledger", "--verify", "-o", "json", timeout=120)
    must(done.returncode == 0, f"the ledger says: {done.stdout[:2000]}{done.stderr}")


def set_aside(hub: HubProcess) -> set[str]:
    """What was kept of damaged stores."""
    names = (name for name in os.listdir(hub.folder / "data") if ".damaged-" in name or ".replaced-" in name)
    return {name.removesuffix(".wal").removesuffix(".note") for name in names}


# --- damage ----------------------------------------------------------------------------------------------------------


def delete(data: Path) -> None:
    (data / "store.duckdb").unlink()


def delete_both(data: Path) -> None:
    delete(data)
    (data / "store.duckdb.wal").unlink(missing_ok=True)


def cut(data: Path) -> None:
    path = data / "store.duckdb"
    os.truncate(path, path.stat().st_size // 2)


def empty(data: Path) -> None:
    os.truncate(data / "store.duckdb", 0)


def flip_file(data: Path) -> None:
    flip(data / "store.duckdb")


def flip_head(data: Path) -> None:
    flip(data / "store.duckdb", 0.0)


def flip_log(data: Path) -> None:
    flip(data / "store.duckdb.wal", 0.3)


def cut_log(data: Path) -> None:
    path = data / "store.duckdb.wal"
    os.truncate(path, path.stat().st_size * 2 // 3)


def delete_log(data: Path) -> None:
    (data / "store.duckdb.wal").unlink()


#: What is damaged while the hub is down, and whether the store has to be set aside for it.
DOWN: dict[Damage, bool] = {
    delete: True, delete_both: False, cut: True, empty: True, flip_file: True, flip_head: True, flip_log: True,
    cut_log: False, delete_log: False,
}  # fmt: skip
RUNNING: tuple[Damage, ...] = (delete, cut, empty, flip_file, flip_log, cut_log, delete_log)
SHORT: tuple[Damage, ...] = (delete, cut, flip_log)  # one of each kind
SEEN = (delete, cut, empty)  # of a hub that runs, by itself; the others are seen by whoever reads them


# --- cases -----------------------------------------------------------------------------------------------------------


@dataclass
class Case:
    """What became of the readings that were there: rows of answers before and after. ``seconds``: to rebuild."""

    name: str
    before: list[tuple[str, ...]] = field(repr=False)
    after: list[tuple[str, ...]] = field(repr=False)
    seconds: float

    @property
    def lost(self) -> int:
        return (Counter(self.before) - Counter(self.after)).total()

    @property
    def duplicated(self) -> int:
        return Counter(self.after).total() - len(set(self.after))

    @property
    def oldest_days(self) -> float:
        """How much older the oldest reading is than the newest."""
        times = [int(row[1]) for row in self.before]
        return (max(times) - min(times)) / 86_400e6

    def write(self, folder: Path) -> None:
        """The rows, so that anyone can count again."""
        text = {"case": self.name, "seconds": self.seconds, "before": self.before, "after": self.after}
        (folder / f"{self.name.replace(' ', '-')}.json").write_text(json.dumps(text))


def while_down(hub: HubProcess, damages: Sequence[Damage]) -> Iterator[Case]:
    """The hub runs; for each damage it is killed (or stopped), and started again on the damaged store."""
    for damage in damages:
        trio.run(stream, hub, 0.3)  # so that the log has something
        before = ask(hub)
        if damage in (flip_file, flip_head):
            must(hub.stop() == 0, "the hub does not stop")  # a clean end moves the log into the file
        else:
            hub.kill()
        kept = set_aside(hub)
        damage(hub.folder / "data")
        began = time.monotonic()
        hub.start()
        after = ask(hub)
        seconds = time.monotonic() - began
        must(after == before, f"{damage.__name__}: other answers than before")
        must(set_aside(hub) > kept or not DOWN[damage], f"{damage.__name__}: the store was not set aside")
        verified(hub)
        yield Case(f"down {damage.__name__}", before["rows"], after["rows"], seconds)


def while_running(hub: HubProcess, damages: Sequence[Damage]) -> Iterator[Case]:
    """The hub runs on over each damage, takes more, and is killed and started again in the end."""
    for damage in damages:
        trio.run(stream, hub, 0.3)
        before = ask(hub)
        pid, kept = hub.pid, set_aside(hub)
        damage(hub.folder / "data")
        began = time.monotonic()
        if damage in SEEN:
            while set_aside(hub) == kept and time.monotonic() - began < REBUILT_SECONDS:
                time.sleep(0.05)
            must(set_aside(hub) > kept, f"{damage.__name__}: the store was not set aside")
            ask(hub)
        seconds = time.monotonic() - began
        trio.run(stream, hub, 0.3)  # ingest goes on
        after = ask(hub)
        must(set(before["rows"]) <= set(after["rows"]), f"{damage.__name__}: readings are missing")
        must(hub.pid == pid and hub.process is not None and hub.process.poll() is None, "the hub has ended")
        verified(hub)
        hub.kill()
        began = time.monotonic()
        hub.start()
        must(ask(hub) == after, f"{damage.__name__}: other answers after a kill")
        seconds = seconds if damage in SEEN else time.monotonic() - began
        verified(hub)
        yield Case(f"running {damage.__name__}", before["rows"], after["rows"], seconds)
