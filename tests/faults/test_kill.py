"""kill -9 of the hub while a fleet streams: what was acked is stored, once; and this test can fail."""

import random
import sys
from pathlib import Path

import pytest
import trio

from hub.client.dial import Target
from tests.end_to_end.processes import TELEMETRIO, HubProcess
from tests.faults.streaming import Fleet, Verdict, enrol, read_back, write_model

pytestmark = pytest.mark.slow

DEVICES = 50
KILLS = 5
FEW = 2  # kills, where each of them shows a bug or where there is none to show
DELAYS = (0.3, 1.5)  # seconds that the hub lives, drawn anew each time
LAUNCHER = (sys.executable, "-m", "tests.faults.launcher")


async def stream_and_kill(hub: HubProcess, kills: int, seed: int, devices: int = DEVICES) -> Verdict:
    """Stream from start to end, kill the hub again and again, let the fleet finish, compare."""
    chance = random.Random(seed)
    hub.start()
    target = Target(hub.url, hub.token(), hub.folder / "ca.pem", proxy="")
    fleet = Fleet(target, await enrol(target, [f"counter-{number:03}" for number in range(devices)]))
    async with trio.open_nursery() as nursery:
        await nursery.start(fleet.run)
        for _ in range(kills):
            before = fleet.acked
            with trio.fail_after(60):
                while fleet.acked == before:  # noqa: ASYNC110  (a kill before the first ack would show little)
                    await trio.sleep(0.01)
            await trio.sleep(chance.uniform(*DELAYS))
            await trio.to_thread.run_sync(hub.kill)
            await trio.to_thread.run_sync(hub.start)
        fleet.stop_measuring()
        with trio.fail_after(90):
            await fleet.emptied()
        nursery.cancel_scope.cancel()
    verdict = fleet.compare(await read_back(target))
    assert verdict.acked > 0
    return verdict


def make(tmp_path: Path, *command: str) -> HubProcess:
    settings = {"TELEMETRIO_MODELS__DIRECTORY": str(write_model(tmp_path))}
    return HubProcess.make(tmp_path / "hub", command=command or (*TELEMETRIO, "hub", "serve"), settings=settings)


@pytest.mark.timeout(300)
def test_every_acked_reading_is_stored_once_over_kills(tmp_path: Path) -> None:
    hub = make(tmp_path)
    try:
        verdict = trio.run(stream_and_kill, hub, KILLS, 20261122)
        assert verdict.clean, verdict
        ledger = hub.run("ledger", "--verify", "-o", "json")
        assert ledger.returncode == 0, ledger.stdout + ledger.stderr
        assert hub.stop() == 0
    finally:
        hub.__exit__()


@pytest.mark.timeout(300)
def test_a_cursor_in_a_second_transaction_is_caught(tmp_path: Path) -> None:
    hub = make(tmp_path, *LAUNCHER, "cursor-apart")
    try:
        verdict = trio.run(stream_and_kill, hub, FEW, 7)
        assert verdict.doubled, "the planted bug went unnoticed"
    finally:
        hub.__exit__()


@pytest.mark.timeout(300)
def test_an_ack_before_the_sync_is_caught(tmp_path: Path) -> None:
    hub = make(tmp_path, *LAUNCHER, "ack-before-sync")
    try:
        verdict = trio.run(stream_and_kill, hub, KILLS, 11)
        assert verdict.lost, "the planted bug went unnoticed"
    finally:
        hub.__exit__()


@pytest.mark.timeout(300)
def test_files_that_forget_what_was_not_synced_lose_nothing_of_ours(tmp_path: Path) -> None:
    """The control of the test before: the same files, without the bug."""
    hub = make(tmp_path, *LAUNCHER, "none")
    try:
        verdict = trio.run(stream_and_kill, hub, FEW, 13)
        assert verdict.clean, verdict
    finally:
        hub.__exit__()
