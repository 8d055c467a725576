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

from tests.end_to_end.processes import HubProcess
from tests.end_to_end.walking import Running, lines, online, until, verified

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
    rows = lines(hub.run("query", metric, "--device", device, "--last", "10m"))
    return [(datetime.fromisoformat(row["time"]).timestamp(), row["value"]) for row in rows]


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
    (init, serve, *terminals, dash), anywhere = written("Step by step, in separate terminals")
    assert (init[1], serve[1:], dash[1:]) == ("init", ["hub", "serve"], ["dash"])
    with HubProcess.make(tmp_path / "lab") as hub:
        host, fleet = (Running(hub, tuple(command[1:])) for command in terminals)
        with host, fleet:
            until(lambda: len(online(hub)) == 26, "host and fleet online", host, fleet)
            models = {each["model"] for each in lines(hub.run("devices", "ls"))}
            assert models == {"host", "weather-station", "cold-chain-freezer", "power-meter", "pump", "air-quality"}
            told = {command[1]: lines(hub.run(*command[1:])) for command in anywhere}
            assert told.keys() == {"devices", "tail", "query", "send", "commands", "ledger"}
            assert len(told["devices"]) == 26
            assert [each["metric"] for each in told["tail"]] == ["cpu_percent"] * 5
            for row in told["query"]:
                assert 0 <= row["mean"] <= row["max"] <= 100
            (command,) = told["commands"]
            assert (command["device"], command["name"], command["state"]) == ("freezer-01", "set_setpoint", "succeeded")
            assert all(each["balanced"] for each in told["ledger"])
            for command_line in (host, fleet):
                code, report = command_line.stop()
                assert code == 0, command_line.log.read_text()
                assert report["waiting"] == 0
                assert report["sent"] == report["acked"]
        told = verified(hub)
        assert told["lost"] == told["dropped"] == told["pending"] == 0
        assert told["received"] == told["stored"] + sum(told["rejected"].values()) > 1000
        assert hub.stop() == 0
        verified(hub)  # and with the hub down


@pytest.mark.slow
def test_the_host_device_agrees_with_psutil(tmp_path: Path) -> None:
    observer = Observer()
    with HubProcess.make(tmp_path / "lab") as hub:
        with Running(hub, ("devices", "host", "--id", "lab-pc", "--every", "0.5s")) as host:
            until(lambda: online(hub), "the host device online", host)
            observer.start()
            began = time.time()
            until(lambda: time.time() - began > WATCH_SECONDS, "the time of the comparison")
            disk, memory = psutil.disk_usage("/").percent, psutil.virtual_memory()
            until(lambda: stored(hub, "cpu_percent", "lab-pc")[-1][0] > time.time() - 1, "the last readings")
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
        (shown,) = lines(hub.run("devices", "show", "lab-pc", "-o", "json"))
        assert shown["reported"]["memory_bytes"] == memory.total
        assert shown["reported"]["processors"] == psutil.cpu_count()
