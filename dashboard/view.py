"""What the dashboard shows, as values: nothing here knows a terminal, a socket or a clock.

A ``View`` is never changed; ``fold.Fold`` makes the next one. So the thread that talks to the hub and the one that
paints share it without a lock.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import islice
from typing import Final, Literal, TypeAlias

from hub.model import Metric, Model
from hub.wire.messages import FINAL_STATES, Value
from hub.wire.operator import Greeting
from hub.wire.shapes import CommandInfo, Status

SECOND: Final = 1_000_000  # us
STALE_AFTER: Final = 10 * SECOND  # us without a reading: less is jitter of a device that speaks every few seconds
STALE_INTERVALS: Final = 4  # a slow device is stale after that many of its own intervals

LinkState: TypeAlias = Literal["connecting", "live", "lost", "refused", "closed"]
LogKind: TypeAlias = Literal["command", "event", "violation", "link"]
#: How alive a device is: its state at the hub, and ``stale`` for one that is online and silent.
Liveness: TypeAlias = Literal["online", "stale", "offline", "never", "revoked"]


@dataclass(frozen=True, slots=True)
class Link:
    """The dashboard's own link to the hub; ``text`` says why it is not live, ``retry`` in how many seconds it dials."""

    state: LinkState = "connecting"
    text: str = ""
    retry: float = 0.0


@dataclass(frozen=True, slots=True)
class Series:
    """The latest reading of one metric of one device, and the last few numbers before it (oldest first)."""

    metric: str
    time: int
    value: Value
    quality: int
    trail: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Device:
    """One device as the hub last spoke of it. ``seen``: us, hub time, of its newest reading; ``interval``: us between
    its last two; ``units``: of metrics that its model does not know (open models). ``waiting``: batches it had to send
    when its link began and that are not settled; ``catch_up``: seconds until they are, None while nobody can tell."""

    name: str
    model: str = ""
    state: str = "never"
    since: int | None = None
    software: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    address: str | None = None
    epoch: int | None = None
    through: int | None = None
    waiting: int = 0
    catch_up: float | None = None
    seen: int | None = None
    interval: int = 0
    series: Mapping[str, Series] = field(default_factory=dict)
    units: Mapping[str, str] = field(default_factory=dict)
    limits: int = 0  # us, of its last limit violation

    def liveness(self, now: int) -> Liveness:
        """How alive it is at ``now`` (us, hub time)."""
        if self.state == "online":
            silence = now - max(self.seen or 0, self.since or 0)
            return "stale" if silence > max(STALE_AFTER, STALE_INTERVALS * self.interval) else "online"
        return self.state if self.state in ("offline", "revoked") else "never"  # type: ignore[return-value]

    @property
    def catching_up(self) -> bool:
        """Is it online, and has it still to send what it kept while it was not?"""
        return self.state == "online" and self.waiting > 0

    def age(self, now: int) -> int | None:
        """Microseconds since its newest reading, None when it never had one."""
        return None if self.seen is None else max(0, now - self.seen)


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the log. ``key`` is the command's id for commands: its line is replaced as its state changes."""

    time: int
    kind: LogKind
    level: str  # debug, info, warning, error; for commands the state
    device: str
    text: str
    key: str = ""
    number: int = 0


