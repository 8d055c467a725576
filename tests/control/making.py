"""A control room on a state file of its own, with a clock that stands still until it is moved."""

from dataclasses import dataclass, field
from pathlib import Path

from hub.control.outbox import DeviceOutbox
from hub.control.registry import Registry
from hub.control.router import Router
from hub.model import Model, parse_model
from hub.ports import InlineWorker
from hub.state import State
from hub.wire.kept import Birth
from hub.wire.messages import Declared
from hub.wire.shapes import CommandInfo, Presence

PUMP = parse_model(
    """
description = "A pump"
[metrics.flow]
unit = "m3/s"
type = "float64"
warn_max = 5.0
[metrics.pressure]
unit = "Pa"
type = "decimal(2)"
warn_min = 1.0
[commands.stop]
[commands.spin.arguments.speed]
type = "int"
min = 0
max = 100
""",
    "pump",
)
METRICS = (Declared("flow", "m3/s", "float64"), Declared("pressure", "Pa", "decimal(2)"))


def models(name: str) -> Model | None:
    return PUMP if name == "pump" else None


@dataclass
class StillClock:
    """Moves when a test says so."""

    at: int = 1_790_000_000_000_000

    def now(self) -> int:
        return self.at

    def monotonic(self) -> float:
        return self.at / 1e6


@dataclass
class Counting:
    """Tokens and ids that count up."""

    n: int = 0

    def token(self, size: int) -> bytes:
        self.n += 1
        return self.n.to_bytes(size, "big")

    def uniform(self, low: float, high: float) -> float:
        return low


@dataclass
class Room:
    """State, registry and router, and what they told."""

    path: Path
    clock: StillClock = field(default_factory=StillClock)
    told: list[Presence] = field(default_factory=list)
    shown: list[CommandInfo] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.state = State(self.path)
        self.state.open()
        self.worker = InlineWorker()
        self.randomness = Counting()
        self.registry = Registry(self.state, self.worker, self.clock, self.randomness)
        self.registry.on_presence.append(self.told.append)
        self.router = Router(self.state, self.worker, self.clock, self.randomness, self.registry, models)
        self.router.on_change.append(self.shown.append)

    async def restart(self) -> "Room":
        """The next life of the hub on the same file; the ids go on."""
        self.state.close()
        room = Room(self.path, self.clock)
        room.randomness.n = self.randomness.n + 1000
        await room.registry.load()
        return room

    async def connect(
        self,
        device: str = "pump-1",
        *,
        next: int = 1,
        through: int = 0,
        epoch: int = 1,
        first: int = 1,
        held: tuple[tuple[int, int], ...] = (),
    ) -> DeviceOutbox:
        """An enrolled device with a link."""
        if device not in self.registry:
            await self.registry.enroll(device, {}, "test")
        outbox = DeviceOutbox()
        outbox.welcomed(self.clock.at)
        self.registry.connected(device, outbox, birth(device), epoch, "10.0.0.9", next, through, first=first, held=held)
        return outbox

    def states(self, id: str) -> list[str]:
        """The states of a command as they were shown."""
        return [info["state"] for info in self.shown if info["id"] == id]


def birth(device: str = "pump-1", metrics: tuple[Declared, ...] = METRICS) -> Birth:
    return Birth(1, device, "pump", metrics, "pump 1.0")
