"""What the walk of the README needs beside a hub: commands that run until they are told to stop, and patience."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from tests.end_to_end.processes import STOP_SECONDS, TELEMETRIO, HubProcess, environment

PATIENCE = 60.0  # seconds for something to come about on a loaded machine


@dataclass
class Running:
    """A command in another terminal, stopped as people do: with Ctrl-C. ``more`` goes into its environment."""

    hub: HubProcess
    arguments: tuple[str, ...]
    more: Mapping[str, str] = field(default_factory=dict)
    process: "subprocess.Popen[str] | None" = None

    @property
    def log(self) -> Path:
        return self.hub.folder / f"{'-'.join(self.arguments[:2])}-{id(self)}.log"

    def __enter__(self) -> Self:
        variables = environment(self.hub.folder) | {"TELEMETRIO_URL": self.hub.url, **self.more}
        with self.log.open("w") as err:
            self.process = subprocess.Popen(
                [*TELEMETRIO, *self.arguments], env=variables, stdout=subprocess.PIPE, stderr=err, text=True
            )
        return self

    def stop(self) -> tuple[int, dict[str, Any]]:
        """Ctrl-C; the exit code, and the report that it prints at its end."""
        assert self.process is not None
        self.process.send_signal(signal.SIGINT)
        out, _ = self.process.communicate(timeout=STOP_SECONDS)
        return self.process.returncode, json.loads(out.splitlines()[-1])

    def __exit__(self, *_: object) -> None:
        assert self.process is not None
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()


def until(condition: Callable[[], Any], what: str, *commands: Running) -> Any:
    """Poll other processes until ``condition`` gives something true; what it gives. ``commands`` must go on running."""
    deadline = time.monotonic() + PATIENCE
    while not (found := condition()):
        for command in commands:
            assert command.process is not None
            assert command.process.poll() is None, command.log.read_text()
        assert time.monotonic() < deadline, f"not within {PATIENCE:g} s: {what}"
        time.sleep(0.1)
    return found


def lines(done: "subprocess.CompletedProcess[str]") -> list[dict[str, Any]]:
    """What a command printed, a JSON object a line; it must have ended well."""
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def online(hub: HubProcess, **more: str) -> set[str]:
    """Names of the devices that are online now."""
    return {each["device"] for each in lines(hub.run("devices", "ls", **more)) if each["state"] == "online"}  # type: ignore[arg-type]


def verified(hub: HubProcess) -> dict[str, Any]:
    """What ``ledger --verify`` says, in a process of its own; it must balance."""
    done = hub.run("ledger", "--verify", "-o", "json")
    assert done.returncode == 0, done.stdout + done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    assert told["balanced"] is True
    assert told["verified"] is True
    assert told["problems"] == []
    return told


def gone(pid: int) -> bool:
    """Has the process ended?"""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False
