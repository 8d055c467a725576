"""A fleet that counts, its own record of what was sent and acked, and the comparison with what is stored.

Each device sends rows whose value is its own running number, so a stored value says which reading it is: one that is
missing was lost, one that is there twice was doubled, one that was never sent was invented.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import trio

from devices.device import Device
from devices.line import Line
from devices.link import Linkage
from devices.report import Figures
from devices.spool import MemorySpool, Settled
from hub.client.dial import Target
from hub.client.shell import Operator, connect
from hub.model import CommandSpec
from hub.ports import SystemClock, SystemRandomness, TcpStreams
from hub.query import Question
from hub.wire.codec import decode_device
from hub.wire.messages import Declared, Plain, Row
from hub.wire.ranges import Ranges

MODEL = """\
description = "Counts: what the fault tests send."
[metrics.n]
unit = "/"
type = "int"
min = 0
[metrics.x]
unit = "/"
type = "float64"
[commands.nothing]
description = "A command that devices of this model do not know: they say so."
"""
ROWS_PER_SAMPLE = 2  # so that a kill meets batches in every state


class Impatient(SystemRandomness):
    """Draws a back-off of at most a second, however often a device has failed: the test is not about patience."""

    def uniform(self, low: float, high: float) -> float:
        return super().uniform(low, min(high, 1.0))


class Counting:
    """The source of readings: n, n + 1, n + 2, ..."""

    model = "counter"
    metrics = (Declared("n", "/", "int"),)
    commands: Mapping[str, CommandSpec] = {}
    handlers: Mapping[str, object] = {}
    properties: Mapping[str, Plain] = {}
    period = 0.1  # 50 devices: 1,000 rows a second, so that a loaded machine still sends more than it measures

    def __init__(self) -> None:
        self.sent: list[int] = []

    def set_property(self, name: str, value: Plain) -> bool:
        return False

    async def sample(self, time: int) -> Sequence[Row]:
        start = len(self.sent)
        self.sent += range(start, start + ROWS_PER_SAMPLE)
        return [Row(0, time + step, [start + step]) for step in range(ROWS_PER_SAMPLE)]


def numbers_in(line: Line, settled: Ranges) -> list[int]:
    """The n of every row in memory that is settled."""
    found: list[int] = []
    for item in line._held:  # in order: most of a long backlog lies behind what is settled
        if item.seq > (settled.highest or 0):
            break
        frame = getattr(item, "frame", None)
        if frame is not None and item.seq in settled and isinstance(message := decode_device(frame), Row):
            found += [value for value in message.values[:1] if isinstance(value, int)]
    return found


class RecordingSpool(MemorySpool):
    """Writes down which readings the hub has acked."""

    def __init__(self) -> None:
        super().__init__()
        self.acknowledged: list[int] = []

    async def note(self, settled: Ranges) -> None:
        """About to let go of what is settled."""
        self.acknowledged += numbers_in(self, settled)

    async def settle(self, through: int) -> Settled:
        await self.note(Ranges([(1, through)]))
        return await super().settle(through)

    async def renumber(self, epoch: int, log: str, fresh: bool, settled: Ranges) -> Settled:
        await self.note(settled)
        return await super().renumber(epoch, log, fresh, settled)


@dataclass
class Verdict:
    """What a comparison found; counts of readings."""

    acked: int = 0
    stored: int = 0
    lost: dict[str, list[int]] = field(default_factory=dict)  # acked and not stored
    doubled: dict[str, list[int]] = field(default_factory=dict)
    invented: dict[str, list[int]] = field(default_factory=dict)

    @property
    def clean(self) -> bool:
        return not (self.lost or self.doubled or self.invented)


class Fleet:
    """Devices on links that are kept, in this process."""

    def __init__(self, target: Target, tokens: Mapping[str, str]) -> None:
        self._target = target
        self._tokens = tokens
        self.sources = {name: Counting() for name in tokens}
        self.spools = {name: RecordingSpool() for name in tokens}
        self.devices: list[Device] = []
        self._measuring: list[trio.CancelScope] = []

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Measure and stay linked until cancelled."""
        figures = Figures()
        async with trio.open_nursery() as nursery:
            for name, token in self._tokens.items():
                device = Device(name, self.sources[name], self.spools[name], SystemClock(), figures)
                self.devices.append(device)
                target = Target(self._target.url, token, self._target.ca, proxy="")
                linkage = Linkage(device, target, TcpStreams(), Impatient())
                nursery.start_soon(linkage.keep)
                nursery.start_soon(self._measure, device)
            task_status.started()

    async def _measure(self, device: Device) -> None:
        with trio.CancelScope() as scope:
            self._measuring.append(scope)
            await device.measure()

    def stop_measuring(self) -> None:
        for scope in self._measuring:
            scope.cancel()

    async def emptied(self) -> None:
        """Until every device has nothing left that is not acked."""
        for device in self.devices:
            await device.emptied()

    @property
    def acked(self) -> int:
        return sum(len(spool.acknowledged) for spool in self.spools.values())

    def compare(self, stored: Mapping[str, list[int]]) -> Verdict:
        verdict = Verdict(acked=self.acked, stored=sum(map(len, stored.values())))
        for name, spool in self.spools.items():
            counts = Counter(stored.get(name, []))
            sent = set(self.sources[name].sent)
            lost = sorted(set(spool.acknowledged) - counts.keys())
            doubled = sorted(value for value, count in counts.items() if count > 1)
            invented = sorted(counts.keys() - sent)
            for found, where in ((lost, verdict.lost), (doubled, verdict.doubled), (invented, verdict.invented)):
                if found:
                    where[name] = found
        return verdict


async def enrol(target: Target, names: Sequence[str]) -> dict[str, str]:
    async with connect(target) as operator:
        return {name: (await operator.call("devices.enroll", device=name))["token"] for name in names}


async def settled(operator: Operator) -> None:
    """Until every follower has taken in all that is durable."""
    while any(  # noqa: ASYNC110  (another process sets no event here)
        follower["lag"] for follower in (await operator.call("status"))["followers"]
    ):
        await trio.sleep(0.05)


async def read_back(target: Target) -> dict[str, list[int]]:
    """Every stored value of n, by device."""
    async with connect(target) as operator:
        with trio.fail_after(60):
            await settled(operator)
        answer = await operator.ask(Question(metrics=("n",), limit=1_000_000))
        assert not answer.truncated
        stored: dict[str, list[int]] = {}
        for device, value in zip(answer.columns["device"], answer.columns["value"], strict=True):
            stored.setdefault(str(device), []).append(int(value))
        return stored


def write_model(folder: Path) -> Path:
    """A models directory with the counting model."""
    models = folder / "models"
    models.mkdir()
    (models / "counter.toml").write_text(MODEL)
    return models
