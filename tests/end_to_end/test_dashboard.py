"""The dashboard in a real terminal, before a real hub with a real fleet: what a person does, and what is left after."""

import re
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.end_to_end.processes import TELEMETRIO, HubProcess, environment
from tests.end_to_end.terminal import Terminal, need_tmux

DEVICES = 5  # one of each model
SIZES = [(80, 24), (200, 60)]


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubProcess]:
    need_tmux()
    folder = tmp_path_factory.mktemp("dashboard") / "hub"
    with HubProcess.make(folder) as hub, fleet(hub):
        yield hub


def reaching(hub: HubProcess) -> dict[str, str]:
    return environment(hub.folder) | {"TELEMETRIO_URL": hub.url}


@contextmanager
def fleet(hub: HubProcess) -> Iterator[None]:
    command = [*TELEMETRIO, "devices", "fleet", "demo", "-n", str(DEVICES)]
    with (
        (hub.folder / "fleet.log").open("wb") as log,
        subprocess.Popen(command, env=reaching(hub), stdin=subprocess.DEVNULL, stdout=log, stderr=log) as run,
    ):
        try:
            yield
        finally:
            run.terminate()


@contextmanager
def terminal(environment: Mapping[str, str], size: tuple[int, int]) -> Iterator[Terminal]:
    with (
        tempfile.TemporaryDirectory(prefix="tmux-") as place,  # a socket's path may have 107 bytes
        Terminal(Path(place) / "socket", *size, environment) as opened,
    ):
        yield opened


@pytest.mark.parametrize("size", SIZES, ids=["80x24", "200x60"])
def test_a_person_finds_a_device_commands_it_and_leaves(hub: HubProcess, size: tuple[int, int]) -> None:
    with terminal(reaching(hub), size) as screen:
        screen.run("telemetrio", "dash")
        screen.wait_for(f"{DEVICES} devices", f"● {DEVICES} online", "pump-01", "weather-01")
        assert screen.told("#{alternate_on}") == "1"

        screen.type("/")
        screen.wait_for("name, model, state or label")
        screen.type("pump", "Enter")
        screen.wait_for(f"1 of {DEVICES} devices", "pump-01", but="weather-01")

        screen.type("Enter")
        screen.wait_for("pump-01", "LEDGER", "✓ balanced", "last 5 min")
        screen.wait_until(lambda shown: bool(re.search("[⠁-⣿]", shown)), "a curve")
        screen.wait_until(lambda shown: bool(re.search(r"stored +[1-9]", shown)), "stored readings")

        screen.type("c")
        screen.wait_for("Command for pump-01", "set_speed")
        screen.type("Enter")  # the first one, start, takes no arguments
        screen.wait_for("✓ succeeded", "ms")
        screen.type("Escape")
        screen.wait_for("LEDGER", but="Command for")
        screen.type("3")
        screen.wait_for("✓ succeeded", "pump-01", "start", "by admin")

        screen.type("q")
        screen.wait_for("code=0")
        screen.assert_given_back()


def test_a_wrong_argument_is_told_in_the_form_and_sends_nothing(hub: HubProcess) -> None:
    with terminal(reaching(hub), SIZES[0]) as screen:
        screen.run("telemetrio", "dash")
        screen.wait_for("pump-01")
        row = next(n for n, line in enumerate(screen.screen().splitlines(), 1) if "pump-01" in line)
        screen.click(6, row)  # the mouse works: the cursor goes there
        screen.type("c")
        screen.wait_for("Command for pump-01")
        screen.type("Down", "Down")
        screen.wait_for("300 to 3600")
        screen.type("Enter")
        screen.wait_for_cursor_at("speed *")
        screen.type("999999", "Enter")
        shown = screen.wait_for("▲ speed = 999999.0 is not allowed", "300 to 3600")
        assert "queued" not in shown
        screen.type("Escape")
        screen.wait_for("5/5 online", but="Command for")  # Escape and a letter at once would be Alt and the letter
        screen.type("q")
        screen.wait_for("code=0")
        screen.assert_given_back()


def test_a_demo_on_a_terminal_shows_its_fleet_and_q_ends_all_of_it(tmp_path: Path) -> None:
    need_tmux()
    folder = tmp_path / "demo"
    with terminal(environment(tmp_path), SIZES[0]) as screen:
        screen.run("telemetrio", "demo", "--devices", str(DEVICES), "--dir", str(folder))
        screen.wait_for(f"{DEVICES} devices", f"● {DEVICES} online", "pump-01")
        pid = int(re.findall(r'"pid": ?(\d+)', (folder / "data" / "hub.json").read_text())[0])
        screen.type("q")
        shown = screen.wait_for("ledger_balanced  yes", "code=0", seconds=60)
        assert f"devices_online   {DEVICES}" in shown
        screen.assert_given_back()
    assert not Path(f"/proc/{pid}").exists()
