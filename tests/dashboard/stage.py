"""A hub on a stage: a feed in this process that hears real wire messages of a believable, seeded fleet.

Everything it says is encoded and decoded by the codec, so what reaches the dashboard is what a hub would send.
"""

import math
import random
from collections.abc import Callable, Mapping
from copy import copy
from functools import cache
from typing import Any

import numpy as np

from dashboard.fold import Fold
from dashboard.view import View
from hub.client.errors import HubFailure
from hub.model import Model, load_models
from hub.query import Columns, Question
from hub.wire.codec import decode_reply, encode
from hub.wire.messages import GOOD
from hub.wire.operator import Answer, Greeting, Update
from hub.wire.shapes import CommandInfo, DeviceDetail, DeviceInfo, LedgerEntry, Status

NOON = 1_795_348_800_000_000  # us: 2026-11-22T12:00:00Z
SECOND = 1_000_000
SITES = ("north", "south", "harbour")
PREFIXES = {
    "weather-station": "ws",
    "cold-chain-freezer": "frz",
    "power-meter": "pm",
    "pump": "pump",
    "air-quality": "aq",
}
#: Metric, or model and metric -> middle and swing of its curve; others go around 50.
CURVES = {
    "cold-chain-freezer.temperature": (-19.4, 0.9), "evaporator_temperature": (-27.1, 1.6), "setpoint": (-20.0, 0.0),
    "temperature": (21.4, 3.0), "humidity": (48.0, 9.0), "pressure": (1013.2, 2.0), "wind_speed": (4.2, 2.5),
    "wind_direction": (214.0, 30.0), "rain_rate": (0.4, 0.3), "irradiance": (486.0, 60.0), "battery": (81.0, 3.0),
    "vibration_x": (0.0, 9.0), "vibration_y": (0.0, 7.0), "vibration_z": (0.0, 3.0), "speed": (2950.0, 20.0),
    "flow": (84.0, 6.0), "pump.pressure": (4120.0, 90.0), "bearing_temperature": (61.0, 4.0),
    "motor_current": (24.1, 1.2), "voltage": (230.1, 1.8), "current": (8.4, 1.1), "power": (1910.0, 240.0),
    "power_factor": (0.97, 0.01), "frequency": (50.0, 0.02), "energy": (18_422.0, 3.0), "co2": (612.0, 90.0),
    "pm2_5": (6.2, 1.8), "pm10": (11.0, 3.0), "tvoc": (120.0, 30.0),
}  # fmt: skip


