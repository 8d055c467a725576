"""Command lines as processes: signals, pipes, and the whole demo."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import trio

from hub.cli.demo_folder import LOCK
from hub.cli.demo_run import clean_environment
from tests.client.fakehub import TIME, FakeHub
from tests.client.servers import Trust

TELEMETRIO = [sys.executable, "-m", "hub.cli"]
ROOT = Path(__file__).parents[2]


def environment(**more: str) -> dict[str, str]:
    return clean_environment(os.environ) | {"PYTHONPATH": str(ROOT)} | more


@pytest.mark.trio
async def test_ctrl_c_ends_tail_with_130_and_no_traceback(trust: Trust, place: Path) -> None:
    readings = [("readings", [["d", "m", TIME, 1.0, 0]])]
    async with FakeHub(updates=readings).serve(trust) as hub:
        variables = environment(TELEMETRIO_URL=hub.url, TELEMETRIO_TOKEN=hub.token, TELEMETRIO_CA=str(trust.ca))
        process = await trio.lowlevel.open_process(
            [*TELEMETRIO, "tail"], env=variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        assert process.stdout is not None
        assert process.stderr is not None
        assert json.loads(await process.stdout.receive_some())["device"] == "d"
        process.send_signal(signal.SIGINT)
        assert await process.wait() == 130
        assert await process.stderr.receive_some() == b""


@pytest.mark.trio
async def test_a_reader_that_has_had_enough_ends_tail_quietly(trust: Trust, place: Path) -> None:
    readings = [("readings", [["d", "m", TIME, 1.0, 0]] * 100)] * 50
    async with FakeHub(updates=readings).serve(trust) as hub:
        variables = environment(TELEMETRIO_URL=hub.url, TELEMETRIO_TOKEN=hub.token, TELEMETRIO_CA=str(trust.ca))
        process = await trio.lowlevel.open_process(
            [*TELEMETRIO, "tail"], env=variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        assert process.stdout is not None
        assert process.stderr is not None
        assert await process.stdout.receive_some(10)
        await process.stdout.aclose()
        assert await process.wait() == 0
        assert await process.stderr.receive_some() == b""


def test_the_environment_of_children_is_clean() -> None:
    cleaned = clean_environment({"TELEMETRIO_URL": "x", "NO_PROXY": "a", "PATH": "p", "HTTPS_PROXY": "y"})
    assert cleaned == {
        "NO_PROXY": "a,localhost,127.0.0.1,::1", "no_proxy": "localhost,127.0.0.1,::1", "PATH": "p",
        "HTTPS_PROXY": "y",
    }  # fmt: skip


KEYS = {
    "devices_online", "sent", "received", "stored", "rejected", "duplicate", "gaps", "ledger_balanced", "commands_ok",
    "first_reading_s", "ack_p99_ms",
}  # fmt: skip


@pytest.mark.slow
def test_a_demo_accounts_for_everything_and_leaves_nothing_running(place: Path) -> None:
    done = subprocess.run(
        [*TELEMETRIO, "demo", "--headless", "--seconds", "15", "--devices", "25", "--dir", "here", "-o", "json"],
        env=environment(HTTPS_PROXY="http://127.0.0.1:1"), capture_output=True, text=True, check=False, timeout=110,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (line,) = done.stdout.splitlines()
    told = json.loads(line)
    assert told.keys() >= KEYS
    assert told["devices_online"] == 25
    assert told["first_reading_s"] is not None
    assert told["ack_p99_ms"] > 0
    assert told["ledger_balanced"] is True
    assert told["gaps"] == []
    assert told["received"] == told["stored"] + told["rejected"] == told["sent"] > 0
    assert told["commands_ok"] == told["commands_sent"] == 5, "one of each model"
    assert not (place / "here" / "data" / "hub.json").exists(), "the hub has ended in order"
    verified = subprocess.run(
        [*TELEMETRIO, "ledger", "--verify", "-o", "json", "-c", "here"],
        env=environment(), capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert verified.returncode == 0, verified.stderr
    assert json.loads(verified.stdout)["received"] == told["received"]


@pytest.mark.slow
def test_ctrl_c_ends_a_demo_and_its_processes(place: Path) -> None:
    process = subprocess.Popen(
        [*TELEMETRIO, "demo", "--headless", "--devices", "2", "--dir", "here"],
        env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stderr is not None
    assert "hub at wss://localhost:" in process.stderr.readline()
    hub = json.loads((place / "here" / "data" / "hub.json").read_text())["pid"]
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    with pytest.raises(ProcessLookupError):
        os.kill(hub, 0)


WAIT_FOR_LOCK = "import fcntl, sys; fcntl.flock(open(sys.argv[1]), fcntl.LOCK_EX)"


@pytest.mark.slow
def test_the_processes_of_a_killed_demo_end_and_the_next_one_removes_its_folder(place: Path) -> None:
    command = [*TELEMETRIO, "demo", "--headless", "--seconds", "60", "--devices", "2"]
    variables = environment(TMPDIR=str(place))
    process = subprocess.Popen(command, env=variables, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    assert "hub at wss://localhost:" in process.stderr.readline()
    (folder,) = place.glob("telemetrio-demo-*")
    tail = [*TELEMETRIO, "tail", "-n", "1", "-c", str(folder / "telemetrio.toml")]
    subprocess.run(tail, env=variables, check=True, capture_output=True, timeout=60)  # the fleet has begun
    process.kill()
    process.communicate(timeout=10)
    subprocess.run(
        [sys.executable, "-c", WAIT_FOR_LOCK, folder / LOCK], check=True, timeout=60
    )  # hub and fleet have it
    assert not (folder / "data" / "hub.json").exists(), "the hub has ended in order"
    assert json.loads((folder / "fleet.json").read_text()), "the fleet has told how it went"
    command[command.index("60")] = "1"
    subprocess.run(command, env=variables, check=False, capture_output=True, timeout=110)
    assert not folder.exists()
