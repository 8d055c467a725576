"""``./run faults --soak 30m``: 500 devices for a long time, with everything going wrong at random, and nothing growing.

Devices are switched off and on, and links break, all the time. In the first part the hub, and the process of the
devices, are killed and started again and again; then both live to the end, so that one can see whether they grow. In
the end every set and every ledger must fit, and no process may have grown.
"""

import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import trio

from hub.client.dial import Target
from hub.client.shell import connect
from hub.query import Question, QuestionError
from hub.query.time import parse_duration
from tests.end_to_end.processes import TELEMETRIO, HubProcess
from tests.faults import slopes
from tests.faults.crowd import enrol_many
from tests.faults.lab import TOTALS, Failed, Figures
from tests.faults.record import recount
from tests.faults.streaming import settled, write_model
from tests.faults.watched import Watched, gauges
from tests.faults.witness import write_stored

DEVICES, ON_DISK = 500, 50
LOOK_SECONDS = 2.0
TELL_SECONDS = 60.0
SHAKEN = 0.4  # of the soak: hub and process of the devices are killed
LONGEST_LIFE = 180.0  # seconds until either is killed, while that lasts: from a third of this
LIVES = 2  # in a short soak, at least so many
END_SECONDS = 900.0  # for all to be acked and everybody to have left, on a machine that does much else
REST_SECONDS = 60.0  # for a hub without devices to come to rest
#: Small bounds, so that rings, caches and the store's log are full within the first minute of a life.
SETTINGS = {
    "TELEMETRIO_JOURNAL__TAIL_MB": "1", "TELEMETRIO_JOURNAL__SEGMENT_MB": "1", "TELEMETRIO_STORE__MEMORY_MB": "64",
    "TELEMETRIO_STORE__LOG_MB": "1",
}  # fmt: skip
REST_MORE = {"descriptors": 4.0, "tasks": 6.0}  # than a hub that has just started: threads and connections that idle


