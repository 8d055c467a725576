"""The lab's generator: devices with spools on disk, in a process of its own that may be killed at any moment.

    python -m tests.faults.generator ORDER.json     (url, ca, tokens by name, evidence, spools, first)

It writes down what it measures and what is acked (see ``checker.py``), and goes on with the spools of the one before.
SIGTERM: measure no more, have all acked, end the record, exit 0. ``first``: what its devices count from.
"""

import json
import os
import signal
import sys
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import trio

from devices.device import Device
from devices.link import Linkage
from devices.report import Figures
from hub.client.dial import Target
from hub.disk import DiskFiles
from hub.ports import SystemClock, TcpStreams, ThreadWorker
from tests.faults.crashing import VARIABLE, arm
from tests.faults.launcher import plant_in_devices
from tests.faults.record import Record, RecordedDiskSpool, RecordedSource
from tests.faults.streaming import Impatient

DRAIN_SECONDS = 100.0
PERIOD = 0.1  # seconds between two rows of two readings, of each device


def order(path: Path, target: Target, tokens: Mapping[str, str], evidence: Path, spools: Path, first: int) -> Path:
    """Write down what a generator is to do."""
    told = {
        "url": target.url, "ca": str(target.ca), "tokens": dict(tokens), "evidence": str(evidence),
        "spools": str(spools), "first": first,
    }  # fmt: skip
    path.write_text(json.dumps(told))
    return path


def generate(path: str, plant: str = "") -> int:
    """Run it until SIGTERM."""
    if where := os.environ.pop(VARIABLE, ""):
        arm(where)
    if plant:
        plant_in_devices(plant)
    trio.run(_generate, json.loads(Path(path).read_text()))
    return 0


async def _generate(told: Mapping[str, Any]) -> None:
    evidence = Path(told["evidence"])
    sent, acked = Record(evidence / "sent.jsonl"), Record(evidence / "acked.jsonl")
    worker, figures = ThreadWorker(), Figures()
    devices = []
    for name in told["tokens"]:
        source = RecordedSource(name, sent, told["first"])
        source.period = PERIOD
        spool = RecordedDiskSpool(Path(told["spools"]) / name, DiskFiles(), worker)
        spool.name, spool.record = name, acked
        devices.append(Device(name, source, spool, SystemClock(), figures))
    async with AsyncExitStack() as stack:
        for device in devices:
            await device.open()
            stack.push_async_callback(device.close)
        await _stream(devices, told)
    sent.end()
    acked.end()


async def _stream(devices: list[Device], told: Mapping[str, Any]) -> None:
    measuring = trio.CancelScope()

    async def measure() -> None:
        with measuring:
            async with trio.open_nursery() as sources:
                for device in devices:  # all at once: one sync writes down what all of them have measured
                    sources.start_soon(device.measure)

    with trio.open_signal_receiver(signal.SIGTERM) as signals:
        async with trio.open_nursery() as nursery:
            for device in devices:
                target = Target(told["url"], told["tokens"][device.name], Path(told["ca"]), proxy="")
                nursery.start_soon(device.spool.run)
                nursery.start_soon(Linkage(device, target, TcpStreams(), Impatient()).keep)
            nursery.start_soon(measure)
            await anext(aiter(signals))
            measuring.cancel()
            with trio.fail_after(DRAIN_SECONDS):
                for device in devices:
                    await device.emptied()
            nursery.cancel_scope.cancel()


if __name__ == "__main__":
    sys.exit(generate(*sys.argv[1:]))
