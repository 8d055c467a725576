"""README's walk in separate processes: init, hub, host device, fleet, and every command that is asked of them."""

import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.end_to_end.processes import HubProcess, rows, running, until

FLEET = 10
EVERY_SECONDS = 0.25
WINDOW_SECONDS = 6.0
#: Percent of CPU. At each end of the window a row's own stretch may reach over it by one period, as much again when
#: the machine is late, and the two may differ by 100: 2 x 0.25 s / 6 s = 8. The kernel counts in ticks of 10 ms: 4.
CPU_TOLERANCE = 12.0


def online(hub: HubProcess) -> int:
    return sum(row["state"] == "online" for row in rows(hub.run("devices", "ls")))


@pytest.mark.slow
def test_the_walk(tmp_path: Path) -> None:
    hub = HubProcess.make(tmp_path / "lab")
    with (
        hub,
        running(hub, "devices", "host", "--id", "this-machine", "--every", f"{EVERY_SECONDS}s") as host,
        running(hub, "devices", "fleet", "demo", "-n", str(FLEET)) as fleet,
    ):
        until(lambda: online(hub) == FLEET + 1)
        tail_and_query(hub)
        the_host_says_what_psutil_says(hub)
        command_and_result(hub)
        while_it_runs = rows(hub.run("ledger", "--verify"))
        assert len(while_it_runs) == FLEET + 1
        assert all(entry["balanced"] for entry in while_it_runs)
        told = [fleet.interrupt(), host.interrupt()]
        assert [report["problems"] for report in told] == [[], []]
        assert [report["devices_online"] for report in told] == [FLEET, 1]
        assert all(report["acked"] == report["sent"] > 0 for report in told)
        entries = rows(hub.run("ledger", "--verify"))
        assert all(entry["balanced"] and not entry["lost"] and not entry["dropped"] for entry in entries)
        assert sum(entry["stored"] + sum(entry["rejected"].values()) for entry in entries) == sum(
            report["sent"] for report in told
        )
        assert hub.stop() == 0
    assert "Traceback" not in hub.log()


def tail_and_query(hub: HubProcess) -> None:
    readings = rows(hub.run("tail", "--metric", "cpu_percent", "-n", "5"))
    assert [(reading["device"], reading["metric"]) for reading in readings] == [("this-machine", "cpu_percent")] * 5
    answer = rows(hub.run("query", "temperature", "--last", "10m", "--every", "1m", "--agg", "mean,max"))
    assert any(row["device"] == "freezer-01" for row in answer)
    assert all(row["mean"] <= row["max"] for row in answer)


def the_host_says_what_psutil_says(hub: HubProcess) -> None:
    since = utc()
    psutil.cpu_percent()
    time.sleep(WINDOW_SECONDS)  # what is compared is a mean over real time
    here = psutil.cpu_percent()
    until_ = utc()
    asked = ("query", "cpu_percent", "--device", "this-machine", "--since", since, "--until", until_)
    raw = rows(hub.run(*asked))
    (answer,) = rows(hub.run(*asked, "--every", "1h", "--agg", "mean,count"))[:1]
    assert answer["count"] == len(raw) >= WINDOW_SECONDS / EVERY_SECONDS / 2
    assert answer["mean"] == pytest.approx(sum(row["value"] for row in raw) / len(raw), abs=0.01)
    assert answer["mean"] == pytest.approx(here, abs=CPU_TOLERANCE)
    # What does not change while it is read must agree to the last byte.
    (told,) = rows(hub.run("send", "this-machine", "identify"))
    assert told["value"]["memory_bytes"] == psutil.virtual_memory().total
    assert told["value"]["processors"] == psutil.cpu_count()


def command_and_result(hub: HubProcess) -> None:
    (told,) = rows(hub.run("send", "freezer-01", "set_setpoint", "temperature=-22"))
    assert told["state"] == "succeeded"
    listed: list[dict[str, Any]] = rows(hub.run("commands", "ls"))
    (found,) = [command for command in listed if command["id"] == told["id"]]
    assert (found["device"], found["name"], found["state"]) == ("freezer-01", "set_setpoint", "succeeded")
    assert [command["name"] for command in listed] == ["set_setpoint", "identify"], "newest first"


def utc() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
