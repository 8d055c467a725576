"""A sync of the journal fails with EIO: that process never acks again and ends with an exit code other than 0; the next
one has everything that was acked. On a real process, whose system calls strace spoils."""

import shutil
import subprocess
from pathlib import Path

import pytest
import trio

from hub.client.dial import Target
from tests.end_to_end.processes import HubProcess
from tests.faults.streaming import Fleet, enrol, read_back, write_model

pytestmark = pytest.mark.slow

DEVICES = 5
FAILING = (1, 2, 3, 5, 8, 10)  # which sync of a thread fails, counted from when strace attaches
END_SECONDS = 30.0


def traceable() -> bool:
    strace = shutil.which("strace")
    if strace is None:
        return False
    tried = subprocess.run([strace, "-e", "inject=fdatasync:error=EIO", "true"], capture_output=True, check=False)
    return tried.returncode == 0


def spoil(hub: HubProcess, nth: int) -> "subprocess.Popen[bytes]":
    """Let the ``nth`` sync of the journal's newest segment fail, of whichever thread; those after it too."""
    segment = max((hub.folder / "data" / "journal").glob("*.journal"))
    return subprocess.Popen(
        ["strace", "-f", "-p", str(hub.pid), "-P", str(segment), "-e", f"inject=fdatasync:error=EIO:when={nth}+",
         "-o", str(hub.folder / "strace.txt")],
        stderr=subprocess.DEVNULL,
    )  # fmt: skip


async def stream_into(hub: HubProcess) -> Fleet:
    """Stream; spoil; see the hub end by itself; start it again; let the fleet finish."""
    hub.start()
    target = Target(hub.url, hub.token(), hub.folder / "ca.pem", proxy="")
    fleet = Fleet(target, await enrol(target, [f"counter-{number}" for number in range(DEVICES)]))
    async with trio.open_nursery() as nursery:
        await nursery.start(fleet.run)
        for nth in FAILING:
            before = fleet.acked
            with trio.fail_after(60):
                while fleet.acked == before:  # noqa: ASYNC110  (links of other processes set no event here)
                    await trio.sleep(0.01)
            tracer = spoil(hub, nth)
            assert hub.process is not None
            code = await trio.to_thread.run_sync(hub.process.wait, END_SECONDS)
            await trio.to_thread.run_sync(tracer.wait, END_SECONDS)
            assert code == 1, f"sync {nth}: exit code {code}"
            assert "EIO" in (hub.folder / "strace.txt").read_text()
            await trio.to_thread.run_sync(hub.start)
        fleet.stop_measuring()
        with trio.fail_after(90):
            await fleet.emptied()
        nursery.cancel_scope.cancel()
    return fleet


@pytest.mark.timeout(300)
@pytest.mark.skipif(not traceable(), reason="strace is missing or may not trace here (apt-get install strace)")
def test_a_failed_sync_ends_the_hub_and_loses_nothing_acked(tmp_path: Path) -> None:
    hub = HubProcess.make(tmp_path / "hub", settings={"TELEMETRIO_MODELS__DIRECTORY": str(write_model(tmp_path))})
    try:
        fleet = trio.run(stream_into, hub)
        verdict = fleet.compare(trio.run(read_back, Target(hub.url, hub.token(), hub.folder / "ca.pem", proxy="")))
        assert verdict.acked > 0
        assert verdict.clean, verdict
        assert hub.log().count('"event": "the hub ends"') == len(FAILING)
        done = hub.run("ledger", "--verify", "-o", "json")
        assert done.returncode == 0, done.stdout + done.stderr
        print(f"{len(FAILING)} failed syncs, {verdict.acked} readings acked, none lost")
    finally:
        hub.__exit__()
