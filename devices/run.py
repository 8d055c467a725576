"""The door for the command line: run one device, a fleet, or this machine, and tell at the end how it went."""

import platform
import re
import signal
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import trio

from devices.disk import DISK_BYTES
from devices.enrol import NoToken, Tokens, enrol
from devices.faults import Distortion, LinkFaults, SensorFaults
from devices.fleet import Fleet, Member, members_of
from devices.models import Simulated, physics_of
from devices.report import FleetReport
from devices.scenario import LONGEST_PERIOD, MOST_ROWS, SHORTEST_PERIOD, Scenario, ScenarioError, load_scenario
from devices.signals import seed_of
from devices.source import Source
from devices.spool import MEMORY_BYTES
from hub.client import Target
from hub.model import Model, ModelError, load_models
from hub.ports import Ports

STATUS_SECONDS: Final = 1.0  # between two calls of ``on_status``


@dataclass(frozen=True)
class Options:
    """How to run devices.

    ``tokens``: directory of their tokens; ``enrol_token``: with which those without one are enrolled. ``seconds``:
    how long, None until a signal. ``drain``: seconds to wait at the end until all is acked. ``memory``: bytes each
    device may hold; with ``spools``, a directory, it holds up to ``spool_bytes`` on disk there, and still has it after
    a restart. ``seed`` None takes the scenario's. ``on_status``: called with the report so far, every second.
    ``signals``: stop on SIGTERM and SIGINT (needs the main thread). ``models``: a directory of models instead of those
    that come with Telemetrio.
    """

    tokens: Path
    enrol_token: str | None = field(default=None, repr=False)
    seconds: float | None = None
    drain: float = 10.0
    memory: int = MEMORY_BYTES
    spools: Path | None = None
    spool_bytes: int = DISK_BYTES
    seed: int | None = None
    link: LinkFaults = field(default_factory=LinkFaults)
    sensors: SensorFaults = field(default_factory=SensorFaults)
    on_status: Callable[[FleetReport], None] | None = None
    signals: bool = True
    models: Path | None = None
    ports: Ports = field(default_factory=Ports)


async def run_device(
    target: Target, name: str, model: str, options: Options, *, period: float = 1.0, batch: int = 1,
    labels: Mapping[str, str] | None = None, stop: trio.Event | None = None,
) -> FleetReport:  # fmt: skip
    """One simulated device. Raises ScenarioError, ModelError, BadName, NoToken, and what dialling the hub to enrol it
    raises (hub.client)."""
    _within("the period", period, SHORTEST_PERIOD, LONGEST_PERIOD, " s")
    _within("a batch", batch, 1, MOST_ROWS, " rows")
    spec = _model(load_models(options.models), model)
    tokens = await _enrol(target, options, {name: labels or {}})
    seed = seed_of(options.seed or 1, name)
    distort = Distortion(options.sensors, seed) if options.sensors else None
    source = Simulated(physics_of(spec, seed), spec, period=period, batch=batch, distort=distort)
    return await _run(target, [Member(name, source, tokens[name], link=options.link)], options, stop)


async def run_fleet(
    target: Target, scenario: Scenario | str | Path, options: Options, *, devices: int | None = None,
    stop: trio.Event | None = None,
) -> FleetReport:  # fmt: skip
    """A fleet by scenario (its name, a path, or one made in code), with ``devices`` devices in all if that is given.

    Raises ScenarioError, NoToken, ModelError, and what dialling the hub to enrol them raises (hub.client).
    """
    if not isinstance(scenario, Scenario):
        scenario = load_scenario(scenario)
    if devices is not None:
        scenario = scenario.scaled(devices)
    models = load_models(options.models)
    for group in scenario.groups:
        _model(models, group.model)
    names = {name: group.labels for group in scenario.groups for name in group.names()}
    tokens = await _enrol(target, options, names)
    return await _run(target, members_of(scenario, models.get, tokens, options.seed), options, stop)


async def run_host(
    target: Target, options: Options, *, name: str | None = None, period: float = 1.0,
    labels: Mapping[str, str] | None = None, stop: trio.Event | None = None,
) -> FleetReport:  # fmt: skip
    """This machine as a device, named like it unless ``name`` says otherwise. Raises as ``run_device`` does."""
    from devices.host import Host  # psutil only where it is used

    _within("the period", period, SHORTEST_PERIOD, LONGEST_PERIOD, " s")
    name = name or host_name()
    model = _model(load_models(options.models), "host")
    tokens = await _enrol(target, options, {name: labels or {}})
    source: Source = await Host.find(model, options.ports.worker(), options.ports.clock.now(), period)
    return await _run(target, [Member(name, source, tokens[name], link=options.link)], options, stop)


def host_name() -> str:
    """This machine's name as a device may be named."""
    cleaned = re.sub(r"[^A-Za-z0-9._-]", "-", platform.node().split(".")[0]).strip("-._")
    return cleaned[:64] or "host"


def _within(what: str, value: float, low: float, high: float, unit: str) -> None:
    if not low <= value <= high:
        raise ScenarioError(f"{what} is from {low:g} to {high:g}{unit}, not {value:g}")


def _model(models: Mapping[str, Model], name: str) -> Model:
    if name not in models:
        raise ModelError(f"no model {name!r}; there are {', '.join(sorted(models))}")
    return models[name]


async def _enrol(target: Target, options: Options, devices: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    ports = options.ports
    tokens = Tokens(options.tokens, ports.files, ports.worker())
    return await enrol(target, options.enrol_token, tokens, devices, ports.streams)


async def _run(target: Target, members: list[Member], options: Options, stop: trio.Event | None) -> FleetReport:
    """Run until a signal, the time or ``stop``, whichever comes first."""
    fleet = Fleet(
        target, members, options.ports, memory=options.memory, spools=options.spools, spool_bytes=options.spool_bytes
    )
    stop = trio.Event() if stop is None else stop
    async with trio.open_nursery() as nursery:
        for watch in _watches(fleet, options, stop):
            nursery.start_soon(watch)
        report = await fleet.run(stop, options.drain)
        nursery.cancel_scope.cancel(reason="the run is over")
    return report


def _watches(fleet: Fleet, options: Options, stop: trio.Event) -> list[Callable[[], Awaitable[None]]]:
    seconds, on_status = options.seconds, options.on_status

    async def by_time() -> None:
        assert seconds is not None
        await trio.sleep(seconds)
        stop.set()

    async def by_signal() -> None:
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            async for _ in signals:
                if stop.is_set():  # the second one means now
                    raise KeyboardInterrupt
                stop.set()

    async def status() -> None:
        assert on_status is not None
        while True:
            await trio.sleep(STATUS_SECONDS)
            on_status(fleet.report())

    wanted: list[tuple[bool, Callable[[], Awaitable[None]]]] = [
        (seconds is not None, by_time), (options.signals, by_signal), (on_status is not None, status),
    ]  # fmt: skip
    return [watch for is_wanted, watch in wanted if is_wanted]


__all__ = [
    "FleetReport", "ModelError", "NoToken", "Options", "ScenarioError", "host_name", "load_scenario", "run_device",
    "run_fleet", "run_host",
]  # fmt: skip
