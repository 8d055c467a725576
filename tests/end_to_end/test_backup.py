"""A real hub is backed up, and put back: all of it on another disk, or its state file alone when that is damaged."""

import json
import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import trio

from hub.cli.exits import Exit
from hub.client.shell import connect
from tests.end_to_end.processes import HubProcess, rows, running, until, verified
from tests.faults.disturbed import target_of
from tests.faults.streaming import settled, write_model
from tests.faults.test_store_damage import ask, stream

pytestmark = pytest.mark.slow

SHIPPED: Final = Path(__file__).parents[2] / "configs" / "models"


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[HubProcess]:
    models = write_model(tmp_path)
    shutil.copy(SHIPPED / "weather-station.toml", models)
    hub = HubProcess.make(tmp_path / "hub", settings={"TELEMETRIO_MODELS__DIRECTORY": str(models)})
    try:
        hub.start()
        trio.run(stream, hub, 1.0)
        yield hub
    finally:
        hub.__exit__()


def flip(path: Path, value: bytes) -> None:
    """One bit of it, where only the file's own checksums see that."""
    content = bytearray(path.read_bytes())
    content[bytes(content).rindex(value) + 1] ^= 1
    path.write_bytes(content)


def fails_to_start(hub: HubProcess) -> str:
    """Why the hub ended; not with a traceback."""
    before = len(hub.log())
    with pytest.raises(RuntimeError):
        hub.start()
    said = hub.log()[before:]
    assert "Traceback" not in said
    assert hub.process is not None
    assert hub.process.returncode == Exit.FAILED
    return said


def ledger(hub: HubProcess) -> dict[str, Any]:
    return dict(json.loads(hub.run("ledger", "-o", "json").stdout))


@pytest.mark.timeout(300)
def test_archive_a_damaged_state_file_stops_the_start_with_the_command_that_restores_it(hub: HubProcess) -> None:
    before, state = ask(hub), hub.folder / "data" / "state.sqlite"
    assert hub.stop() == 0
    flip(state, b'["n", "/", "int"]')
    damaged = state.read_bytes()

    said = fails_to_start(hub)
    assert f"the state file {state} is damaged: a row of devices is not what was written" in said
    proof = hub.run("ledger", "--verify")
    assert proof.returncode == Exit.FAILED
    assert "Traceback" not in proof.stderr
    command = re.search(r"telemetrio (hub restore --state)", said)
    assert command is not None
    assert command[1] in proof.stderr
    assert state.read_bytes() == damaged, "nothing was tried on it"

    restored = hub.run(*shlex.split(command[1]), "-o", "json")
    assert restored.returncode == 0, restored.stderr
    told = json.loads(restored.stdout)
    assert Path(told["set_aside"]).read_bytes() == damaged
    assert told["devices"] == len(before["ledger"])
    hub.start()
    assert ask(hub) == before
    verified(hub)


@pytest.mark.timeout(300)
def test_archive_a_state_file_of_a_backup_loses_nothing_that_came_since(hub: HubProcess, tmp_path: Path) -> None:
    backup = tmp_path / "backup"
    (made,) = rows(hub.run("hub", "backup", str(backup)))
    assert (made["missing"], made["copied_bytes"]) == ([], made["bytes"])
    hub.run("devices", "enroll", "late-1")
    with running(hub, "devices", "run", "late-1", "weather-station", "--every", "0.1s") as late:
        until(lambda: any(row["device"] == "late-1" for row in rows(hub.run("ledger"))))
        late.interrupt()
    trio.run(stream, hub, 0.5)
    trio.run(settle, hub)
    before = ask(hub)
    hub.kill()  # and its own copy is as old as it gets
    (hub.folder / "data" / "state.sqlite").unlink()
    (hub.folder / "data" / "state.copy").unlink(missing_ok=True)
    assert "telemetrio hub restore --state BACKUP" in fails_to_start(hub)
    restored = hub.run("hub", "restore", "--state", str(backup))
    assert restored.returncode == 0, restored.stderr
    assert "tokens given since then are unknown" in restored.stderr
    hub.start()
    trio.run(settle, hub)
    assert verified(hub)["lost"] == 0
    (caution,) = rows(hub.run("hub", "status"))[0]["problems"]
    assert "late-1 cannot come in. Let each in again with 'telemetrio devices enroll'" in caution
    hub.run("devices", "enroll", "late-1")
    assert rows(hub.run("hub", "status"))[0]["problems"] == []
    assert ask(hub) == before


