"""Real processes for the tests: a hub on a directory of its own, and commands run against it."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

START_SECONDS = 90.0  # a loaded machine importing DuckDB for the first time
STOP_SECONDS = 90.0
TELEMETRIO = (sys.executable, "-m", "hub.cli")


def telemetrio(
    *arguments: str, folder: Path, timeout: float = 60, env: Mapping[str, str] | None = None, stdin: str | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command as a person would, with the settings of ``folder``."""
    return subprocess.run(
        [*TELEMETRIO, *arguments],
        env=environment(folder) | dict(env or {}), capture_output=True, text=True, timeout=timeout, input=stdin,
        check=False,
    )  # fmt: skip


def environment(folder: Path) -> dict[str, str]:
    clean = {key: value for key, value in os.environ.items() if not key.startswith("TELEMETRIO_")}
    return clean | {"TELEMETRIO_CONFIG": str(folder / "telemetrio.toml"), "NO_COLOR": "1"}


@dataclass
class HubProcess:
    """A hub as a process. ``command`` may name another launcher (planted bugs)."""

    folder: Path
    command: Sequence[str] = (*TELEMETRIO, "hub", "serve")
    settings: Mapping[str, str] = field(default_factory=dict)  # TELEMETRIO_... of the environment
    process: "subprocess.Popen[bytes] | None" = None
    url: str = ""
    http: str = ""

    @classmethod
    def make(cls, folder: Path, **more: Any) -> Self:
        """Initialise ``folder`` and return its hub, not yet started. Ports are free ones, kept over restarts."""
        done = telemetrio("init", str(folder), folder=folder)
        assert done.returncode == 0, done.stderr
        return cls(folder, **more)

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def start(self) -> Self:
        """Start it and wait until it says that it is ready."""
        ready = self.folder / "data" / "hub.json"
        ready.unlink(missing_ok=True)
        ports = {
            "TELEMETRIO_HUB__LISTEN": self.url.removeprefix("wss://").replace("localhost", "127.0.0.1")
            or "127.0.0.1:0",
            "TELEMETRIO_HUB__HTTP": self.http.removeprefix("http://") or "127.0.0.1:0",
        }
        self.process = self.spawn(environment(self.folder) | ports | dict(self.settings))
        deadline = time.monotonic() + START_SECONDS
        while not ready.exists():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the hub did not start:\n{self.log()[-3000:]}")
            time.sleep(0.02)
        told = json.loads(ready.read_text())
        self.url, self.http = told["url"], told["http"]
        return self

    def spawn(self, variables: Mapping[str, str]) -> "subprocess.Popen[bytes]":
        """The process itself, with these variables of the environment."""
        with (self.folder / "hub.log").open("ab") as log:
            return subprocess.Popen(self.command, env=variables, stdout=log, stderr=log)

    def log(self) -> str:
        return (self.folder / "hub.log").read_text(errors="replace")

    def kill(self) -> None:
        """kill -9, and wait until it is gone."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(STOP_SECONDS)

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(STOP_SECONDS)

    def token(self, name: str = "admin") -> str:
        return (self.folder / f"{name}.token").read_text().strip()

    def run(self, *arguments: str, timeout: float = 60, stdin: str | None = None) -> "subprocess.CompletedProcess[str]":
        """A command of the CLI against this hub, as admin."""
        return telemetrio(
            *arguments, folder=self.folder, timeout=timeout, stdin=stdin,
            env={"TELEMETRIO_CLIENT__URL": self.url, "TELEMETRIO_URL": self.url},
        )  # fmt: skip

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        if self.process is not None and self.process.poll() is None:
            self.kill()


@dataclass
class Running:
    """A command that runs until it is told to stop."""

    process: "subprocess.Popen[str]"

    def interrupt(self) -> dict[str, Any]:
        """Ctrl-C; what it told in the end. It must end with exit code 0."""
        self.process.send_signal(signal.SIGINT)
        out, err = self.process.communicate(timeout=STOP_SECONDS)
        assert self.process.returncode == 0, err
        assert "Traceback" not in err
        return dict(json.loads(out))


@contextmanager
def running(hub: HubProcess, *words: str, env: Mapping[str, str] | None = None) -> Iterator[Running]:
    """A command of the CLI in the background; gone at the end of the block."""
    variables = environment(hub.folder) | {"TELEMETRIO_URL": hub.url} | dict(env or {})
    pipe = subprocess.PIPE
    with subprocess.Popen([*TELEMETRIO, *words], env=variables, stdout=pipe, stderr=pipe, text=True) as process:
        try:
            yield Running(process)
        finally:
            process.kill()


def rows(ran: "subprocess.CompletedProcess[str]") -> list[dict[str, Any]]:
    """What a command that must succeed wrote: its lines of JSON."""
    assert ran.returncode == 0, ran.stderr
    return [json.loads(line) for line in ran.stdout.splitlines()]


def online(hub: HubProcess) -> set[str]:
    """Names of the devices that are online now."""
    return {row["device"] for row in rows(hub.run("devices", "ls")) if row["state"] == "online"}


def verified(hub: HubProcess) -> dict[str, Any]:
    """What ``ledger --verify`` says, in a process of its own; it must balance."""
    told = json.loads((ran := hub.run("ledger", "--verify", "-o", "json")).stdout or "{}")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert (told["balanced"], told["verified"], told["problems"]) == (True, True, [])
    return dict(told)


def until(true: Callable[[], bool], seconds: float = 60.0) -> None:
    """Look again and again, as other processes tell nothing."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)
