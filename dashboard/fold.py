"""Folds what the hub says into views. Pure: the same words in the same order make the same view."""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from math import isfinite
from typing import Any, Final, cast

from dashboard.view import Device, Line, Link, Series, View
from hub.model import Model
from hub.wire.messages import TIME_UNKNOWN
from hub.wire.operator import Greeting, Update
from hub.wire.shapes import CommandInfo, DeviceInfo, EventInfo, Presence, Status, ViolationInfo

TRAIL: Final = 48  # numbers kept per series for its sparkline: the widest one drawn
RATES: Final = 120  # statuses kept for the hub's own sparklines
LINES: Final = 2_000  # of the log; a screen shows some tens, the filter searches all
COMMANDS: Final = 500  # newest kept
TEXT: Final = 2_000  # characters of a line that are kept: a device's text may fill a frame, and there are LINES of them
AGAIN: Final = 60_000_000  # us: a limit that is violated again within that long is no news, but a higher count
SERIES: Final = 1_024  # of a device, the newest: as many as it may declare, but it may declare others at each birth


class Fold:
    """Takes in what the hub says; ``view`` is all of it so far. Belongs to one thread."""

    def __init__(self) -> None:
        self._view = View()
        self._devices: dict[str, Device] = {}
        self._models: dict[str, Model] = {}
        self._commands: dict[str, CommandInfo] = {}
        self._log: deque[Line] = deque(maxlen=LINES)
        self._repeats: dict[tuple[str, str, str], tuple[int, int, int]] = {}  # of a limit: line, readings, last time
        self._numbered = 0
        self._fresh = True

    def view(self) -> View:
        """The picture as it is now; later words do not change it."""
        if not self._fresh:
            self._view = replace(
                self._view, devices=dict(self._devices), models=dict(self._models), commands=dict(self._commands),
                log=tuple(self._log),
            )  # fmt: skip
            self._fresh = True
        return self._view

    @property
    def changed(self) -> bool:
        """Has anything been taken in since ``view`` was last asked for?"""
        return not self._fresh

    def link(self, link: Link) -> None:
        """Our own link to the hub has changed."""
        self._set(link=link)

    def greet(self, greeting: Greeting, now: int) -> None:
        """The hub has greeted us; ``now`` is this machine's clock, from which the hub's is told from here on."""
        self._set(greeting=greeting, skew=greeting.time - now, link=Link("live"))

    def models(self, models: Iterable[Model]) -> None:
        """What the hub's models are."""
        self._fresh = False
        self._models = {model.name: model for model in models}

    def inventory(self, infos: Iterable[DeviceInfo]) -> None:
        """All devices there are: those that are not among them have gone."""
        self._fresh = False
        known = self._devices
        self._devices = {info["device"]: _informed(known.get(info["device"]), info) for info in infos}

    def units(self, device: str, metrics: Sequence[Sequence[str]]) -> None:
        """What a device of an open model declared: ``[name, unit, type]`` each."""
        self._change(device, units={entry[0]: entry[1] for entry in metrics})

    def history(self, infos: Iterable[CommandInfo]) -> None:
        """Commands of before we came, newest first."""
        for info in reversed(list(infos)):
            self._command(info)

    def take(self, update: Update, now: int) -> None:
        """One thing that changed; ``now``: us, this machine's clock."""
        self._fresh = False
        body = cast("Any", update.body)
        if update.kind == "readings":
            self._readings(body, now + self._view.skew)
        elif update.kind == "presence":
            self._presence(body)
        elif update.kind == "command":
            self._command(body)
        elif update.kind == "event":
            self._event(body)
        elif update.kind == "violation":
            self._violation(body)
        elif update.kind == "hub":
            self._status(body, now)
        elif update.kind == "skipped":
            self._view = replace(self._view, skipped=self._view.skipped + int(body["count"]))

    def _set(self, **changes: Any) -> None:
        self._fresh = False
        self._view = replace(self._view, **changes)

    def _change(self, device: str, **changes: Any) -> None:
        self._fresh = False
        self._devices[device] = replace(self._devices.get(device) or Device(device), **changes)

    def _readings(self, readings: Sequence[Sequence[Any]], now: int) -> None:
        of: dict[str, list[Sequence[Any]]] = {}
        for reading in readings:
            of.setdefault(reading[0], []).append(reading)
        for name, own in of.items():
            device = self._devices.get(name) or Device(name)
            series = dict(device.series)
            for _, metric, time, value, quality in own:
                series[metric] = _next(series.get(metric), metric, time, value, quality)
            if len(series) > SERIES:
                newest = sorted(series.values(), key=lambda one: one.time)[-SERIES:]
                series = {one.metric: one for one in newest}
            told = [min(time, now) for _, _, time, _, quality in own if quality != TIME_UNKNOWN]
            seen = max(told, default=None)
            if seen is None or (device.seen is not None and seen <= device.seen):
                self._devices[name] = replace(device, series=series)
                continue
            interval = seen - device.seen if device.seen is not None else 0
            self._devices[name] = replace(device, series=series, seen=seen, interval=interval)

    def _presence(self, body: Presence) -> None:
        before = self._devices.get(body["device"])
        self._change(body["device"], model=body["model"], state=body["state"], since=body["at"])
        if before is not None and before.state != body["state"]:
            level = "info" if body["state"] == "online" else "warning"
            text = body["state"] + (f": {body['reason']}" if body["reason"] else "")
            self._say(body["at"], "link", level, body["device"], text)

    def _command(self, info: CommandInfo) -> None:
        before = self._commands.get(info["id"])
        if before is not None and before["changed"] > info["changed"]:
            return  # an answer and the subscription may cross
        self._fresh = False
        self._commands[info["id"]] = info
        for oldest in list(self._commands)[: max(0, len(self._commands) - COMMANDS)]:
            del self._commands[oldest]
        line = Line(info["created"], "command", info["state"], info["device"], described(info)[:TEXT], info["id"])
        for at in range(len(self._log) - 1, -1, -1) if before is not None else ():
            if self._log[at].key == info["id"]:
                self._log[at] = replace(line, number=self._log[at].number)
                return
        self._say(line.time, line.kind, line.level, line.device, line.text, line.key)

    def _event(self, body: EventInfo) -> None:
        self._say(body["time"], "event", body["level"], body["device"], body["text"])

    def _violation(self, body: ViolationInfo) -> None:
        """One line for each device, metric and limit as long as it goes on: a fleet has many at once."""
        limit, time = (body["device"], body["metric"], body["code"]), body["time"]
        number, count, last = self._repeats.get(limit, (0, 0, 0))
        at = number - self._log[0].number if number and 0 <= time - last <= AGAIN else -1  # below 0: it is not there
        count = body["count"] + (count if at >= 0 else 0)
        times = f" ×{count}" if count > 1 else ""  # before the text: a narrow screen cuts that
        text = f"{body['metric']} {body['code']}{times}: {body['text']}"
        if at >= 0:
            self._log[at] = replace(self._log[at], text=text[:TEXT])
        else:
            self._say(time, "violation", "warning", body["device"], text)
            self._repeats.pop(limit, None)  # in the order of their lines
            number = self._numbered
        self._repeats[limit] = (number, count, time)
        if len(self._repeats) > LINES:  # the line of the first has left the log
            del self._repeats[next(iter(self._repeats))]
        if body["device"] in self._devices:
            self._change(body["device"], limits=time)

    def _status(self, status: Status, now: int) -> None:
        before = self._view
        self._view = replace(
            before, status=status, skew=status["time"] - now,
            rates=(*before.rates, status["readings_per_s"])[-RATES:],
            acks=(*before.acks, status["ack_ms_p99"])[-RATES:],
        )  # fmt: skip

    def _say(self, time: int, kind: Any, level: str, device: str, text: str, key: str = "") -> None:
        self._numbered += 1
        self._log.append(Line(time, kind, level, device, text[:TEXT], key, self._numbered))


