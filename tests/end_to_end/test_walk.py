"""The README's walk, each command a process of its own, and the host device's readings beside what psutil says here."""

import re
import shlex
import threading
import time
from bisect import bisect_left
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import psutil
import pytest

from tests.end_to_end.processes import HubProcess, online, rows, running, until, verified

README = Path(__file__).parents[2] / "README.md"
SAMPLE_SECONDS = 0.05
WATCH_SECONDS = 8.0
#: Both ends of the time compared lie up to a sample and a tick of the kernel off, on each side.
CPU_TOLERANCE = 100 * 2 * (SAMPLE_SECONDS + 0.05) / WATCH_SECONDS


class Observer(threading.Thread):
    """Writes down, beside the device, how much the machine has worked; and works itself in the second half."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.times: list[float] = []
        self.busy: list[float] = []  # seconds of CPU
        self.total: list[float] = []
        self.done = threading.Event()

    def run(self) -> None:
        began = time.monotonic()
        while not self.done.is_set():
            now = psutil.cpu_times()
            total = sum(now) - getattr(now, "guest", 0.0) - getattr(now, "guest_nice", 0.0)
            self.times.append(time.time())
            self.busy.append(total - now.idle - getattr(now, "iowait", 0.0))
            self.total.append(total)
            until = time.monotonic() + SAMPLE_SECONDS
            while time.monotonic() < until:
                if time.monotonic() - began < WATCH_SECONDS / 2:
                    self.done.wait(SAMPLE_SECONDS)  # at ease; afterwards the loop itself is the load

    def percent(self, begin: float, end: float) -> float:
        """Share of the CPU's time that was used between two instants."""
        first, last = (min(bisect_left(self.times, at), len(self.times) - 1) for at in (begin, end))
        return 100 * (self.busy[last] - self.busy[first]) / (self.total[last] - self.total[first])


def measured(readings: list[tuple[float, float]]) -> float:
    """The mean of the readings by time: each one tells of the stretch since the one before."""
    worked = sum(value * (at - before) for (before, _), (at, value) in pairwise(readings))
    return worked / (readings[-1][0] - readings[0][0])


def stored(hub: HubProcess, metric: str, device: str) -> list[tuple[float, float]]:
    """Readings of the host: seconds since the epoch, value."""
    found = rows(hub.run("query", metric, "--device", device, "--last", "10m"))
    return [(datetime.fromisoformat(row["time"]).timestamp(), row["value"]) for row in found]


def written(section: str) -> list[list[list[str]]]:
    """The commands in a section of the README, block by block, as the shell would cut them."""
    text = README.read_text().partition(f"## {section}\n")[2].partition("\n## ")[0]
    blocks = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    return [
        [shlex.split(line, comments=True) for line in block.splitlines() if line.startswith("telemetrio ")]
        for block in blocks
    ]


@pytest.mark.slow
def test_the_walk_of_the_readme(tmp_path: Path) -> None:
    (init,), _, (serve, *terminals, dash), anywhere = written("Step by step, in separate terminals")
    assert (init[1], serve[1:], dash[1:]) == ("init", ["hub", "serve"], ["dash"])
    with HubProcess.make(tmp_path / "lab") as hub:
        with running(hub, *terminals[0][1:]) as host, running(hub, *terminals[1][1:]) as fleet:
            until(lambda: len(online(hub)) == 26)
            models = {each["model"] for each in rows(hub.run("devices", "ls"))}
            assert models == {"host", "weather-station", "cold-chain-freezer", "power-meter", "pump", "air-quality"}
            told = {command[1]: rows(hub.run(*command[1:])) for command in anywhere}
            assert told.keys() == {"devices", "tail", "query", "send", "commands", "ledger"}
            assert len(told["devices"]) == 26
            assert [each["metric"] for each in told["tail"]] == ["cpu_percent"] * 5
            for row in told["query"]:
                assert 0 <= row["mean"] <= row["max"] <= 100
            (command,) = told["commands"]
            assert (command["device"], command["name"], command["state"]) == ("freezer-01", "set_setpoint", "succeeded")
            assert all(each["balanced"] for each in told["ledger"])
            reports = [host.interrupt(), fleet.interrupt()]
        assert [(report["waiting"], report["problems"]) for report in reports] == [(0, [])] * 2
        sent = sum(report["sent"] for report in reports)
        assert sent == sum(report["acked"] for report in reports) > 1000
        account = verified(hub)
        assert account["lost"] == account["dropped"] == account["pending"] == 0
        assert account["received"] == account["stored"] + sum(account["rejected"].values()) == sent
        assert hub.stop() == 0
        assert verified(hub)["received"] == sent, "and with the hub down"
    assert "Traceback" not in hub.log()


@pytest.mark.slow
def test_the_host_device_agrees_with_psutil(tmp_path: Path) -> None:
    observer = Observer()
    with HubProcess.make(tmp_path / "lab") as hub:
        with running(hub, "devices", "host", "--id", "lab-pc", "--every", "0.5s"):
            until(lambda: bool(online(hub)))
            observer.start()
            began = time.time()
            until(lambda: time.time() - began > WATCH_SECONDS)
            disk, memory = psutil.disk_usage("/").percent, psutil.virtual_memory()
            until(lambda: stored(hub, "cpu_percent", "lab-pc")[-1][0] > time.time() - 1)
            observer.done.set()
            observer.join()
        every = stored(hub, "cpu_percent", "lab-pc")
        mine = [each for each in every if observer.times[0] < each[0] < observer.times[-1]]
        middle = (mine[0][0] + mine[-1][0]) / 2
        halves = [each for each in mine if each[0] < middle], [each for each in mine if each[0] >= middle]
        for part in (mine, *halves):
            expected = observer.percent(part[0][0], part[-1][0])
            share = (mine[-1][0] - mine[0][0]) / (part[-1][0] - part[0][0])  # a shorter time is less exact
            assert measured(part) == pytest.approx(expected, abs=CPU_TOLERANCE * share)
        assert measured(halves[1]) > 100 / (psutil.cpu_count() or 1) - CPU_TOLERANCE * 2, "the load was not seen"
        assert stored(hub, "disk_percent", "lab-pc")[-1][1] == pytest.approx(disk, abs=1)
        assert stored(hub, "memory_percent", "lab-pc")[-1][1] == pytest.approx(memory.percent, abs=5)
        (shown,) = rows(hub.run("devices", "show", "lab-pc", "-o", "json"))
        assert shown["reported"]["memory_bytes"] == memory.total
        assert shown["reported"]["processors"] == psutil.cpu_count()
