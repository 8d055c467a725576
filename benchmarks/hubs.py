"""Starts what is measured, a hub or a peer, as a process of its own, and reads its figures from the kernel."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import trio

from hub.client.dial import Target
from hub.client.shell import connect

START_SECONDS = 20.0
TICK = os.sysconf("SC_CLK_TCK")
MODEL = """\
description = "What the benchmarks send: limits on every metric, as a real model has."
[metrics.temperature]
unit = "Cel"
type = "float64"
min = -60.0
max = 100.0
[metrics.humidity]
unit = "%RH"
type = "float64"
min = 0.0
max = 100.0
[metrics.pressure]
unit = "hPa"
type = "float64"
min = 300.0
max = 1200.0
[metrics.axis_x]
unit = "m/s2"
type = "float32"
min = -160.0
max = 160.0
[metrics.axis_y]
unit = "m/s2"
type = "float32"
min = -160.0
max = 160.0
[metrics.axis_z]
unit = "m/s2"
type = "float32"
min = -160.0
max = 160.0
"""


@dataclass
class Server:
    """A running server: where to reach it, and its process."""

    url: str
    pid: int
    folder: Path
    ca: Path
    tokens: Path
    hub: bool

    def cpu(self) -> float:
        """CPU-seconds, user and system, that the process has used."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICK

    def rss(self) -> float:
        """Resident memory in MiB."""
        line = next(x for x in Path(f"/proc/{self.pid}/status").read_text().splitlines() if x.startswith("VmRSS"))
        return int(line.split()[1]) / 1024

    async def settle(self) -> None:
        """Wait until every follower has taken in all that is durable, so that its work is in the bill."""
        if not self.hub:
            await trio.sleep(1.0)
            return
        token = (self.folder / "admin.token").read_text().strip()
        async with connect(Target(self.url, token, self.ca)) as operator:
            with trio.fail_after(60):
                while True:
                    status = await operator.call("status")
                    if all(follower["lag"] == 0 for follower in status["followers"]):
                        return
                    await trio.sleep(0.05)


async def enrol(server: Server, count: int) -> None:
    token = (server.folder / "admin.token").read_text().strip()
    names = [f"bench-{number:05}" for number in range(count)]
    async with connect(Target(server.url, token, server.ca)) as operator:
        tokens = [(await operator.call("devices.enroll", device=name))["token"] for name in names]
    server.tokens.write_text("\n".join(tokens))


@contextmanager
def hub(folder: Path, devices: int) -> Iterator[Server]:
    """A hub on a fresh directory with that many devices enrolled."""
    models = folder / "models"
    models.mkdir(parents=True)
    (models / "benchmark.toml").write_text(MODEL)
    telemetrio = [sys.executable, "-m", "hub.cli"]
    subprocess.run([*telemetrio, "init", str(folder)], check=True, stdout=subprocess.DEVNULL)
    flags = {
        "TELEMETRIO_HUB__LISTEN": "127.0.0.1:0", "TELEMETRIO_HUB__HTTP": "127.0.0.1:0",
        "TELEMETRIO_MODELS__DIRECTORY": str(models), "TELEMETRIO_LOG__LEVEL": "warning",
    }  # fmt: skip
    config = str(folder / "telemetrio.toml")
    process = subprocess.Popen([*telemetrio, "hub", "serve", "--config", config], env=os.environ | flags)
    try:
        ready = folder / "data" / "hub.json"
        deadline = time.monotonic() + START_SECONDS
        while not ready.exists():
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("the hub did not start")
            time.sleep(0.05)
        url = json.loads(ready.read_text())["url"]
        server = Server(url, process.pid, folder, folder / "ca.pem", folder / "tokens.txt", True)
        trio.run(enrol, server, devices)
        yield server
    finally:
        process.terminate()
        process.wait(30)


@contextmanager
def peer(name: str, folder: Path, devices: int) -> Iterator[Server]:
    """One of the peers, with a certificate of its own."""
    folder.mkdir(parents=True)
    subprocess.run([sys.executable, "-m", "hub.cli", "init", str(folder)], check=True, stdout=subprocess.DEVNULL)
    tls = ["--cert", str(folder / "hub.pem"), "--key", str(folder / "hub.key"), "--data", str(folder)]
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.peers", name, *tls], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        (folder / "tokens.txt").write_text("\n".join(f"token-{number}" for number in range(devices)))
        yield Server(url, process.pid, folder, folder / "ca.pem", folder / "tokens.txt", False)
    finally:
        process.terminate()
        process.wait(30)
