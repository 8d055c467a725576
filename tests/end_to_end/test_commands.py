"""Commands over the deaths of device and hub, both processes: none is acted upon twice, none is forgotten."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from hub.client.blocking import Hub
from hub.client.dial import Target
from tests.end_to_end.poked import MODEL, NAME
from tests.end_to_end.processes import HubProcess, environment, until, verified

pytestmark = pytest.mark.slow

TIMEOUT_SECONDS = 25.0  # of a command; a hub is killed and started again within it, on a busy machine too


@contextmanager
def poked(hub: HubProcess, token: str, folder: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """The device's process, online; killed at the end of the block."""
    words = [sys.executable, "-m", "tests.end_to_end.poked", hub.url, str(hub.folder / "ca.pem"), token, str(folder)]
    with subprocess.Popen(words, env=environment(hub.folder), stdout=subprocess.DEVNULL) as process:
        try:
            until(lambda: is_online(hub))
            yield process
        finally:
            process.kill()


def trace(folder: Path) -> list[str]:
    """What it has acted upon, in order."""
    path = folder / "trace"
    return path.read_text().split() if path.exists() else []


def asked(hub: HubProcess) -> Hub:
    return Hub(Target(hub.url, hub.token(), hub.folder / "ca.pem", proxy=""))


def send(hub: HubProcess, n: int) -> str:
    """Send it; the command's id."""
    return asked(hub).send_command(NAME, "poke", {"n": n}, TIMEOUT_SECONDS, wait=False)["id"]


def shown(hub: HubProcess, id: str) -> dict[str, Any]:
    return dict(asked(hub).call("commands.show", id=id))


def state(hub: HubProcess, id: str) -> str:
    return str(shown(hub, id)["state"])


def is_online(hub: HubProcess) -> bool:
    return bool(asked(hub).call("devices.show", device=NAME)["state"] == "online")


@pytest.mark.timeout(240)
def test_commands_none_is_acted_upon_twice_or_forgotten_whoever_is_killed(tmp_path: Path) -> None:
    models, folder = tmp_path / "models", tmp_path / "device"
    models.mkdir()
    folder.mkdir()
    (models / "poked.toml").write_text(MODEL)
    with HubProcess.make(tmp_path / "hub", settings={"TELEMETRIO_MODELS__DIRECTORY": str(models)}) as hub:
        token = asked(hub).call("devices.enroll", device=NAME)["token"]
        with poked(hub, token, folder) as device:
            killed = send(hub, 1)
            until(lambda: trace(folder) == ["1"])
            device.kill()
        with poked(hub, token, folder) as device:
            until(lambda: state(hub, killed) == "failed")
            assert "not known" in shown(hub, killed)["value"]
            assert trace(folder) == ["1"], "it is not acted upon again"

            busy = send(hub, 2)
            until(lambda: state(hub, busy) == "acknowledged")
            device.send_signal(signal.SIGSTOP)
            unread = send(hub, 3)
            until(lambda: state(hub, unread) == "sent")
            hub.kill()
            hub.start()
            assert (state(hub, busy), state(hub, unread)) == ("acknowledged", "sent"), (
                "what left waits for its deadline"
            )
            until(lambda: (state(hub, busy), state(hub, unread)) == ("timed_out", "timed_out"))
            device.send_signal(signal.SIGCONT)
            (folder / "release").touch()
            until(lambda: state(hub, busy) == "succeeded")
            late = shown(hub, busy)
            assert (late["late"], late["value"]) == (True, 2)
            assert state(hub, unread) in ("timed_out", "expired"), "whether it found it on the dead link or not"
            assert trace(folder) == ["1", "2"], "nothing is begun after its deadline, nor sent again"
            until(lambda: is_online(hub))
            after = send(hub, 4)
            until(lambda: state(hub, after) == "succeeded")
            assert trace(folder) == ["1", "2", "4"]
        verified(hub)
