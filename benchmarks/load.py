"""The load: devices in a process of their own, told by arguments, answering with one line of JSON.

    python -m benchmarks.load --url wss://localhost:8443 --ca ca.pem --tokens tokens.txt --shape rows|columns
        --links 500 --rate 16 --seconds 10

``--rate 0`` floods: each link sends whatever its window allows. Otherwise the schedule is open: a row leaves at its
time whether or not earlier ones were acked, and latency counts from the intended time, so a slow hub cannot hide.
"""

import argparse
import json
import selectors
import ssl
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np

from benchmarks.client import Link
from hub.wire.codec import encode
from hub.wire.messages import Array, Columns, Declared, Regular, Row, Value

ROW_METRICS = (
    Declared("temperature", "Cel", "float64"),
    Declared("humidity", "%RH", "float64"),
    Declared("pressure", "hPa", "float64"),
)
COLUMN_METRICS = tuple(Declared(f"axis_{axis}", "m/s2", "float32") for axis in "xyz")
COLUMN_ROWS = 5_000  # x 3 columns x 4 bytes: just below the 64 KiB that every hub takes
BURST_BYTES = 32_768  # of one write when flooding
SELECT_SECONDS = 0.05  # when nothing is due
DRAIN_SECONDS = 30.0  # for the last acks


def row(seq: int, now: int) -> bytes:
    return encode(Row(seq, now, [21.5 + seq % 7, 40.25 + seq % 11, 1013.25]))


def columns(seq: int, now: int) -> bytes:
    base = np.arange(COLUMN_ROWS, dtype=np.float32)
    data: list[tuple[int, Array | list[Value]]] = [(index, np.sin(base * (index + 1) + seq)) for index in range(3)]
    return encode(Columns(seq, Regular(now, 100, COLUMN_ROWS), data))


class Flood:
    """Sends on one link whatever its window allows, until told to stop."""

    def __init__(self, link: Link, shape: str) -> None:
        self.link = link
        self._shape = shape
        self._make = row if shape == "rows" else columns
        self._sizes: deque[int] = deque()  # of frames that are not acked
        self._outstanding = 0  # bytes of these
        self.sent = 0

    def fill(self) -> bool:
        """Send another burst, where the window has room for it; whether it had."""
        link = self.link
        while len(self._sizes) > self.sent - link.through:
            self._outstanding -= self._sizes.popleft()
        burst: list[bytes] = []
        size = 0
        now = time.time_ns() // 1000
        while not link.unsent and size < BURST_BYTES and len(self._sizes) < link.batches:
            frame = self._make(self.sent + 1, now)
            if self._outstanding + len(frame) > link.bytes:
                break
            burst.append(frame)
            self._sizes.append(len(frame))
            self._outstanding += len(frame)
            size += len(frame)
            self.sent += 1
        if burst:
            link.send(burst)
        return bool(burst)

    @property
    def done(self) -> bool:
        """All that was sent is acked."""
        return self.link.through == self.sent

    @property
    def readings(self) -> int:
        return self.sent * (3 if self._shape == "rows" else 3 * COLUMN_ROWS)


class Paced:
    """Rows on one link, each at its time."""

    def __init__(self, link: Link, latencies: list[float]) -> None:
        self.link = link
        self._latencies = latencies
        self._intended: deque[float] = deque()
        self.sent = 0

    def send(self, at: float) -> None:
        """The row that was to leave ``at``."""
        self.sent += 1
        self._intended.append(at)
        self.link.send([row(self.sent, time.time_ns() // 1000)])

    def note(self) -> None:
        """Book what has been acked."""
        now = time.monotonic()
        while len(self._intended) > self.sent - self.link.through:
            self._latencies.append(now - self._intended.popleft())

    @property
    def done(self) -> bool:
        """All that was sent is acked."""
        return self.link.through == self.sent

    @property
    def readings(self) -> int:
        return self.sent * 3


def flood(links: Sequence[Link], shape: str, until: float) -> Sequence[Flood]:
    """Every link as fast as its window allows, until the time is over and the last ack is here."""
    senders = [Flood(link, shape) for link in links]
    events = _watch(senders)
    while time.monotonic() < until or not all(sender.done for sender in senders):
        filled = False
        for sender in senders:
            if time.monotonic() < until:
                filled = sender.fill() or filled
            sender.link.flush()
            watched = selectors.EVENT_READ | (selectors.EVENT_WRITE if sender.link.unsent else 0)
            events.modify(sender.link.socket, watched, sender)
        for key, ready in events.select(0 if filled else SELECT_SECONDS):
            if ready & selectors.EVENT_READ:
                key.data.link.receive()
    return senders


def pace(links: Sequence[Link], rate: float, began: float, until: float, latencies: list[float]) -> Sequence[Paced]:
    """One row every 1/rate seconds on each link, the links one after the other."""
    senders = [Paced(link, latencies) for link in links]
    events = _watch(senders)
    step = 1 / rate / len(links)
    total = int((until - began) / step)
    gone = 0
    while gone < total or not all(sender.done for sender in senders):
        now = time.monotonic()
        if now > until + DRAIN_SECONDS:
            break
        while gone < total and began + gone * step <= now:
            senders[gone % len(links)].send(began + gone * step)
            gone += 1
        wait = max(0.0, began + gone * step - time.monotonic()) if gone < total else SELECT_SECONDS
        for key, _ in events.select(wait):
            key.data.link.receive()
            key.data.link.flush()
            key.data.note()
    return senders


def _watch(senders: Sequence[Flood] | Sequence[Paced]) -> selectors.BaseSelector:
    events = selectors.DefaultSelector()
    for sender in senders:
        events.register(sender.link.socket, selectors.EVENT_READ, sender)
    return events


def run(options: argparse.Namespace) -> dict[str, float]:
    """Dial, wait at the gate, send; what came of it."""
    url = urlsplit(options.url)
    context = ssl.create_default_context(cafile=options.ca) if url.scheme == "wss" else None
    tokens = Path(options.tokens).read_text().split()[: options.links]
    metrics = ROW_METRICS if options.shape == "rows" else COLUMN_METRICS
    links = [Link(url.hostname or "", url.port or 443, context, token, options.model, metrics) for token in tokens]
    if options.gate:
        print("ready", flush=True)
        input()
    latencies: list[float] = []
    began, used = time.monotonic(), time.process_time()
    until = began + options.seconds
    senders = pace(links, options.rate, began, until, latencies) if options.rate else flood(links, options.shape, until)
    seconds, used = time.monotonic() - began, time.process_time() - used
    quantiles = np.quantile(latencies, [0.5, 0.99, 0.999]) * 1000 if latencies else np.zeros(3)
    return {
        "links": len(links), "frames": sum(sender.sent for sender in senders),
        "readings": sum(sender.readings for sender in senders), "seconds": round(seconds, 3),
        "load_cpu_s": round(used, 2),
        "acks": len(latencies), "p50_ms": round(float(quantiles[0]), 2), "p99_ms": round(float(quantiles[1]), 2),
        "p999_ms": round(float(quantiles[2]), 2),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", required=True)
    parser.add_argument("--ca")
    parser.add_argument("--tokens", required=True)
    parser.add_argument("--model", default="benchmark")
    parser.add_argument("--shape", choices=("rows", "columns"), default="rows")
    parser.add_argument("--links", type=int, default=1)
    parser.add_argument("--rate", type=float, default=0)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--gate", action="store_true", help="print 'ready' when dialled, begin at a line on stdin")
    print(json.dumps(run(parser.parse_args())))


if __name__ == "__main__":
    main()
