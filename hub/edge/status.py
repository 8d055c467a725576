"""How the hub stands, in the words of ``Status``: rates over the last seconds, ack latency, positions, problems."""

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import trio

from hub.edge.rooms import Rooms
from hub.wire.shapes import Status

RATE_SECONDS: Final = 5.0  # rates are means over so long


class _Count(NamedTuple):
    at: float
    frames: int
    readings: int


class Gauge:
    """Samples the rooms once a second, and tells their state."""

    def __init__(self, rooms: Rooms, latencies: Sequence[float], refused: Mapping[int, int]) -> None:
        """``latencies``: seconds from frame to ack; ``refused``: frames by close code."""
        self._rooms = rooms
        self._refused = refused
        self._latencies = latencies
        self._started = trio.current_time()
        self._counts: deque[_Count] = deque()
        self.sample()

    def sample(self) -> None:
        """Take note of the counters; call it about once a second."""
        ingest, now = self._rooms.ingest, trio.current_time()
        self._counts.append(_Count(now, ingest.frames, ingest.readings))
        while len(self._counts) > 2 and now - self._counts[1].at >= RATE_SECONDS:
            self._counts.popleft()

    def status(self, links: int) -> Status:
        """Everything; ``links`` is how many are open."""
        rooms = self._rooms
        ingest, journal = rooms.ingest, rooms.journal
        first, last = self._counts[0], self._counts[-1]
        seconds = max(last.at - first.at, 1e-3)
        problems = rooms.problems()
        return Status(
            version=rooms.version,
            log=rooms.log,
            time=rooms.clock.now(),
            uptime=trio.current_time() - self._started,
            ready=not problems,
            links=links,
            devices=len(rooms.registry),
            frames_per_s=(last.frames - first.frames) / seconds,
            readings_per_s=(last.readings - first.readings) / seconds,
            ack_ms_p50=self._latency_ms(0.5),
            ack_ms_p99=self._latency_ms(0.99),
            appended=journal.appended,
            durable=journal.durable,
            received=ingest.readings,
            accepted=ingest.accepted,
            rejected=ingest.rejected,
            duplicate=ingest.duplicates,
            refused={str(int(code)): count for code, count in sorted(self._refused.items())},
            followers=rooms.followers(),
            problems=[*problems, *rooms.cautions()],
        )

    def _latency_ms(self, quantile: float) -> float:
        ordered = sorted(self._latencies)
        return ordered[min(len(ordered) - 1, int(len(ordered) * quantile))] * 1e3 if ordered else 0.0
