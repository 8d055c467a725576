"""The load: devices in a process of their own, told by arguments, answering with one line of JSON.

    python -m benchmarks.load --url wss://localhost:8443 --ca ca.pem --tokens tokens.txt --shape rows|columns
        --links 500 --rate 16 --seconds 10

``--rate 0`` floods: each link sends whatever its window allows. Otherwise the schedule is open: a row leaves at its
time whether or not earlier ones were acked, and latency counts from the intended time, so a slow hub cannot hide.
"""

import argparse
import json
import ssl
import time
from collections import deque
from urllib.parse import urlsplit

import numpy as np
import trio

from benchmarks.client import Link
from hub.wire.codec import encode
from hub.wire.messages import Columns, Declared, Regular, Row

ROW_METRICS = (
    Declared("temperature", "Cel", "float64"),
    Declared("humidity", "%RH", "float64"),
    Declared("pressure", "hPa", "float64"),
)
COLUMN_METRICS = tuple(Declared(f"axis_{axis}", "m/s2", "float32") for axis in "xyz")
COLUMN_ROWS = 5_000  # x 3 columns x 4 bytes: just below the 64 KiB that every hub takes
BURST_BYTES = 32_768  # of one write when flooding


def row(seq: int, now: int) -> bytes:
    return encode(Row(seq, now, [21.5 + seq % 7, 40.25 + seq % 11, 1013.25]))


def columns(seq: int, now: int) -> bytes:
    base = np.arange(COLUMN_ROWS, dtype=np.float32)
    data = [(index, np.sin(base * (index + 1) + seq)) for index in range(3)]
    return encode(Columns(seq, Regular(now, 100, COLUMN_ROWS), data))


async def flood(link: Link, shape: str, until: float) -> tuple[int, int]:
    """Send what the window allows until the time is over, then wait for the last ack."""
    make = row if shape == "rows" else columns
    seq, sizes, outstanding = 1, deque[int](), 0
    acked = 0
    while trio.current_time() < until:
        while acked < link.through:
            outstanding -= sizes.popleft()
            acked += 1
        burst: list[bytes] = []
        size = 0
        now = time.time_ns() // 1000
        while size < BURST_BYTES and seq - 1 - acked < link.batches:
            frame = make(seq, now)
            if outstanding + len(frame) > link.bytes:
                break
            burst.append(frame)
            sizes.append(len(frame))
            outstanding += len(frame)
            size += len(frame)
            seq += 1
        if burst:
            await link.send(burst)
        else:
            await link.changed.wait()
    while link.through < seq - 1:
        await link.changed.wait()
    return seq - 1, (seq - 1) * (3 if shape == "rows" else 3 * COLUMN_ROWS)


async def pace(link: Link, rate: float, offset: float, until: float, latencies: list[float]) -> tuple[int, int]:
    """One row every 1/rate seconds, on schedule."""
    intended: deque[float] = deque()
    start = trio.current_time() + offset
    seq = 0

    async def watch() -> None:
        acked = 0
        while True:
            await link.changed.wait()
            now = trio.current_time()
            while acked < link.through:
                latencies.append(now - intended.popleft())
                acked += 1

    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch)
        while (at := start + seq / rate) < until:
            await trio.sleep_until(at)
            seq += 1
            intended.append(at)
            await link.send([row(seq, time.time_ns() // 1000)])
        with trio.move_on_after(30):
            while link.through < seq:
                await link.changed.wait()
            while intended:  # the watcher woke with us and may come after us
                await trio.lowlevel.checkpoint()
        nursery.cancel_scope.cancel()
    return seq, seq * 3


async def run(options: argparse.Namespace) -> dict[str, float]:
    url = urlsplit(options.url)
    context = ssl.create_default_context(cafile=options.ca) if url.scheme == "wss" else None
    with open(options.tokens) as file:  # noqa: ASYNC230  (before the load begins)
        tokens = file.read().split()
    metrics = ROW_METRICS if options.shape == "rows" else COLUMN_METRICS
    links: list[Link] = []
    latencies: list[float] = []
    totals = [0, 0]
    limit = trio.CapacityLimiter(16)  # handshakes at once: the dialling is not what is measured

    async def dial(token: str) -> None:
        async with limit:
            links.append(await Link.open(url.hostname or "", url.port or 443, context, token, options.model, metrics))

    async with trio.open_nursery() as nursery:
        for token in tokens[: options.links]:
            nursery.start_soon(dial, token)
    if options.gate:
        print("ready", flush=True)
        await trio.to_thread.run_sync(input)
    began = trio.current_time()

    async def one(index: int, link: Link) -> None:
        until = began + options.seconds
        if options.rate:
            sent = await pace(link, options.rate, index / len(links) / options.rate, until, latencies)
        else:
            sent = await flood(link, options.shape, until)
        totals[0] += sent[0]
        totals[1] += sent[1]

    async with trio.open_nursery() as followers:
        for link in links:
            followers.start_soon(link.follow)
        async with trio.open_nursery() as senders:
            for index, link in enumerate(links):
                senders.start_soon(one, index, link)
        seconds = trio.current_time() - began
        followers.cancel_scope.cancel()
    quantiles = np.quantile(latencies, [0.5, 0.99, 0.999]) * 1000 if latencies else np.zeros(3)
    return {
        "links": len(links), "frames": totals[0], "readings": totals[1], "seconds": round(seconds, 3),
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
    print(json.dumps(trio.run(run, parser.parse_args())))


if __name__ == "__main__":
    main()