class Stage:
    """The feed: ``say`` something as the hub would, ``tick`` to let the app look."""

    def __init__(self, role: str = "operator") -> None:
        self.fold = Fold()
        self.time = NOON
        self.models: dict[str, Model] = dict(shipped_models())
        self.sent: list[tuple[str, str, dict[str, Any]]] = []
        self.asked: list[Question] = []
        self.started = self.stopped = 0
        self.answer: Callable[[CommandInfo], list[CommandInfo]] = obedient
        self._changed: Callable[[], object] = lambda: None
        self._infos: dict[str, DeviceInfo] = {}
        self.fold.greet(Greeting(role, "ops", "0.1.0", NOON, "log-1"), NOON)
        self.fold.models(self.models.values())

    # --- the feed ---

    @property
    def view(self) -> View:
        return self.fold.view()

    def start(self, changed: Callable[[], object]) -> None:
        self.started += 1
        self._changed = changed
        changed()

    def stop(self) -> None:
        self.stopped += 1

    def now(self) -> int:
        return self.time

    async def call(self, verb: str, **args: Any) -> Any:
        if verb != "devices.show" or args["device"] not in self._infos:
            raise HubFailure("unknown_device", f"no device is called {args.get('device')}; see telemetrio devices ls")
        return through_the_wire(self.detail(args["device"]))

    async def ask(self, question: Question) -> Columns:
        self.asked.append(question)
        assert question.metrics
        assert question.devices
        assert question.since
        step = question.every or SECOND // 2
        times = np.arange(question.since, self.time, step)
        values = np.array([curve(question.devices[0], question.metrics[0], int(time)) for time in times])
        columns: dict[str, Any] = {"device": [], "metric": [], "unit": [], "time": times}
        if question.every:
            columns |= {"mean": values, "min": values - 0.3, "max": values + 0.3}
        else:
            columns |= {"value": values, "quality": np.zeros(len(times), np.uint8)}
        return Columns(columns)

    async def send(
        self, device: str, name: str, args: Mapping[str, Any], timeout: float, moved: Callable[[CommandInfo], object]
    ) -> CommandInfo:
        self.sent.append((device, name, dict(args)))
        first = command(f"c{len(self.sent)}", device, name, dict(args), "queued", created=self.time)
        for info in (states := self.answer(first)):
            self.fold.take(update("command", info), self.time)
            moved(info)
        self._changed()
        return states[-1]

    # --- what the hub says ---

    def say(self, kind: str, body: Any) -> None:
        self.fold.take(update(kind, body), self.time)

    def tick(self, seconds: float = 0.0) -> None:
        self.time += round(seconds * SECOND)
        self._changed()

    def device(self, name: str, model: str, state: str = "online", **more: Any) -> None:
        info: DeviceInfo = {
            "device": name, "model": model, "state": state, "since": self.time - 3_600 * SECOND,
            "last_seen": None, "software": "sim 1.4.2", "labels": {}, "address": "10.0.3.17:51234", "epoch": 3,
            "through": 1_203, "clock_offset": None, "waiting": 0, "catch_up": None, **more,
        }  # type: ignore[typeddict-item]  # fmt: skip
        self._infos[name] = info
        self.fold.inventory(through_the_wire([*self._infos.values()]))

    def readings(self, name: str, values: Mapping[str, Any], time: int | None = None, quality: int = GOOD) -> None:
        at = self.time if time is None else time
        self.say("readings", [[name, metric, at, value, quality] for metric, value in values.items()])

    def detail(self, name: str) -> DeviceDetail:
        model = self.models.get(self._infos[name]["model"])
        metrics = [[m.name, m.unit, str(m.type)] for m in model.metrics.values()] if model else []
        return {
            **self._infos[name], "metrics": metrics, "latest": [], "ledger": [ledger(name)], "desired": {},
            "reported": {"interval": 1.0},
        }  # type: ignore[typeddict-item]  # fmt: skip


def update(kind: str, body: Any) -> Update:
    reply = decode_reply(encode(Update(1, kind, body)))  # type: ignore[arg-type]
    assert isinstance(reply, Update)
    return reply


def through_the_wire(value: Any) -> Any:
    reply = decode_reply(encode(Answer(1, value, False)))
    assert isinstance(reply, Answer)
    return reply.value


def command(id: str, device: str, name: str, args: dict[str, Any], state: str, **more: Any) -> CommandInfo:
    created = more.pop("created", NOON)
    return {
        "id": id, "device": device, "name": name, "args": args, "state": state, "value": None, "late": False,
        "by": "ops", "created": created, "expiry": created + 10 * SECOND, "changed": created, **more,
    }  # type: ignore[typeddict-item]  # fmt: skip


def obedient(first: CommandInfo) -> list[CommandInfo]:
    """All states of a command that works."""
    later = [
        {**first, "state": state, "changed": first["changed"] + 1_000 * at}
        for at, state in enumerate(("queued", "sent", "acknowledged", "succeeded"))
    ]
    later[-1]["value"] = {"done": True}
    return later  # type: ignore[return-value]


def ledger(device: str, **more: Any) -> LedgerEntry:
    return {
        "device": device, "epoch": 3, "next": 1_207, "kept": [[1, 1_150], [1_154, 1_203]], "waiting": [[1_204, 1_206]],
        "dropped": [[1_151, 1_153]], "lost": [], "moved": [], "closed": False, "unknown_above": False,
        "received": 9_609, "stored": 9_590, "pending": 16, "rejected": {"out_of_range": 2, "not_finite": 1},
        "expired": 0, "removed": {}, "dropped_readings": 24, "balanced": True, **more,
    }  # type: ignore[typeddict-item]  # fmt: skip


def status(**more: Any) -> Status:
    return {
        "version": "0.1.0", "log": "log-1", "time": NOON, "uptime": 8_040.0, "ready": True, "links": 23, "devices": 25,
        "frames_per_s": 41.0, "readings_per_s": 1_284.0, "ack_ms_p50": 4.2, "ack_ms_p99": 9.7, "appended": 182_330,
        "durable": 182_330, "received": 1_482_004, "accepted": 1_481_990, "rejected": 14, "duplicate": 3,
        "followers": [
            {"name": name, "cursor": 182_330 - lag, "lag": lag, "healthy": True, "error": None}
            for name, lag in (("acks", 0), ("live", 0), ("store", 12), ("account", 3), ("control", 3))
        ],
        "problems": [], **more,
    }  # type: ignore[typeddict-item]  # fmt: skip


