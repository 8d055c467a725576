"""A hub as a process, and a model that was wrong: once corrected, a retry stores each reading once, over kills too."""

import json
import os
import random
import subprocess
from contextlib import suppress
from pathlib import Path
from time import time_ns

import pytest
import trio

from hub.client.dial import Target
from hub.client.shell import connect
from hub.disk import DiskFiles
from hub.journal.archive import open_segment
from hub.journal.segments import segment_path, segments
from hub.wire.messages import Row
from tests.end_to_end.processes import TELEMETRIO, HubProcess, environment, until
from tests.end_to_end.raw import welcomed, write_model
from tests.faults.damaged_journal import Places

pytestmark = pytest.mark.slow

READINGS = 3_000  # a retry of so many takes a while, so that kills meet it at different points
KILLS = 4


async def send(hub: HubProcess) -> None:
    """Levels above what the model allows, each its own batch."""
    target = Target(hub.url, hub.token(), hub.folder / "ca.pem", proxy="")
    async with connect(target) as operator:
        token = (await operator.call("devices.enroll", device="bench-1"))["token"]
    async with welcomed(target, token) as (raw, _):
        for seq in range(1, READINGS + 1):
            await raw.say(Row(seq, time_ns() // 1_000, [200 + seq % 50, 20.0]))
            if seq % 500 == 0:
                await raw.acked(seq)


def ledger(hub: HubProcess) -> dict[str, object]:
    done = hub.run("ledger", "--verify", "-o", "json")
    assert done.returncode == 0, done.stdout + done.stderr
    told: dict[str, object] = json.loads(done.stdout)
    return told


def stored(hub: HubProcess) -> int:
    done = hub.run("query", "level", "--agg", "count", "-o", "json")
    rows = json.loads(done.stdout or "[]")
    return int(rows[0]["count"]) if rows else 0


def forget_store(hub: HubProcess) -> None:
    for name in ("store.duckdb", "store.duckdb.wal"):
        (hub.folder / "data" / name).unlink(missing_ok=True)


def flip(hub: HubProcess, lsn: int) -> None:
    """One bit in the middle of a record of the only segment."""
    journal, files = hub.folder / "data" / "journal", DiskFiles()
    (first,) = segments(journal, files)
    reader = Places(open_segment(journal, files, first), first)
    while reader.read():
        pass
    reader.close()
    start, stop = reader.places[lsn]
    with segment_path(journal, first).open("r+b") as segment:
        segment.seek((start + stop) // 2)
        (byte,) = segment.read(1)
        segment.seek(-1, os.SEEK_CUR)
        segment.write(bytes([byte ^ 4]))


@pytest.mark.timeout(240)
def test_a_retry_is_stored_once_over_kills_and_a_rebuild(tmp_path: Path) -> None:
    models = write_model(tmp_path)
    with HubProcess.make(tmp_path / "hub", settings={"TELEMETRIO_MODELS__DIRECTORY": str(models)}) as hub:
        trio.run(send, hub)
        (group,) = json.loads(hub.run("quarantine", "ls", "-o", "json").stdout)
        assert (group["metric"], group["reason"], group["readings"]) == ("level", "out_of_range", READINGS)
        again = hub.run("quarantine", "retry", "--all", "-o", "json")
        assert again.returncode == 1, "the model is still wrong"
        assert "stay rejected: out_of_range" in again.stderr
        assert hub.run("quarantine", "drop").returncode == 2, "dropping all has to be said"

        path = models / "bench.toml"
        path.write_text(path.read_text().replace("max = 100", "max = 1000"))
        reloaded = hub.run("hub", "reload", "-o", "json")
        assert json.loads(reloaded.stdout)["changed"] == ["bench"], reloaded.stderr
        first = json.loads(hub.run("quarantine", "show", "-n", "1", "-o", "json").stdout)[0]["id"]
        dropped = hub.run("quarantine", "drop", first, "-o", "json")
        assert json.loads(dropped.stdout) == {"removed": 1}, dropped.stderr

        chance = random.Random(3)
        for _ in range(KILLS):  # the retry is under way somewhere: reading, recording, being booked
            command = [*TELEMETRIO, "quarantine", "retry", "--all"]
            running = subprocess.Popen(
                command, env=environment(hub.folder) | {"TELEMETRIO_URL": hub.url}, stderr=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
            )  # fmt: skip
            with suppress(subprocess.TimeoutExpired):
                running.wait(chance.uniform(0.3, 1.6))
            hub.kill()
            running.wait(30)
            hub.start()
        last = hub.run("quarantine", "retry", "--all", "-o", "json")
        assert last.returncode == 0, last.stderr
        told = ledger(hub)
        assert (told["rejected"], told["removed"]) == ({}, {"admin": 1})
        assert told["received"] == told["stored"] + 1 == 2 * READINGS  # type: ignore[operator]
        assert stored(hub) == READINGS - 1

        assert hub.stop() == 0
        forget_store(hub)
        hub.start()
        assert ledger(hub)["stored"] == told["stored"], "the store was made again from the journal"
        assert stored(hub) == READINGS - 1
        assert hub.stop() == 0

        newest = int(
            first.partition(":")[0]
        )  # of a batch of which one reading was dropped: the device may have it yet...
        flip(hub, newest - 1)  # ... and of the one before there is what was retried
        flip(hub, newest)
        forget_store(hub)
        hub.start()
        until(lambda: stored(hub) == READINGS - 1)  # the store is made again behind the start
        (entry,) = json.loads(hub.run("ledger", "-o", "json").stdout)["entries"]
        assert (entry["waiting"], entry["lost"]) == ([[READINGS, READINGS]], [[READINGS - 1, READINGS - 1]])
        assert entry["balanced"]
        assert (entry["received"], entry["stored"]) == (2 * READINGS - 3, 2 * READINGS - 3)
        proof = hub.run("ledger", "--verify", "-o", "json")
        problems = json.loads(proof.stdout)["problems"]
        assert (proof.returncode, problems) == (
            1,
            [f"the journal is damaged: records {newest - 1} to {newest} are missing"],
        )
        assert stored(hub) == READINGS - 1, "each level was stored with its retry"
        assert hub.stop() == 0