@dataclass(frozen=True, slots=True)
class View:
    """All that is on the screen, at one moment."""

    link: Link = field(default_factory=Link)
    greeting: Greeting | None = None
    status: Status | None = None
    skew: int = 0  # us to add to this machine's clock to get the hub's
    skipped: int = 0  # updates that conflation left out for us
    devices: Mapping[str, Device] = field(default_factory=dict)
    models: Mapping[str, Model] = field(default_factory=dict)
    commands: Mapping[str, CommandInfo] = field(default_factory=dict)
    log: tuple[Line, ...] = ()  # oldest first
    rates: tuple[float, ...] = ()  # readings per second, one for each Status
    acks: tuple[float, ...] = ()  # ack p99 in ms, likewise

    def metric(self, device: Device, name: str) -> Metric | None:
        """What the device's model says of a metric, if it says anything."""
        model = self.models.get(device.model)
        return model.metrics.get(name) if model else None

    def unit(self, device: Device, name: str) -> str:
        """The SenML unit of a metric, empty when it has none or none is known."""
        metric = self.metric(device, name)
        return metric.unit if metric else device.units.get(name, "")

    def ordered(self, device: Device) -> list[str]:
        """The metrics the device has sent, in the order of its model, the model's unknown ones after them."""
        model = self.models.get(device.model)
        known = [name for name in (model.metrics if model else ()) if name in device.series]
        return known + [name for name in device.series if model is None or name not in model.metrics]

    def count(self, now: int) -> dict[Liveness, int]:
        """How many devices are how alive."""
        counts: dict[Liveness, int] = {"online": 0, "stale": 0, "offline": 0, "never": 0, "revoked": 0}
        for device in self.devices.values():
            counts[device.liveness(now)] += 1
        return counts

    @property
    def may_command(self) -> bool:
        """Has the hub given us a role that may send commands?"""
        return self.greeting is not None and self.greeting.role in ("operator", "admin")

    def open_commands(self) -> int:
        """Commands that have no final state yet."""
        return sum(info["state"] not in FINAL_STATES for info in self.commands.values())


SORTS: Final = ("device", "model", "state", "value", "age")
_RANK: Final = {"revoked": 0, "never": 1, "offline": 2, "stale": 3, "online": 4}


def matching(view: View, words: str, now: int) -> list[Device]:
    """The devices of which each of the words is part of the name, model, liveness or a label (``key=value``)."""
    wanted = words.lower().split()
    found = list(view.devices.values())
    if not wanted:
        return found
    return [device for device in found if all(word in _described(device, now) for word in wanted)]


def _described(device: Device, now: int) -> str:
    labels = " ".join(f"{key}={value}" for key, value in device.labels.items())
    return f"{device.name} {device.model} {device.liveness(now)} {labels}".lower()


def in_order(view: View, devices: list[Device], by: str, reverse: bool, now: int) -> list[Device]:
    """Sorted by one of SORTS; devices that are equal in it stand by name."""

    def value_of(device: Device) -> tuple[int, float]:
        first = next(iter(view.ordered(device)), None)
        value = device.series[first].value if first else None
        return (0, float(value)) if isinstance(value, int | float) else (1, 0.0)

    keys = {
        "device": lambda device: natural(device.name),
        "model": lambda device: device.model,
        "state": lambda device: _RANK[device.liveness(now)],
        "value": value_of,
        "age": lambda device: (device.seen is None, -(device.seen or 0)),
    }
    return sorted(sorted(devices, key=lambda device: natural(device.name)), key=keys[by], reverse=reverse)


@lru_cache(maxsize=16_384)  # asked for every device at every repaint; 10,000 devices is the most we expect
def natural(name: str) -> tuple[tuple[int, int, str], ...]:
    """A key that puts ``pump-9`` before ``pump-10``."""
    parts: list[tuple[int, int, str]] = []
    digits = ""
    for character in name + " ":
        if character.isascii() and character.isdigit():
            digits += character
            continue
        if digits:
            parts.append((0, int(digits), ""))
            digits = ""
        parts.append((1, 0, character))
    return tuple(parts)


def lines(view: View, kind: str, words: str, device: str = "", most: int = 500) -> list[Line]:
    """Lines of the log, newest first: of one kind (empty: all), of one device (empty: all), containing all words."""
    wanted = words.lower().split()
    found = (
        line
        for line in reversed(view.log)
        if (not kind or line.kind == kind)
        and (not device or line.device == device)
        and all(word in f"{line.device} {line.kind} {line.level} {line.text}".lower() for word in wanted)
    )
    return list(islice(found, most))
