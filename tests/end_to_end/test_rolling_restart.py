"""SIGTERM while a fleet streams, again and again: exit code 0, nothing lost, nothing twice, and all come back."""

import time
from pathlib import Path

import pytest
import trio

from hub.client.dial import Target
from tests.end_to_end.processes import HubProcess
from tests.faults.streaming import Fleet, Verdict, enrol, read_back, write_model

pytestmark = pytest.mark.slow

DEVICES = 40
RESTARTS = 3


async def stream_and_restart(hub: HubProcess) -> Verdict:
    target = Target(hub.url, hub.token(), hub.folder / "ca.pem", proxy="")
    fleet = Fleet(target, await enrol(target, [f"counter-{number:02}" for number in range(DEVICES)]))
    async with trio.open_nursery() as nursery:
        await nursery.start(fleet.run)
        for _ in range(RESTARTS):
            before = fleet.acked
            with trio.fail_after(60):
                while fleet.acked < before + 10 * DEVICES:  # noqa: ASYNC110  (another process sets no event here)
                    await trio.sleep(0.02)
            began = time.monotonic()
            assert await trio.to_thread.run_sync(hub.stop) == 0
            print(f"stopped in {time.monotonic() - began:.2f} s")
            await trio.to_thread.run_sync(hub.start)
        fleet.stop_measuring()
        with trio.fail_after(90):
            await fleet.emptied()
        nursery.cancel_scope.cancel()
    return fleet.compare(await read_back(target))


@pytest.mark.timeout(240)
def test_a_rolling_restart_loses_nothing(tmp_path: Path) -> None:
    settings = {"TELEMETRIO_MODELS__DIRECTORY": str(write_model(tmp_path))}
    with HubProcess.make(tmp_path / "hub", settings=settings) as hub:
        verdict = trio.run(stream_and_restart, hub)
        assert verdict.acked > 0
        assert verdict.clean, verdict
        ledger = hub.run("ledger", "--verify", "-o", "json")
        assert ledger.returncode == 0, ledger.stdout + ledger.stderr
        assert hub.stop() == 0
