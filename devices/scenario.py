"""Fleets written down: which devices, how many, how often, and what goes wrong. TOML in configs/fleets."""

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final, TypeVar

from devices.faults import LinkFaults, SensorFaults
from hub.model import shipped
from hub.wire.messages import MAX_FRAME

MOST_DEVICES: Final = 20_000  # of one process
MOST_ROWS: Final = 500  # in a batch
SHORTEST_PERIOD, LONGEST_PERIOD = 0.01, 3_600.0  # seconds
SHORTEST_CUT: Final = 0.1  # seconds; links that break sooner never come about
LONGEST_FAULT: Final = 86_400.0  # seconds
assert MOST_ROWS * 8 * 12 < MAX_FRAME, "a batch of twelve metrics fits a frame"

T = TypeVar("T")


class ScenarioError(ValueError):
    """A scenario is wrong; the text names the file, the key and what is allowed."""


@dataclass(frozen=True)
class Group:
    """Devices of one kind, named ``name`` and a number from 1; ``batch`` rows travel together as columns."""

    model: str
    name: str
    count: int
    period: float = 1.0
    batch: int = 1
    labels: Mapping[str, str] = field(default_factory=dict)
    sensors: SensorFaults = field(default_factory=SensorFaults)
    link: LinkFaults = field(default_factory=LinkFaults)

    def names(self) -> Iterator[str]:
        """The names of its devices."""
        width = max(2, len(str(self.count)))
        return (f"{self.name}-{number:0{width}}" for number in range(1, self.count + 1))


@dataclass(frozen=True)
class Scenario:
    """A fleet. ``ramp``: seconds over which its devices dial, so that they do not all come at once."""

    name: str
    groups: tuple[Group, ...]
    description: str = ""
    seed: int = 1
    ramp: float = 2.0

    @property
    def devices(self) -> int:
        return sum(group.count for group in self.groups)

    def scaled(self, devices: int) -> "Scenario":
        """The same mixture with that many devices in all; every group keeps one if there are enough."""
        if not 1 <= devices <= MOST_DEVICES:
            raise ScenarioError(f"a fleet has from 1 to {MOST_DEVICES} devices, not {devices}")
        exact = [group.count * devices / self.devices for group in self.groups]
        counts = [int(share) for share in exact]
        order = sorted(range(len(exact)), key=lambda at: counts[at] - exact[at])  # largest remainder first
        for at in order[: devices - sum(counts)]:
            counts[at] += 1
        for at, count in enumerate(counts):
            if count == 0 and devices >= len(counts):
                counts[counts.index(max(counts))] -= 1
                counts[at] = 1
        groups = [_replaced(group, count) for group, count in zip(self.groups, counts, strict=True) if count]
        return Scenario(self.name, tuple(groups), self.description, self.seed, self.ramp)


