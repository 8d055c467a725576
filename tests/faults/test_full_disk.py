"""The disk is full: acks stop, sessions, pings and commands live, nothing is lost, and all goes on alone when space
returns. On a real file system of a few MiB, which is then grown."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trio

from hub.client.dial import Target
from hub.client.shell import connect
from tests.end_to_end.processes import HubProcess
from tests.faults.streaming import Fleet, enrol, read_back, write_model

pytestmark = pytest.mark.slow

DEVICES = 10
SIZE_MB, GROWN_MB, RESERVE_MB = 24, 96, 4
BALLAST_LEFT = 3 * 1024 * 1024  # bytes that the ballast leaves free: a few seconds of streaming fill them
PATIENCE_SECONDS = 60.0


@contextmanager
def small_disk(disk: Path) -> Iterator[None]:
    """A file system of SIZE_MB in place of the data directory, with what is in it."""
    before = disk.with_name("before")
    disk.rename(before)
    disk.mkdir()
    options = f"size={SIZE_MB}m,mode=700"
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", disk], capture_output=True, check=False)
    if done.returncode:
        pytest.skip(f"no file system can be mounted here: {done.stderr.decode().strip()}")
    try:
        shutil.copytree(before, disk, dirs_exist_ok=True)
        yield
    finally:
        subprocess.run(["umount", "-l", disk], check=True)


def free(disk: Path) -> int:
    space = os.statvfs(disk)
    return space.f_bavail * space.f_frsize


async def full_and_back(hub: HubProcess, disk: Path) -> Fleet:
    target = Target(hub.url, hub.token(), hub.folder / "ca.pem", proxy="")
    fleet = Fleet(target, await enrol(target, [f"counter-{number}" for number in range(DEVICES)]))
    async with trio.open_nursery() as nursery:
        await nursery.start(fleet.run)
        with trio.fail_after(PATIENCE_SECONDS):
            while fleet.acked < 200:  # noqa: ASYNC110  (another process sets no event here)
                await trio.sleep(0.02)
        async with connect(target) as operator:
            ballast = free(disk) - BALLAST_LEFT
            await trio.to_thread.run_sync((disk / "ballast").write_bytes, bytes(ballast))
            began = trio.current_time()
            with trio.fail_after(PATIENCE_SECONDS):
                while not any(
                    "disk of the journal is full" in problem for problem in (await operator.call("status"))["problems"]
                ):
                    more = max(0, free(disk) - 65_536)  # somebody else fills the rest
                    with (disk / "ballast").open("ab") as file:
                        file.write(bytes(min(more, 512 * 1024)))
                    await trio.sleep(0.1)
            print(f"full after {trio.current_time() - began:.1f} s")
            assert not (disk / "reserve").exists(), "the reserve is given up"
            await trio.sleep(2.0)  # what was on its way has arrived; devices run dry
            still = fleet.acked
            links = (await operator.call("status"))["links"]
            await trio.sleep(3.0)
            assert fleet.acked == still, "nothing is acked while the disk is full"
            status = await operator.call("status")
            assert status["links"] == links == DEVICES + 1, "links live"
            with trio.fail_after(20):
                sent = await operator.send_command("counter-0", "nothing", {}, 15.0)
            assert sent["state"] == "rejected", "the device answers"
            await trio.to_thread.run_sync(
                lambda: subprocess.run(["mount", "-o", f"remount,size={GROWN_MB}m", str(disk)], check=True)
            )
            began = trio.current_time()
            with trio.fail_after(PATIENCE_SECONDS):
                while fleet.acked == still:  # noqa: ASYNC110  (the same)
                    await trio.sleep(0.01)
                print(f"acks again {trio.current_time() - began:.2f} s after there was space")
                while (await operator.call("status"))["problems"]:  # noqa: ASYNC110  (the same)
                    await trio.sleep(0.05)
            assert (disk / "reserve").stat().st_size == RESERVE_MB * 1024 * 1024
        fleet.stop_measuring()
        with trio.fail_after(PATIENCE_SECONDS):
            await fleet.emptied()
        nursery.cancel_scope.cancel()
    return fleet


@pytest.mark.timeout(300)
def test_a_full_disk_stops_acks_and_nothing_else(tmp_path: Path) -> None:
    settings = {
        "TELEMETRIO_MODELS__DIRECTORY": str(write_model(tmp_path)), "TELEMETRIO_HUB__RESERVE_MB": str(RESERVE_MB),
    }  # fmt: skip
    hub = HubProcess.make(tmp_path / "hub", settings=settings)
    with small_disk(hub.folder / "data"):
        try:
            hub.start()
            pid = hub.pid
            fleet = trio.run(full_and_back, hub, hub.folder / "data")
            target = Target(hub.url, hub.token(), hub.folder / "ca.pem", proxy="")
            verdict = fleet.compare(trio.run(read_back, target))
            assert verdict.acked > 0
            assert verdict.clean, verdict
            assert hub.pid == pid
            done = hub.run("ledger", "--verify", "-o", "json")
            assert done.returncode == 0, done.stdout + done.stderr
            assert hub.stop() == 0
        finally:
            hub.__exit__()
