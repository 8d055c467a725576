"""Devices that come back too often are paused, so that one loose cable does not cost everybody."""

from collections import deque
from typing import Final

from hub.wire.errors import CloseCode

WINDOW_SECONDS: Final = 60.0  # in which connects are counted
#: Links that ended with these do not count: it was the hub that sent the device away, or could not serve it.
INNOCENT: Final = frozenset({CloseCode.GOING_AWAY, CloseCode.INTERNAL, CloseCode.DRAIN, CloseCode.OVERLOAD})


class Flapping:
    """Counts how often each device connects: more than ``flaps`` times within a minute, and it is to stay away for
    ``pause`` seconds. Times are seconds of a monotonic clock."""

    def __init__(self, flaps: int = 15, pause: float = 300.0) -> None:
        self._flaps = flaps
        self._pause = pause
        self._connects: dict[str, deque[float]] = {}
        self._paused: dict[str, float] = {}
        self._swept = 0.0

    def connects(self, device: str, now: float) -> float:
        """A device connects; seconds it has to stay away (0: welcome)."""
        self._sweep(now)
        until = self._paused.get(device)
        if until is not None:
            if now < until:
                return until - now
            del self._paused[device]
        times = self._connects.setdefault(device, deque())
        while times and now - times[0] > WINDOW_SECONDS:
            times.popleft()
        times.append(now)
        if len(times) <= self._flaps:
            return 0.0
        del self._connects[device]
        self._paused[device] = now + self._pause
        return self._pause

    def ended(self, device: str, code: int) -> None:
        """Its link ended; an innocent end takes the connect back."""
        times = self._connects.get(device)
        if times and code in INNOCENT:
            times.pop()

    def _sweep(self, now: float) -> None:
        """Forget the quiet ones, once a window."""
        if now - self._swept < WINDOW_SECONDS:
            return
        self._swept = now
        self._connects = {d: times for d, times in self._connects.items() if times and now - times[-1] < WINDOW_SECONDS}
        self._paused = {d: until for d, until in self._paused.items() if until > now}