class Soak:
    """One soak; ``run`` returns its figures or raises Failed."""

    def __init__(self, length: float, evidence: Path, scratch: Path, command: Sequence[str]) -> None:
        self._length = length
        self._evidence = evidence
        self._folder = scratch
        self._chance = random.Random()
        self._command = command
        self._hub = Watched("hub")
        self._devices = Watched("devices")
        self._herd: subprocess.Popen[bytes] | None = None
        self._status: dict[str, Any] = {}
        self._counted = {"links": 0, "restarts": 0}  # by processes that were killed

    def run(self) -> Figures:
        settings = {"TELEMETRIO_MODELS__DIRECTORY": str(write_model(self._folder))} | SETTINGS
        hub = HubProcess.make(self._folder / "hub", settings=settings, command=self._command)
        try:
            self._start_hub(hub)
            base = gauges(hub)
            trio.run(self._prepare, hub)
            self._start_devices()
            self._watch(hub)
            self._let_devices_leave()
            rest = _come_to_rest(hub, base)
            return self._judge(hub, base, rest)
        finally:
            if self._herd is not None and self._herd.poll() is None:
                self._herd.kill()
            hub.__exit__()

    async def _prepare(self, hub: HubProcess) -> None:
        target = Target(hub.url, hub.token(), hub.folder / "ca.pem", proxy="")
        names = [f"counter-{number:03}" for number in range(DEVICES)]
        told = {
            "url": hub.url, "ca": str(hub.folder / "ca.pem"), "evidence": str(self._evidence),
            "tokens": await enrol_many(target, names), "on_disk": names[:: DEVICES // ON_DISK],
        }  # fmt: skip
        (self._folder / "devices.json").write_text(json.dumps(told))

    # --- while it lasts --------------------------------------------------------------------------------------------

    def _watch(self, hub: HubProcess) -> None:
        """Look, kill, start again, tell; until the time is over."""
        began, told = time.monotonic(), time.monotonic()
        while (now := time.monotonic()) < began + self._length:
            time.sleep(LOOK_SECONDS)
            self._look(hub)
            if now < began + SHAKEN * self._length:
                self._shake(hub, now)
            if now >= told + TELL_SECONDS:
                told = now
                self._tell(now - began)

    def _shake(self, hub: HubProcess, now: float) -> None:
        if now >= self._hub.dies:
            hub.kill()
            self._hub.kills += 1
            self._start_hub(hub)
        elif now >= self._devices.dies:
            self._kill_devices()
            self._start_devices()

    def _look(self, hub: HubProcess) -> None:
        if hub.process is None or hub.process.poll() is not None:
            raise Failed(f"the hub has ended by itself:\n{hub.log()[-2000:]}")
        assert self._herd is not None
        if self._herd.poll() is not None:
            raise Failed(f"the devices have ended by themselves:\n{self._log()[-2000:]}")
        told = gauges(hub)
        self._hub.look(hub.pid, told["process_memory_blocks"], told["tasks"], told["edge_connections"])
        path = self._folder / "status.json"
        status = json.loads(path.read_text()) if path.exists() else {}
        if status.get("pid") == self._herd.pid:
            self._status = status
            self._devices.look(self._herd.pid, status["blocks"], status["tasks"], status["online"])

    def _tell(self, elapsed: float) -> None:
        hub, devices = (watched.looks[-1].figures["rss_mb"] for watched in (self._hub, self._devices))
        print(
            f"soak: {elapsed / 60:.0f} min of {self._length / 60:.0f}: {self._status.get('online', 0)} of {DEVICES} "
            f"online, {self._counted['links'] + self._status.get('links', 0)} links, {self._hub.kills} kills of the "
            f"hub and {self._devices.kills} of the devices, hub {hub:.0f} MB, devices {devices:.0f} MB",
            file=sys.stderr, flush=True,
        )  # fmt: skip

    def _lasts(self) -> float:
        longest = min(LONGEST_LIFE, SHAKEN * self._length / LIVES)
        return self._chance.uniform(longest / 3, longest)

    def _start_hub(self, hub: HubProcess) -> None:
        hub.start()
        self._hub.born(self._lasts())

    def _start_devices(self) -> None:
        command = [sys.executable, "-m", "tests.faults.soak_devices", str(self._folder)]
        with (self._folder / "devices.log").open("ab") as log:
            self._herd = subprocess.Popen(command, stdout=log, stderr=log)
        self._devices.born(self._lasts())

    def _kill_devices(self) -> None:
        assert self._herd is not None
        self._herd.kill()
        self._herd.wait()
        self._devices.kills += 1
        self._count()

    def _count(self) -> None:
        for name in self._counted:
            self._counted[name] += self._status.get(name, 0)
        self._status = {}

    def _log(self) -> str:
        return (self._folder / "devices.log").read_text(errors="replace")

    # --- the end ---------------------------------------------------------------------------------------------------

    def _let_devices_leave(self) -> None:
        assert self._herd is not None
        self._herd.send_signal(signal.SIGTERM)
        try:
            code = self._herd.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            raise Failed(f"not all is acked {END_SECONDS:g} s after the end: {self._status}") from None
        if code != 0:
            raise Failed(f"the devices ended with {code}:\n{self._log()[-2000:]}")
        self._count()

    def _judge(self, hub: HubProcess, base: dict[str, float], rest: dict[str, float]) -> Figures:
        target = Target(hub.url, hub.token(), hub.folder / "ca.pem", proxy="")
        write_stored(self._evidence, trio.run(_read_back, target))
        figures: Figures = recount(self._evidence)
        figures |= {"devices": DEVICES, "on_disk": ON_DISK, "links": self._counted["links"]}
        figures |= {"device_restarts": self._counted["restarts"], "kills": self._hub.kills + self._devices.kills}
        figures |= {"hub_kills": self._hub.kills, "device_kills": self._devices.kills}
        figures |= self._hub.figures() | self._devices.figures()
        with (self._evidence / "looks.jsonl").open("w") as file:
            for watched in (self._hub, self._devices):
                for look in watched.looks:
                    file.write(json.dumps([watched.name, look.life, look.uptime, look.links, look.figures]) + "\n")
        if figures["lost"] or figures["duplicated"] or figures["invented"] or not figures["acked"]:
            raise Failed("the sets differ", figures)
        ledger = hub.run("ledger", "--verify", "-o", "json", timeout=600)
        if ledger.returncode != 0:
            raise Failed(f"the ledger says: {ledger.stderr or ledger.stdout[:2000]}", figures)
        for name, more in REST_MORE.items():
            figures[f"rest_{name}"] = [base[name], rest[name]]
            if rest[name] > base[name] + more:
                raise Failed(f"without devices the hub has {rest[name]:g} {name}, at its start {base[name]:g}", figures)
        for watched in (self._hub, self._devices):
            if grown := slopes.growth(watched.looks):
                raise Failed(f"the {watched.name} grow by {grown} an hour", figures)
        return figures


def _come_to_rest(hub: HubProcess, base: dict[str, float]) -> dict[str, float]:
    """The least that the hub comes down to when all devices have left."""
    deadline = time.monotonic() + REST_SECONDS
    least = gauges(hub)
    while time.monotonic() < deadline and any(least[name] > base[name] for name in REST_MORE):
        time.sleep(0.5)
        now = gauges(hub)
        least = {name: min(value, now.get(name, value)) for name, value in least.items()}
    return least


async def _read_back(target: Target) -> dict[str, list[int]]:
    """Every stored number, by device; a few devices at a time, because an answer is bounded."""
    stored: dict[str, list[int]] = {}
    async with connect(target) as operator:
        with trio.fail_after(END_SECONDS):
            await settled(operator)
        for first in range(0, DEVICES, 25):
            devices = tuple(f"counter-{number:03}" for number in range(first, first + 25))
            answer = await operator.ask(Question(metrics=("n",), devices=devices, limit=1_000_000))
            assert not answer.truncated
            for device, value in zip(answer.columns["device"], answer.columns["value"], strict=True):
                stored.setdefault(str(device), []).append(int(value))
    return stored


def soak(duration: str, evidence: Path | None, command: Sequence[str] = (*TELEMETRIO, "hub", "serve")) -> int:
    """Soak for so long (30m, 90s); tell as the lab does. 1 when it does not hold, 2 for no duration."""
    try:
        length = parse_duration(duration) / 1e6
    except QuestionError as error:
        print(f"faults: {error}", file=sys.stderr)
        return 2
    began = time.monotonic()
    folder = (evidence or Path(tempfile.mkdtemp(prefix="telemetrio-soak-"))) / "F30"
    folder.mkdir(parents=True, exist_ok=True)
    why, figures = "", {}
    with tempfile.TemporaryDirectory(prefix="telemetrio-soak-") as scratch:
        try:
            figures = Soak(length, folder, Path(scratch), command).run()
        except Failed as failed:
            why, figures = str(failed), failed.figures
        except (RuntimeError, OSError, trio.TooSlowError) as error:  # a hub that does not start, or does not answer
            why = f"{type(error).__name__}: {error}"
    if not why and not figures.get("hub_judged_s"):
        print("soak: too short to say whether anything grows: soak for twelve minutes at least", file=sys.stderr)
    row: dict[str, Any] = {"name": f"F30 soak of {duration}", "passed": not why, "figures": figures}
    if why:
        print(f"soak: FAILED: {why}", file=sys.stderr)
        row["why"] = why.strip().splitlines()[0]
    totals = {name: figures.get(name, 0) for name in TOTALS}
    seconds = round(time.monotonic() - began, 1)
    print(json.dumps({"rows": [row], "totals": totals, "evidence": str(folder.parent), "seconds": seconds}))
    return 1 if why else 0
