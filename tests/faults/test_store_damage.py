"""The store's file is deleted, cut, or has a bit flipped, while the hub is down and while it runs: the same answers
afterwards, from the journal alone."""

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import trio

from hub.client.dial import Target
from hub.client.shell import connect
from hub.query import Question
from hub.wire.messages import Row
from tests.end_to_end.processes import HubProcess
from tests.faults.streaming import Counting, Fleet, enrol, settled, write_model

pytestmark = pytest.mark.slow

DEVICES = 8
YEAR_US = 365 * 86_400 * 1_000_000
LONG = bool(os.environ.get("TELEMETRIO_LONG"))  # every case; else one of each kind, so that ./run test stays short
REBUILT_SECONDS = 60.0  # for some ten thousand readings on a loaded machine


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
    target = Target(hub.url, hub.token(), hub.folder / "ca.pem", proxy="")
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
    target = Target(hub.url, hub.token(), hub.folder / "ca.pem", proxy="")
    async with connect(target) as operator:
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
    return trio.run(answers, hub)


def flip(path: Path, share: float = 0.5) -> None:
    """One bit, so far into the file, in a byte that is not 0 (zeros fill blocks that nothing is in)."""
    with path.open("r+b") as file:
        content = file.read()
        filled = [at for at, byte in enumerate(content) if byte]
        at = filled[int(len(filled) * share)]
        file.seek(at)
        file.write(bytes([content[at] ^ 0x10]))


def verified(hub: HubProcess) -> None:
    done = hub.run("ledger", "--verify", "-o", "json")
    assert done.returncode == 0, done.stdout + done.stderr


def set_aside(hub: HubProcess) -> set[str]:
    """What was kept of damaged stores."""
    return {name.removesuffix(".wal") for name in os.listdir(hub.folder / "data") if ".damaged-" in name}


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


def make(tmp_path: Path) -> HubProcess:
    return HubProcess.make(tmp_path / "hub", settings={"TELEMETRIO_MODELS__DIRECTORY": str(write_model(tmp_path))})


#: What is damaged while the hub is down, and whether the store has to be set aside for it.
DOWN: list[tuple[Callable[[Path], None], bool]] = [
    (delete, True), (delete_both, False), (cut, True), (empty, True), (flip_file, True), (flip_head, True),
    (flip_log, True), (cut_log, False), (delete_log, False),
]  # fmt: skip
SHORT = (delete, cut, flip_log)


@pytest.mark.timeout(400)
def test_a_store_damaged_while_the_hub_is_down_answers_as_before(tmp_path: Path) -> None:
    hub = make(tmp_path)
    try:
        hub.start()
        trio.run(stream, hub, 2.0)
        before = ask(hub)
        assert len(before["rows"]) > 100
        for damage, aside in DOWN if LONG else [case for case in DOWN if case[0] in SHORT]:
            trio.run(stream, hub, 0.3)  # so that the log has something
            before = ask(hub)
            if damage in (flip_file, flip_head):
                assert hub.stop() == 0  # a clean end moves the log into the file
            else:
                hub.kill()
            kept = set_aside(hub)
            damage(hub.folder / "data")
            began = time.monotonic()
            hub.start()
            assert ask(hub) == before, damage.__name__
            print(f"{damage.__name__}: {len(before['rows'])} readings again after {time.monotonic() - began:.1f} s")
            assert set_aside(hub) > kept or not aside, damage.__name__
            verified(hub)
    finally:
        hub.__exit__()


@pytest.mark.timeout(400)
def test_a_store_damaged_while_the_hub_runs_answers_as_before(tmp_path: Path) -> None:
    hub = make(tmp_path)
    try:
        hub.start()
        trio.run(stream, hub, 2.0)
        for damage in (delete, cut, empty, flip_file, flip_log, cut_log, delete_log) if LONG else SHORT:
            trio.run(stream, hub, 0.3)
            before = ask(hub)
            pid, kept = hub.pid, set_aside(hub)
            damage(hub.folder / "data")
            began = time.monotonic()
            if damage in (delete, cut, empty):  # seen by the hub itself; the others by whoever reads them
                while set_aside(hub) == kept and time.monotonic() - began < REBUILT_SECONDS:
                    time.sleep(0.05)
                assert set_aside(hub) > kept
            trio.run(stream, hub, 0.3)  # ingest goes on
            after = ask(hub)
            assert set(before["rows"]) <= set(after["rows"]), damage.__name__
            assert hub.pid == pid
            assert hub.process is not None
            assert hub.process.poll() is None
            verified(hub)
            hub.kill()
            hub.start()
            assert ask(hub) == after, damage.__name__
            print(f"{damage.__name__}: {len(after['rows'])} readings, {time.monotonic() - began:.1f} s")
            verified(hub)
    finally:
        hub.__exit__()