def described(info: CommandInfo) -> str:
    """A command in one line: name, arguments, who sent it, and what came back."""
    args = " ".join(f"{name}={shown(value)}" for name, value in info["args"].items())
    answer = "" if info["value"] is None else f" → {shown(info['value'])}"
    late = " (late)" if info["late"] else ""
    return f"{info['name']} {args}".rstrip() + f"{answer}{late}  by {info['by']}"


def shown(value: Any) -> str:
    """A plain value as people write it; maps and lists in short."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {shown(entry)}" for key, entry in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(shown, value))
    return str(value)


def _informed(known: Device | None, info: DeviceInfo) -> Device:
    device = known or Device(info["device"])
    return replace(
        device, model=info["model"], state=info["state"], since=info["since"], software=info["software"],
        labels=dict(info["labels"]), address=info["address"], epoch=info["epoch"], through=info["through"],
        waiting=info["waiting"], catch_up=info["catch_up"],
        seen=device.seen if device.seen is not None else info["last_seen"],
    )  # fmt: skip


def _next(before: Series | None, metric: str, time: int, value: Any, quality: int) -> Series:
    trail = before.trail if before else ()
    if isinstance(value, int | float) and isfinite(value) and (before is None or time != before.time or not trail):
        trail = (*trail[1 - TRAIL :], float(value))
    return Series(metric, time, value, quality, trail)
