"""A crowd of real devices in this process, on real TLS, whose links can all be cut at once."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import trio

import devices.link
from devices.conversation import Ending
from devices.device import Device
from devices.link import Linkage
from devices.report import Figures
from hub.client.dial import Target, dial
from hub.client.shell import connect
from hub.disk import raise_open_files
from hub.ports import Randomness, SystemClock, SystemRandomness, TcpStreams
from hub.wire.messages import Welcome
from tests.faults.light import LightDialler
from tests.faults.witness import GroupRecord, WitnessedMemory, WitnessedSource

#: Devices have a processor each, these share one: with more handshakes at once each would take longer than a hub waits.
DIALS_AT_ONCE = 100
ENROLLED_AT_ONCE = 16
FILES = 8_192  # descriptors, where the machine allows them: some thousand links


class Seen(Device):
    """A device that notes when it was welcomed last, and how often."""

    welcomed_at = -1.0
    welcomes = 0

    def welcomed(self, welcome: Welcome) -> None:
        super().welcomed(welcome)
        self.welcomed_at = trio.current_time()
        self.welcomes += 1


class Told(Linkage):
    """A linkage that remembers how its links ended, in ``endings``."""

    endings: list[tuple[str, Ending]]

    async def _judge(self, ending: Ending) -> float:
        self.endings.append((self.name, ending))
        return await super()._judge(ending)


class Crowd:
    """Devices that count, on the record in ``folder``, each on a link of its own that is kept. ``ramp``: how many are
    switched on each second."""

    def __init__(
        self, target: Target, tokens: Mapping[str, str], folder: Path, *,
        period: float, ramp: float, randomness: Randomness | None = None,
    ) -> None:  # fmt: skip
        self.endings: list[tuple[str, Ending]] = []
        self.figures = Figures()
        self._records = GroupRecord(folder / "sent.jsonl"), GroupRecord(folder / "acked.jsonl")
        self._target = target
        self._ramp = ramp
        self._randomness = randomness or SystemRandomness()
        self._measuring: list[trio.CancelScope] = []
        self._dialler = LightDialler()
        self._doorway = trio.CapacityLimiter(DIALS_AT_ONCE)
        self.devices = {name: self._device(name, period) for name in tokens}
        self._tokens = tokens

    def _device(self, name: str, period: float) -> Seen:
        sent, acked = self._records
        spool = WitnessedMemory()
        spool.witness(name, acked)
        return Seen(name, WitnessedSource(name, sent, period), spool, SystemClock(), self.figures)

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Measure and stay linked until cancelled; what is noted by then is on disk."""
        raise_open_files(FILES)
        devices.link.dial = self._dialler.dial  # type: ignore[assignment]
        try:
            async with trio.open_nursery() as nursery:
                for record in self._records:
                    nursery.start_soon(record.run)
                for at, device in enumerate(self.devices.values()):
                    nursery.start_soon(self._live, device, at / self._ramp)
                task_status.started()
        finally:
            devices.link.dial = dial
            for record in self._records:
                record.close()

    async def _live(self, device: Seen, delay: float) -> None:
        await trio.sleep(delay)
        target = Target(self._target.url, self._tokens[device.name], self._target.ca, proxy="")
        linkage = Told(device, target, TcpStreams(), self._randomness, self._doorway)
        linkage.endings = self.endings
        async with trio.open_nursery() as nursery:
            nursery.start_soon(linkage.keep)
            with trio.CancelScope() as measuring:
                self._measuring.append(measuring)
                await device.measure()

    @property
    def acked(self) -> int:
        """Readings that the hub has settled."""
        return self.figures.acked

    def cut(self) -> None:
        """All links at once."""
        self._dialler.cut()

    def stop_measuring(self) -> None:
        for scope in self._measuring:
            scope.cancel(reason="enough")

    async def emptied(self) -> None:
        """Until every device has nothing left that is not acked."""
        for device in self.devices.values():
            await device.emptied()

    async def all_linked(self) -> None:
        """Until every device has a welcomed link at the same time."""
        while self.figures.online < len(self.devices):  # noqa: ASYNC110  (links of other processes set no event here)
            await trio.sleep(0.05)

    def back_after(self, moment: float) -> list[float]:
        """Seconds from ``moment`` to the newest welcome of each device that has had one since, in rising order."""
        return sorted(at - moment for device in self.devices.values() if (at := device.welcomed_at) > moment)


async def enrol_many(target: Target, names: Sequence[str]) -> dict[str, str]:
    """Enrol all of them; their tokens, in the same order."""
    tokens = dict.fromkeys(names, "")
    waiting = list(names)
    async with connect(target) as operator, trio.open_nursery() as nursery:

        async def some() -> None:
            while waiting:
                name = waiting.pop()
                tokens[name] = (await operator.call("devices.enroll", device=name))["token"]

        for _ in range(ENROLLED_AT_ONCE):
            nursery.start_soon(some)
    return tokens
