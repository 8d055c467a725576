"""The stage of the rows that need real processes: a hub, a generator of load, and what is found in the end."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import trio

from hub.client.dial import Target
from hub.client.shell import connect
from tests.faults.checker import wrong
from tests.faults.crashing import VARIABLE
from tests.faults.forge import Forged
from tests.faults.generator import order
from tests.faults.hubs import ForgedHub, make_hub
from tests.faults.lab import Failed, Figures, Lab
from tests.faults.streaming import enrol, settled, write_model

DEVICES = 20
PATIENCE_SECONDS = 60.0  # for what takes a second on a machine that does nothing else
END_SECONDS = 120.0  # for a fleet to have all acked
LIVES_APART = 1_000_000  # what one life of the generator counts from after the other


class Stage:
    """A hub under load. ``ledger`` and ``stored`` in the end are asked for by commands in processes of their own."""

    def __init__(self, lab: Lab, settings: Mapping[str, str] | None = None, **hub: Any) -> None:
        """``hub``: target and arguments of ``ForgedHub``."""
        assert lab.forge is not None
        self._forge, self._lab = lab.forge, lab
        self._settings = {"TELEMETRIO_MODELS__DIRECTORY": str(write_model(lab.scratch)), **(settings or {})}
        self.hub: ForgedHub = make_hub(lab, settings=self._settings, **hub)
        self._lives = 0
        self._tokens: dict[str, str] = {}
        self._devices: Forged | None = None
        self._acked = lab.evidence / "acked.jsonl"
        self._plant = lab.plant or ""
        # Each of twenty devices has a disk of its own; here they would all share one, and that with the hub.
        self._spools = (lab.memory or lab.scratch) / "spools"

    def note(self, **what: Any) -> None:
        """Put down what was done, among the evidence: ``events.jsonl``, with the time."""
        with (self._lab.evidence / "events.jsonl").open("a") as events:
            events.write(json.dumps({"time": round(time.time(), 3), **what}) + "\n")

    # --- the hub ---------------------------------------------------------------------------------------------------

    def start_hub(self) -> float:
        """Seconds until it took links."""
        began = time.monotonic()
        self.hub.start()
        took = time.monotonic() - began
        self.note(hub="started", seconds=round(took, 3))
        return took

    def kill_hub(self) -> None:
        self.hub.kill()
        self.note(hub="killed")

    def arm_hub(self, where: str) -> None:
        """Start one that will kill itself; it may do so before it takes links."""
        self.hub.settings = self._settings | {VARIABLE: where}
        self.note(hub="started", armed=where)
        try:
            self.hub.start()
        except RuntimeError:
            assert self.hub.process is not None
            if self.hub.process.poll() != -9:
                raise
        finally:
            self.hub.settings = self._settings

    def hub_died(self) -> bool:
        """Whether it killed itself, in a while."""
        assert self.hub.process is not None
        return self._died("hub", self.hub.process)

    @property
    def target(self) -> Target:
        return Target(self.hub.url, self.hub.token(), self.hub.folder / "ca.pem", proxy="")

    # --- the devices -----------------------------------------------------------------------------------------------

    def start_devices(self, where: str = "") -> None:
        """Start the generator; with what a killed one has left on its disk. ``where``: a step to kill itself at."""
        if not self._tokens:
            self._tokens = trio.run(enrol, self.target, [f"counter-{number:02}" for number in range(DEVICES)])
        first, self._lives = self._lives * LIVES_APART, self._lives + 1
        path = self._lab.scratch / "order.json"
        order(path, self.target, self._tokens, self._lab.evidence, self._spools, first)
        env = {VARIABLE: where} if where else {}
        self.note(devices="started", first=first, armed=where)
        self._devices = self._forge.start(
            "tests.faults.generator:generate", str(path), self._plant, env=env, log=self._lab.evidence / "devices.log"
        )

    def kill_devices(self) -> None:
        assert self._devices is not None
        if self._devices.poll() is not None:
            raise RuntimeError(f"the devices ended by themselves: {self._devices.returncode}; see devices.log")
        self._devices.kill()
        self._devices.wait(PATIENCE_SECONDS)
        self.note(devices="killed")

    def devices_died(self) -> bool:
        """Whether the generator killed itself, in a while."""
        assert self._devices is not None
        return self._died("devices", self._devices)

    def _died(self, name: str, process: Any) -> bool:
        ended = _until(lambda: process.poll() is not None)
        self.note(**{name: "killed itself" if ended else "did not come to the step"}, code=process.poll())
        return ended and process.poll() == -9

    # --- both ------------------------------------------------------------------------------------------------------

    def halt(self, whom: str) -> None:
        """SIGSTOP the ``hub`` or the ``devices``."""
        self._signal(whom, signal.SIGSTOP)

    def wake(self, whom: str) -> None:
        """SIGCONT."""
        self._signal(whom, signal.SIGCONT)

    def _signal(self, whom: str, number: signal.Signals) -> None:
        process = self.hub.process if whom == "hub" else self._devices
        assert process is not None
        process.send_signal(number)
        self.note(**{whom: number.name})

    def progress(self) -> None:
        """Until something more is acked: a kill before that would show little."""
        before = self._size()
        if not _until(lambda: self._size() > before):
            raise RuntimeError(f"nothing is acked any more:\n{self.hub.log()[-2000:]}")

    def _size(self) -> int:
        return self._acked.stat().st_size if self._acked.exists() else 0

    def finish(self) -> Figures:
        """``drain`` and ``judge``."""
        self.drain()
        return self.judge()

    def drain(self) -> None:
        """Let the devices measure no more and have all acked."""
        assert self._devices is not None
        self._devices.terminate()
        if (code := self._devices.wait(END_SECONDS)) != 0:
            raise RuntimeError(f"the devices ended with {code}; see devices.log")

    def judge(self) -> Figures:
        """Ask what is stored and have the checker compare; Failed where it differs or the ledger does not balance."""
        trio.run(_all_stored, self.target)
        evidence = self._lab.evidence
        question = ("query", "n", "x", "--limit", "1000000", "-o", "ndjson")
        asked = self.hub.command_to(evidence / "stored.ndjson", evidence / "stored.log", *question)
        if asked.wait(PATIENCE_SECONDS) != 0:
            raise RuntimeError(f"the store did not answer; see {evidence}/stored.log")
        ledger = self.hub.command_to(
            evidence / "ledger.json", evidence / "ledger.log", "ledger", "--verify", "-o", "json"
        )
        balanced = ledger.wait(2 * PATIENCE_SECONDS) == 0
        figures = count_again(evidence)
        if wrong(figures) or not figures["acked"]:
            raise Failed(f"the sets differ: {figures}", figures)
        if not balanced:
            raise Failed(f"the ledger says: {(evidence / 'ledger.log').read_text()[-2000:]}", figures)
        return figures

    def end(self) -> None:
        """Nothing of it runs any more."""
        self.hub.__exit__()
        if self._devices is not None:
            self._devices.kill()


def count_again(evidence: Path) -> Figures:
    """What the checker says, in a process of its own."""
    command = [sys.executable, "-m", "tests.faults.record", str(evidence)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        told = json.loads(done.stdout)
    except ValueError:
        raise RuntimeError(f"the checker failed: {done.stderr}") from None
    return {name: count for name, count in told.items() if name != "record"}


async def _all_stored(target: Target) -> None:
    async with connect(target) as operator:
        with trio.fail_after(PATIENCE_SECONDS):
            await settled(operator)


def _until(true: Callable[[], bool]) -> bool:
    """Look again and again, as other processes tell nothing."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not true():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True
