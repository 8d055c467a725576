"""One operator's view of what happens: what it subscribed to, and what waits to be shown to it.

Nothing here ever makes the hub wait. Readings conflate to the latest of each series, which is looked up only when it
is taken; presence, commands and violations conflate by what they are about; of events the newest are kept. What was
left out is counted and said.
"""

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, cast

import trio

from hub.control.errors import ControlRefused
from hub.control.names import matcher
from hub.control.tracks import Series, Shape, Track
from hub.control.violations import Violation
from hub.wire.messages import Plain
from hub.wire.operator import KINDS, Subscribe, Update
from hub.wire.shapes import EventInfo

SUBSCRIPTIONS: Final = 32  # of one viewer
READING_SECONDS: Final = 0.1  # between two updates of readings: quicker than an eye, slower than a sensor
VIOLATION_SECONDS: Final = 1.0  # between two updates of violations: people read them
READINGS_PER_UPDATE: Final = 500  # about 32 KiB on the wire
READINGS_AT_ONCE: Final = 5_000  # in one take: some 5 ms of work; the rest follows
EVENTS: Final = 1_000  # that wait for one subscription; older ones are skipped
WAITING: Final = 10_000  # devices, commands or violations that wait for one subscription


class Subscription:
    """What one subscription matches, and what waits for it."""

    def __init__(self, request: Subscribe) -> None:
        for kind in request.kinds:
            if kind not in KINDS:
                raise ControlRefused(
                    "bad_request", f"there are no updates of kind {kind[:32]!r}: use {', '.join(KINDS)}"
                )
        self.id = request.id
        self.kinds = frozenset(request.kinds)
        self.device_matches = matcher(request.devices)
        self.metric_matches = matcher(request.metrics)
        self.moved: set[Track] = set()
        self.violations: set[Violation] = set()
        self.skipped = 0
        self._seen: dict[Series, int] = {}
        self._seen_violations: dict[Violation, int] = {}
        self._indexes: dict[Shape, tuple[int, ...]] = {}
        self._latest: dict[tuple[str, str], Any] = {}  # (kind, about what) -> body
        self._events: deque[EventInfo] = deque()

    def offer(self, kind: str, about: str, device: str | None, body: Mapping[str, Any]) -> bool:
        """Show this unless something newer about the same comes first; whether anybody wants it."""
        if kind not in self.kinds or (device is not None and not self.device_matches(device)):
            return False
        key = (kind, about)
        if key in self._latest:
            self.skipped += 1
            del self._latest[key]  # it goes to the end: what is shown is in the order in which it became true
        elif len(self._latest) >= WAITING:
            self.skipped += 1
            del self._latest[next(iter(self._latest))]
        self._latest[key] = body
        return True

    def offer_event(self, event: EventInfo) -> bool:
        """Show this event; whether anybody wants it."""
        if "event" not in self.kinds or not self.device_matches(event["device"]):
            return False
        if len(self._events) >= EVENTS:
            self._events.popleft()
            self.skipped += 1
        self._events.append(event)
        return True

    def snapshot(self, tracks: Iterable[Track]) -> None:
        """Begin with the latest of every series there is."""
        for track in tracks:
            for index in self._wanted(track):
                series = track.series[index]
                if track.reading(index) is not None:
                    self._seen[series] = track.rows + series.moved - 1
                    self.moved.add(track)

    def take_prompt(self) -> list[Update]:
        """What is shown at once: all but readings and violations."""
        updates = [Update(self.id, kind, cast("Plain", body)) for (kind, _), body in self._latest.items()]
        updates += [Update(self.id, "event", cast("Plain", event)) for event in self._events]
        self._latest.clear()
        self._events.clear()
        return updates

    def take_readings(self) -> list[Update]:
        """The latest of each series that moved, as many as go at once."""
        readings: list[Plain] = []
        while self.moved and len(readings) < READINGS_AT_ONCE:
            track = self.moved.pop()
            shape, device = track.shape, track.birth.device
            for index in self._wanted(track):
                series = track.series[index]
                count = track.rows + series.moved
                news = count - self._seen.get(series, 0)
                reading = track.reading(index) if news else None
                if reading is not None:
                    self._seen[series] = count
                    self.skipped += news - 1
                    readings.append([device, shape.names[index], reading.time, reading.value, reading.quality])
        return [
            Update(self.id, "readings", readings[at : at + READINGS_PER_UPDATE])
            for at in range(0, len(readings), READINGS_PER_UPDATE)
        ]

    def take_violations(self) -> list[Update]:
        """Each with how often it was seen since the last update."""
        updates = []
        for violation in self.violations:
            if not self.device_matches(violation.device) or not self.metric_matches(violation.metric):
                continue
            count = violation.count - self._seen_violations.get(violation, 0)
            if len(self._seen_violations) >= WAITING:
                self._seen_violations.clear()
            self._seen_violations[violation] = violation.count
            updates.append(Update(self.id, "violation", cast("Plain", violation.info(count))))
        self.violations.clear()
        return updates

    def take_skipped(self) -> list[Update]:
        """What conflation left out since it was last asked."""
        if not self.skipped:
            return []
        count, self.skipped = self.skipped, 0
        return [Update(self.id, "skipped", {"count": count})]

    def _wanted(self, track: Track) -> tuple[int, ...]:
        if not self.device_matches(track.birth.device):
            return ()
        shape = track.shape
        indexes = self._indexes.get(shape)
        if indexes is None:
            if len(self._indexes) >= WAITING:
                self._indexes.clear()
            indexes = tuple(index for index, name in enumerate(shape.names) if self.metric_matches(name))
            self._indexes[shape] = indexes
        return indexes