def load_scenario(name: str | Path) -> Scenario:
    """A scenario by name (one that comes with Telemetrio) or by path of a TOML file."""
    path = Path(name)
    if path.suffix != ".toml":
        folder = shipped("fleets")
        path = folder / f"{name}.toml"
        if not path.is_file():
            known = sorted(each.stem for each in folder.glob("*.toml"))
            near = get_close_matches(str(name), known, 1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}; or name a .toml file"
            raise ScenarioError(f"no scenario {str(name)!r}: {hint}")
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ScenarioError(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ScenarioError(f"{path} is not UTF-8, so it is no scenario") from None
    return parse_scenario(text, path.stem, str(path))


def parse_scenario(text: str, name: str, where: str = "scenario") -> Scenario:
    """Read a scenario's TOML; ScenarioError names the key that is wrong."""
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ScenarioError(f"{where}: {error}") from None
    _known(table, ("description", "seed", "ramp", "group"), where)
    groups = table.pop("group", None)
    if not isinstance(groups, list) or not groups:
        raise ScenarioError(f"{where}: a fleet needs at least one [[group]]")
    description = _typed(table, "description", str, "", where)
    seed = _typed(table, "seed", int, 1, where)
    ramp = _number(table, "ramp", 2.0, 0.0, 3_600.0, where)
    parsed = tuple(_group(group, f"{where}: group {at}") for at, group in enumerate(groups, 1))
    scenario = Scenario(name, parsed, description, seed, ramp)
    names = [device for group in parsed for device in group.names()]
    if len(set(names)) != len(names):
        raise ScenarioError(f"{where}: two groups give devices the same names; give each group a name of its own")
    return scenario


def _group(table: Mapping[str, Any], where: str) -> Group:
    _known(table, [each.name for each in fields(Group)], where)
    if "model" not in table:
        raise ScenarioError(f"{where}: model is missing")
    model = _typed(table, "model", str, "", where)
    labels = _typed(table, "labels", dict, {}, where)
    if not all(isinstance(value, str) for value in labels.values()):
        raise ScenarioError(f'{where}: labels are texts, as in labels = {{ site = "north" }}')
    return Group(
        model=model,
        name=_typed(table, "name", str, model, where),
        count=int(_number(table, "count", 1, 1, MOST_DEVICES, where)),
        period=_number(table, "period", 1.0, SHORTEST_PERIOD, LONGEST_PERIOD, where),
        batch=int(_number(table, "batch", 1, 1, MOST_ROWS, where)),
        labels=labels,
        sensors=_faults(table, "sensors", SensorFaults, where),
        link=_faults(table, "link", LinkFaults, where),
    )


def faults_of(given: Mapping[str, float]) -> tuple[SensorFaults, LinkFaults]:
    """Faults by name, of sensors and links alike; ScenarioError says which there are, and how strong they may be."""
    sensors, link = ({each.name for each in fields(kind)} for kind in (SensorFaults, LinkFaults))
    _known(given, [each.name for kind in (SensorFaults, LinkFaults) for each in fields(kind)], "fault")
    parts = {"sensors": {name: given[name] for name in given if name in sensors},
             "link": {name: given[name] for name in given if name in link}}  # fmt: skip
    return _faults(parts, "sensors", SensorFaults, "fault"), _faults(parts, "link", LinkFaults, "fault")


def _faults(table: Mapping[str, Any], key: str, kind: type[T], where: str) -> T:
    inner = _typed(table, key, dict, {}, where)
    names = [each.name for each in fields(kind)]  # type: ignore[arg-type]
    _known(inner, names, f"{where}: {key}")
    limits = {"cut": (SHORTEST_CUT, LONGEST_FAULT), "delay": (0.0, LONGEST_FAULT)}
    return kind(**{name: _number(inner, name, 0.0, *limits.get(name, (0.0, 1.0)), f"{where}: {key}") for name in inner})


def _known(table: Mapping[str, Any], names: "list[str] | tuple[str, ...]", where: str) -> None:
    for key in table:
        if key not in names:
            near = get_close_matches(key, names, 1)
            hint = f"did you mean {near[0]}?" if near else f"allowed are {', '.join(names)}"
            raise ScenarioError(f"{where}: unknown key {key!r}: {hint}")


def _typed(table: Mapping[str, Any], key: str, kind: type[T], default: T, where: str) -> T:
    value = table.get(key, default)
    if not isinstance(value, kind) or isinstance(value, bool):
        raise ScenarioError(f"{where}: {key} must be a {kind.__name__}, not {value!r}")
    return value


def _number(table: Mapping[str, Any], key: str, default: float, low: float, high: float, where: str) -> float:
    value = table.get(key, default)
    if not isinstance(value, int | float) or isinstance(value, bool) or not low <= value <= high:
        raise ScenarioError(f"{where}: {key} must be a number from {low:g} to {high:g}, not {value!r}")
    return value


def _replaced(group: Group, count: int) -> Group:
    return Group(group.model, group.name, count, group.period, group.batch, group.labels, group.sensors, group.link)