@pytest.mark.timeout(300)
def test_a_hub_that_is_backed_up_while_it_writes_its_state_file_forgets_nothing(
    hub: HubProcess, tmp_path: Path
) -> None:
    """Both processes have the file open, and each must see the other's locks on it."""
    names: list[str] = []

    async def enrol(stop: trio.Event) -> None:
        async with connect(target_of(hub)) as operator:
            while not stop.is_set():
                await operator.call("devices.enroll", device=f"late-{len(names)}", labels={})
                names.append(f"late-{len(names)}")

    async def main() -> None:
        stop = trio.Event()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(enrol, stop)
            for _ in range(4):
                made = await trio.to_thread.run_sync(hub.run, "hub", "backup", str(tmp_path / "backup"))
                assert made.returncode == 0, made.stderr
            stop.set()

    trio.run(main)
    hub.kill()
    hub.start()
    assert {row["device"] for row in rows(hub.run("devices", "ls"))} >= set(names)
    assert len(names) > 10


@pytest.mark.timeout(300)
def test_a_backup_that_is_put_back_is_the_hub_of_then(hub: HubProcess, tmp_path: Path) -> None:
    backup, data = tmp_path / "backup", hub.folder / "data"
    trio.run(settle, hub)
    before = ask(hub)
    assert hub.run("hub", "backup", str(backup)).returncode == 0
    log = (data / "log").read_text()
    for why in (f"a hub runs on {data}: stop it", f"{data} has something in it already"):
        refused = hub.run("hub", "restore", str(backup))
        assert refused.returncode == Exit.FAILED
        assert why in refused.stderr
        if hub.process is not None and hub.process.poll() is None:
            hub.kill()
    shutil.rmtree(data)
    restored = hub.run("hub", "restore", str(backup), "-o", "json")
    assert restored.returncode == 0, restored.stderr
    assert (data / "log").read_text() == log, "devices keep their epochs"
    hub.start()
    trio.run(settle, hub)
    assert ask(hub) == before
    verified(hub)


@pytest.mark.timeout(300)
def test_what_was_acked_after_the_backup_is_booked_as_lost_when_all_is_put_back(
    hub: HubProcess, tmp_path: Path
) -> None:
    backup, data, spool = tmp_path / "backup", hub.folder / "data", tmp_path / "spool"
    device = ("devices", "run", "ws-1", "weather-station", "--every", "0.1s", "--seconds", "2", "--spool", str(spool))
    assert hub.run(*device, timeout=120).returncode == 0
    assert hub.run("hub", "backup", str(backup)).returncode == 0
    then = next(row for row in ledger(hub)["entries"] if row["device"] == "ws-1")
    assert hub.run(*device, timeout=120).returncode == 0
    since = next(row for row in ledger(hub)["entries"] if row["device"] == "ws-1")
    hub.kill()
    shutil.rmtree(data)
    assert hub.run("hub", "restore", str(backup)).returncode == 0
    hub.start()
    assert hub.run(*device, timeout=120).returncode == 0
    told = ledger(hub)
    entries = [row for row in told["entries"] if row["device"] == "ws-1"]
    assert entries[0]["lost"] == [[then["next"], since["next"] - 1]], "acked since the backup, and gone"
    assert told["balanced"]
    assert hub.run("ledger").returncode == Exit.FAILED, "a hub that cannot lie about its own loss"


async def settle(hub: HubProcess) -> None:
    """Until every follower has taken in all."""
    async with connect(target_of(hub)) as operator:
        await settled(operator)