def curve(device: str, metric: str, time: int) -> float:
    """A believable value: slow waves and a little noise, the same each time it is asked for."""
    model = next((model for model, prefix in PREFIXES.items() if device.startswith(prefix + "-")), "")
    middle, swing = CURVES.get(f"{model}.{metric}") or CURVES.get(metric) or (50.0, 12.0)
    seed = sum(map(ord, device + metric))
    noise = random.Random(seed * 1_000_003 + time // SECOND).uniform(-1, 1)
    slow = math.sin(time / SECOND / 47 + seed) + 0.4 * math.sin(time / SECOND / 13 + seed * 2)
    return round(middle + swing * (0.6 * slow + 0.12 * noise), 3)


@cache
def shipped_models() -> dict[str, Model]:
    return load_models(None)


def values_of(name: str, model: Model, time: int) -> list[list[Any]]:
    """What a device of this model says at this time, as rows of an update."""
    told: list[list[Any]] = []
    for metric in model.metrics.values():
        number = curve(name, metric.name, time)
        kinds = {"text": "running", "bool": number > 66, "int": round(number)}
        told.append([name, metric.name, time, kinds.get(metric.type.name, number), GOOD])
    return told


def small_fleet() -> Stage:
    """Twenty-five devices of five models in the middle of a good day, one silent, one gone, and what they did."""
    first, stage = _fleet(), Stage()
    stage._infos = dict(first._infos)
    for name, value in vars(first.fold).items():
        setattr(stage.fold, name, copy(value))
    return stage


@cache
def _fleet(devices: int = 25) -> Stage:
    stage = Stage()
    models = list(PREFIXES)
    quiet = {11: 95, 18: 47}
    crew = [(f"{PREFIXES[models[n % 5]]}-{n // 5 + 1:04}", models[n % 5], quiet.get(n, 0)) for n in range(devices)]
    for n, (name, model, _) in enumerate(crew):
        labels = {"site": SITES[n % len(SITES)], "line": str(n % 4 + 1)}
        behind = {"waiting": 1_240, "catch_up": 95.0} if n == 7 else {}
        stage.device(name, model, "offline" if n == 11 else "online", labels=labels, **behind)
    for second in range(-47, 1):
        told = [values_of(name, stage.models[model], NOON + (second - late) * SECOND) for name, model, late in crew]
        stage.say("readings", [row for rows in told for row in rows])
    for at in range(30):
        stage.say("hub", status(readings_per_s=1_284 + 160 * math.sin(at / 4), ack_ms_p99=9.7 + 2 * math.cos(at)))
    for seconds, kind, body in HAPPENED:
        at = NOON - seconds * SECOND
        key = {"command": "created", "presence": "at"}.get(kind, "time")
        stage.say(kind, command(**body, created=at) if kind == "command" else {**body, key: at})
    return stage


#: Seconds before noon, kind, what happened.
HAPPENED: list[tuple[int, str, dict[str, Any]]] = [
    (66, "command", {"id": "a1", "device": "pump-0001", "name": "set_speed", "args": {"speed": 2950.0},
                     "state": "succeeded", "value": {"speed": 2950.0}}),
    (65, "event", {"device": "pump-0001", "level": "info", "text": "started, ramping to 2950 /min"}),
    (41, "violation", {"device": "frz-0002", "metric": "temperature", "code": "warn_max", "count": 3,
                       "text": "-14.2 is above -15"}),
    (30, "presence", {"device": "aq-0003", "model": "air-quality", "state": "offline", "reason": "idle"}),
    (22, "presence", {"device": "aq-0003", "model": "air-quality", "state": "online", "reason": ""}),
    (20, "command", {"id": "a2", "device": "frz-0002", "name": "identify", "args": {"seconds": 10},
                     "state": "timed_out"}),
    (12, "event", {"device": "pm-0002", "level": "warning", "text": "voltage sag on phase 2"}),
    (5, "event", {"device": "ws-0005", "level": "error", "text": "rain gauge does not answer"}),
]  # fmt: skip
