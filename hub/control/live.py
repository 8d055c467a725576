"""The fan-out to operators: one publish for all that is durable, whoever watches, and nobody is waited for."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from hub.control.errors import ControlRefused
from hub.control.latest import Latest, merge_stored
from hub.control.tracks import Moved, Stored
from hub.control.viewer import Subscription, Viewer
from hub.control.violations import Violations
from hub.model import Model
from hub.wire.kept import Birth, Entry, Kept
from hub.wire.messages import Declared, Event, Plain
from hub.wire.rows import event_time
from hub.wire.shapes import CommandInfo, EventInfo, Presence, Status

VIEWERS: Final = 64  # at a time: what a lab has, and a bound on the work of a publish


class Live:
    """Latest readings and presence for snapshots, and the viewers."""

    def __init__(self, models: Callable[[str], Model | None]) -> None:
        self._latest = Latest(models)
        self._violations = Violations()
        self._presence: dict[str, Presence] = {}
        self._status: Status | None = None
        self._viewers: list[Viewer] = []

    def viewer(self) -> Viewer:
        """For one operator's link; close it when the link ends. ControlRefused when there are too many."""
        if len(self._viewers) >= VIEWERS:
            raise ControlRefused("limit", f"{VIEWERS} operators watch already; close a dashboard")
        viewer = Viewer(self._begin, self._left)
        self._viewers.append(viewer)
        return viewer

    def publish(self, entries: Sequence[Entry]) -> None:
        """These are durable now."""
        if not self._viewers:
            self._latest.take(entries, None)
            return
        warns = any("violation" in each.kinds for viewer in self._viewers for each in viewer.subscriptions.values())
        moved = Moved(fresh=[] if warns else None)
        self._latest.take(entries, moved)
        kepts = [entry for entry in entries if type(entry) is Kept]
        seen = set() if moved.fresh is None else self._violations.take(kepts, moved.fresh)
        for viewer in self._viewers:
            viewer.mark(moved.tracks, seen)
        for kept in kepts:
            if type(kept.body) is Event:
                self._event(kept, kept.body)

    def presence(self, presence: Presence) -> None:
        """A device has come, gone or changed; of devices that were there before, at the start."""
        device = presence["device"]
        self._presence[device] = presence
        self._offer("presence", device, device, presence)

    def command(self, info: CommandInfo) -> None:
        """A command has a new state."""
        self._offer("command", info["id"], info["device"], info)

    def hub(self, status: Status) -> None:
        """How the hub is."""
        self._status = status
        self._offer("hub", "", None, status)

    def latest(self, device: str) -> list[list[Plain]]:
        """``[metric, time, value, quality]`` of each metric that has a reading, as declared."""
        track = self._latest.tracks.get(device)
        if track is None:
            return []
        readings = [(name, track.reading(index)) for index, name in enumerate(track.shape.names)]
        return [[name, *reading] for name, reading in readings if reading is not None]

    def seed(self, device: str, model: str, metrics: tuple[Declared, ...], readings: Iterable[Stored]) -> None:
        """What the store knew of a device when the hub started; ``model`` and ``metrics`` as it declared them last.
        Anything as new that was published is newer."""
        track = self._latest.tracks.get(device)
        if track is None:
            track = self._latest.track(Birth(0, device, model, metrics, ""))
        if merge_stored(track, readings):
            for viewer in self._viewers:
                viewer.mark({track}, set())

    # --- inside ----------------------------------------------------------------------------------------------------

    def _begin(self, subscription: Subscription) -> None:
        """The snapshot that opens a subscription."""
        if "presence" in subscription.kinds:
            for device, presence in self._presence.items():
                subscription.offer("presence", device, device, presence)
        if "readings" in subscription.kinds:
            subscription.snapshot(self._latest.tracks.values())
        if self._status is not None:
            subscription.offer("hub", "", None, self._status)

    def _left(self, viewer: Viewer) -> None:
        if viewer in self._viewers:
            self._viewers.remove(viewer)

    def _offer(self, kind: str, about: str, device: str | None, body: Any) -> None:
        for viewer in self._viewers:
            for subscription in viewer.subscriptions.values():
                if subscription.offer(kind, about, device, body):
                    viewer.wake()

    def _event(self, kept: Kept, event: Event) -> None:
        info = EventInfo(device=kept.birth.device, time=event_time(kept), level=event.level, text=event.text)
        for viewer in self._viewers:
            for subscription in viewer.subscriptions.values():
                if subscription.offer_event(info):
                    viewer.wake()
