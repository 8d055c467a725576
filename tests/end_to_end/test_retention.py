"""A hub with a short retention, as a process: its journal is archived and collected, and its ledger balances."""

import json
import subprocess
import time
import urllib.request
from pathlib import Path

import pytest

from tests.end_to_end.processes import TELEMETRIO, HubProcess, environment

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


def gauge(hub: HubProcess, name: str) -> float:
    with urllib.request.urlopen(f"{hub.http}/metrics") as answer:
        lines = answer.read().decode().splitlines()
    return float(next(line for line in lines if line.startswith(f"{name} ")).rpartition(" ")[2])


def collect(hub: HubProcess, segments: int) -> None:
    """Until so many have been collected since the hub started."""
    deadline = time.monotonic() + 60
    while gauge(hub, "telemetrio_keeper_segments_collected") < segments:
        assert time.monotonic() < deadline, hub.log()[-2000:]
        time.sleep(0.2)


def prove(hub: HubProcess) -> None:
    done = hub.run("ledger", "--verify", "-o", "json")
    assert done.returncode == 0, done.stdout + done.stderr


def check(hub: HubProcess) -> int:
    """The proof holds; how many readings have expired."""
    prove(hub)
    entries = [json.loads(line) for line in hub.run("ledger", "-o", "ndjson").stdout.splitlines()]
    assert all(entry["balanced"] for entry in entries)
    return sum(entry["expired"] for entry in entries)


def test_archive_is_collected_by_age_and_the_ledger_balances_over_a_kill(tmp_path: Path) -> None:
    hub = HubProcess.make(tmp_path / "hub", settings={"TELEMETRIO_STORE__RETENTION": "4s"})
    with hub:
        fleet = subprocess.Popen(
            [*TELEMETRIO, "devices", "fleet", "demo", "-n", "5"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            env=environment(hub.folder) | {"TELEMETRIO_CLIENT__URL": hub.url},
        )  # fmt: skip
        try:
            collect(hub, 3)
            assert check(hub) > 0
            hub.kill()
            hub.start()
            collect(hub, 3)
        finally:
            fleet.terminate()
            fleet.wait(30)
        before = check(hub)
        assert hub.stop() == 0
        prove(hub)
        (hub.folder / "data" / "store.duckdb").unlink()  # what is built again knows what has expired
        hub.start()
        assert check(hub) >= before
        assert hub.stop() == 0