class Viewer:
    """The updates for one operator's link; one task takes them."""

    def __init__(self, begin: Callable[[Subscription], None], left: "Callable[[Viewer], None]") -> None:
        self.subscriptions: dict[int, Subscription] = {}
        self._begin = begin
        self._left = left
        self._closed = False
        self._waiting: trio.Event | None = None
        self._readings_at = self._violations_at = float("-inf")  # when the next may be shown, on trio's clock

    def subscribe(self, request: Subscribe) -> None:
        """Begin, or begin again, with a snapshot of what matches. ControlRefused when a kind is unknown."""
        if request.id not in self.subscriptions and len(self.subscriptions) >= SUBSCRIPTIONS:
            raise ControlRefused("limit", f"at most {SUBSCRIPTIONS} subscriptions on one link; end some first")
        subscription = Subscription(request)
        self._begin(subscription)
        self.subscriptions[request.id] = subscription
        self.wake()

    def unsubscribe(self, id: int) -> None:
        """What waits for it is forgotten; an unknown id is none of ours."""
        self.subscriptions.pop(id, None)

    def close(self) -> None:
        """The operator has left."""
        self._closed = True
        self._left(self)
        self.wake()

    def wake(self) -> None:
        """Something is to be shown."""
        if self._waiting is not None:
            self._waiting.set()

    def mark(self, moved: set[Track], violations: set[Violation]) -> None:
        """These devices have newer readings, these violations were seen."""
        news = False
        for subscription in self.subscriptions.values():
            if moved and "readings" in subscription.kinds:
                news = news or not subscription.moved
                subscription.moved |= moved
            if violations and "violation" in subscription.kinds:
                news = news or not subscription.violations
                subscription.violations |= violations
        if news:  # who already waits for the next moment of readings is not woken for more of them
            self.wake()

    async def take(self) -> list[Update]:
        """What is to be shown now; waits until there is something. Raises ClosedResourceError after ``close``."""
        while True:
            if self._closed:
                raise trio.ClosedResourceError
            updates = self._take()
            if updates:
                return updates
            self._waiting = trio.Event()
            with trio.move_on_at(self._next()):
                await self._waiting.wait()
            self._waiting = None

    def _take(self) -> list[Update]:
        now = trio.current_time()
        subscriptions = list(self.subscriptions.values())
        updates = [update for each in subscriptions for update in each.take_prompt()]
        if now >= self._readings_at and any(each.moved for each in subscriptions):
            updates += [update for each in subscriptions for update in each.take_readings()]
            updates += [update for each in subscriptions for update in each.take_skipped()]
            if not any(each.moved for each in subscriptions):  # else the rest follows at once
                self._readings_at = now + READING_SECONDS
        if now >= self._violations_at and any(each.violations for each in subscriptions):
            updates += [update for each in subscriptions for update in each.take_violations()]
            self._violations_at = now + VIOLATION_SECONDS
        return updates

    def _next(self) -> float:
        """When something that waits may be shown, if nothing happens before."""
        subscriptions = self.subscriptions.values()
        times = [self._readings_at for each in subscriptions if each.moved]
        times += [self._violations_at for each in subscriptions if each.violations]
        return min(times, default=float("inf"))
