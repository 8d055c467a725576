"""What tests of devices share: a hub's end in memory, a source of counting rows, a device that is switched on."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
import trio

from devices.device import Device
from devices.disk import DiskSpool
from devices.link import Linkage
from devices.report import Figures
from devices.source import CommandFailed, Handler
from devices.spool import MemorySpool, Numbered
from hub.model import Argument, CommandSpec, ValueType
from hub.ports import Streams
from hub.wire.messages import Declared, Plain, Row
from tests.devices.hubend import TARGET, HubEnd, TrioClock


class Counting:
    """A source whose n-th row is n; its commands do what tests need."""

    model = "counter"
    metrics = (Declared("count", "1", "float64"),)

    def __init__(self, period: float = 1.0) -> None:
        self.period = period
        self.count = 0
        self.ran: list[str] = []
        self.properties: dict[str, Plain] = {}
        amount = Argument("amount", ValueType("int"), min=0, max=10)
        self.commands: Mapping[str, CommandSpec] = {
            name: CommandSpec(name, arguments) for name, arguments in {"add": (amount,), "slow": (), "fail": ()}.items()
        }
        self.handlers: Mapping[str, Handler] = {"add": self._add, "slow": self._slow, "fail": self._fail}

    async def sample(self, time: int) -> Sequence[Numbered]:
        self.count += 1
        return [Row(0, time, [float(self.count)])]

    def set_property(self, name: str, value: Plain) -> bool:
        self.properties[name] = value
        return name == "wanted"

    async def _add(self, args: Mapping[str, int], progress: Callable[[Plain], None]) -> Plain:
        self.ran.append("add")
        self.count += args["amount"]
        return self.count

    async def _slow(self, args: Mapping[str, int], progress: Callable[[Plain], None]) -> Plain:
        self.ran.append("slow")
        for percent in (25, 50, 75):
            progress({"percent": percent})
            await trio.sleep(10)
        return "done"

    async def _fail(self, args: Mapping[str, int], progress: Callable[[Plain], None]) -> Plain:
        raise CommandFailed("it is stuck")


@dataclass
class Switched:
    """A device that is on."""

    device: Device
    linkage: Linkage
    source: Counting
    spool: MemorySpool | DiskSpool
    figures: Figures
    errors: list[Exception] = field(default_factory=list)

    def stop_measuring(self) -> None:
        self.measuring.cancel()

    measuring: trio.CancelScope = field(default_factory=trio.CancelScope)


@asynccontextmanager
async def switched_on(
    hub: HubEnd,
    *,
    period: float = 1.0,
    memory: int = 1 << 20,
    name: str = "dev-01",
    streams: Streams | None = None,
    disk: DiskSpool | None = None,
) -> AsyncIterator[Switched]:
    """A counting device, linked by the real linkage; the block watches it."""
    source, spool, figures = Counting(period), MemorySpool(memory) if disk is None else disk, Figures()
    device = Device(name, source, spool, TrioClock(), figures)
    ports = hub.ports()
    on = Switched(device, Linkage(device, TARGET, streams or ports.streams, ports.randomness), source, spool, figures)

    async def measure() -> None:
        with on.measuring:
            await device.measure()

    async def keep() -> None:
        try:
            await on.linkage.keep()
        except Exception as error:
            on.errors.append(error)

    await device.open()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(spool.run)
        nursery.start_soon(device.desk.serve)
        nursery.start_soon(measure)
        nursery.start_soon(keep)
        yield on
        nursery.cancel_scope.cancel()


@pytest.fixture
async def hub() -> AsyncIterator[HubEnd]:
    async with HubEnd().running() as end:
        yield end
