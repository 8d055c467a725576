"""A device as a process whose commands leave a trace: ``python -m tests.end_to_end.poked URL CA TOKEN DIRECTORY``.

It acts by adding a line to ``DIRECTORY/trace``, and then is busy until ``DIRECTORY/release`` is there.
"""

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import trio

from devices.device import Device
from devices.disk import CommandBook, DiskSpool
from devices.link import Linkage
from devices.report import Figures
from hub.client.dial import Target
from hub.disk import DiskFiles
from hub.model import parse_model
from hub.ports import SystemClock, TcpStreams, ThreadWorker
from hub.wire.messages import Declared, Plain, Row
from tests.faults.streaming import Impatient

NAME = "poked-1"
MODEL = """\
[metrics.n]
unit = "/"
type = "int"
[commands.poke]
[commands.poke.arguments.n]
type = "int"
"""


class Poked:
    """The source: a number a second, and a command that cannot be done twice without a trace."""

    model = "poked"
    metrics = (Declared("n", "/", "int"),)
    commands = parse_model(MODEL, "poked.toml").commands
    properties: Mapping[str, Plain] = {}
    period = 1.0

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.handlers = {"poke": self._poke}

    def set_property(self, name: str, value: Plain) -> bool:
        return False

    async def sample(self, time: int) -> Sequence[Row]:
        return [Row(0, time, [1])]

    async def _poke(self, arguments: Mapping[str, Any], progress: Callable[[Plain], None]) -> Plain:
        with (self._directory / "trace").open("a") as trace:
            trace.write(f"{arguments['n']}\n")
            trace.flush()
            os.fsync(trace.fileno())
        while not (self._directory / "release").exists():  # noqa: ASYNC110  (another process makes it)
            await trio.sleep(0.05)
        return int(arguments["n"])


async def main(url: str, ca: str, token: str, folder: str) -> None:
    """Until it is killed."""
    directory = Path(folder)
    files, worker, spools = DiskFiles(), ThreadWorker(), directory / "spool"
    spools.mkdir(exist_ok=True)
    book, spool = CommandBook(spools, files, worker), DiskSpool(spools, files, worker)
    device = Device(NAME, Poked(directory), spool, SystemClock(), Figures(), book=book)
    await device.open()
    target = Target(url, token, Path(ca), proxy="")
    async with trio.open_nursery() as nursery:
        for part in (spool.run, device.desk.serve, device.measure):
            nursery.start_soon(part)
        nursery.start_soon(Linkage(device, target, TcpStreams(), Impatient()).keep)


if __name__ == "__main__":
    trio.run(partial(main, *sys.argv[1:5]))
