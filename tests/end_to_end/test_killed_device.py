"""kill -9 of a device that keeps a spool: it goes on in its epoch, uses no number twice, and the ledger balances."""

import json
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.processes import TELEMETRIO, HubProcess, environment

pytestmark = pytest.mark.slow

KILLS = 3
DEVICE = "meter-1"


def ledger(hub: HubProcess) -> list[dict[str, Any]]:
    done = hub.run("ledger", "-o", "json")
    entries: list[dict[str, Any]] = json.loads(done.stdout)["entries"] if done.stdout else []
    return [entry for entry in entries if entry["device"] == DEVICE]


def highest(hub: HubProcess) -> int:
    return max((last for entry in ledger(hub) for _, last in entry["kept"]), default=0)


@pytest.mark.timeout(240)
def test_p3_a_killed_device_goes_on_in_its_epoch_and_uses_no_number_twice(tmp_path: Path) -> None:
    with HubProcess.make(tmp_path / "hub") as hub:
        command = [*TELEMETRIO, "devices", "run", DEVICE, "power-meter", "--every", "0.1s"]
        command += ["--spool", str(tmp_path / "spool"), "--tokens", str(tmp_path / "tokens")]
        env = environment(hub.folder) | {"TELEMETRIO_URL": hub.url}
        for _ in range(KILLS):
            before, deadline = highest(hub), time.monotonic() + 60
            with subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as device:
                while highest(hub) < before + 3:
                    assert device.poll() is None, device.stderr and device.stderr.read()
                    assert time.monotonic() < deadline, "nothing came"
                    time.sleep(0.1)
                device.kill()
        ended = subprocess.run([*command, "--seconds", "4"], env=env, capture_output=True, text=True, timeout=60)
        assert ended.returncode == 0, ended.stderr
        (entry,) = ledger(hub)  # one epoch for all its lives
        assert entry["lost"] == []
        assert entry["balanced"], entry
        assert hub.run("ledger", "--verify").returncode == 0
        counters = hub.run("hub", "status", "-o", "json")
        assert json.loads(counters.stdout)["problems"] == []
        assert hub.stop() == 0
        assert "seq_conflict" not in hub.log()
