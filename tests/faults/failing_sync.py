"""Syncs of a hub's journal that fail with EIO, by strace, which spoils the system calls of the real process."""

import shutil
import subprocess
from collections.abc import Sequence

import trio

from tests.end_to_end.processes import HubProcess
from tests.faults.disturbed import Disturb, more_acked, must
from tests.faults.record import RecordedFleet

END_SECONDS = 60.0  # for a hub whose sync failed to be gone, on a loaded machine
MISSING = "strace is missing or may not trace here (apt-get install strace)"


def traceable() -> bool:
    """Whether system calls of other processes can be spoiled here."""
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


def each_fails(failing: Sequence[int], passed: list[int]) -> Disturb:
    """For each number: spoil that sync, counted from when strace attaches; see the hub end by itself, and start it
    again. ``passed`` is told which were."""

    async def disturb(hub: HubProcess, fleet: RecordedFleet) -> None:
        for nth in failing:
            await more_acked(fleet)
            tracer = spoil(hub, nth)
            assert hub.process is not None
            code = await trio.to_thread.run_sync(hub.process.wait, END_SECONDS)
            await trio.to_thread.run_sync(tracer.wait, END_SECONDS)
            must(code == 1, f"sync {nth}: exit code {code}")
            must("EIO" in (hub.folder / "strace.txt").read_text(), f"sync {nth}: no call was spoiled")
            await trio.to_thread.run_sync(hub.start)
            passed.append(nth)
        must(hub.log().count('"event": "the hub ends"') == len(failing), "the hub ended for another reason")

    return disturb
