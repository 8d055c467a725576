"""What somebody would write in an afternoon instead, for the same load beside ours.

``bare``: trio-websocket as it comes; frames are received and acked in bunches, nothing is decoded or kept: the
ceiling of that library. ``plain``: the `websockets` package, cbor2 and DuckDB in one asyncio process: rows are decoded,
collected and inserted in the background, acked on receipt, with no journal, validation or deduplication.

    python -m benchmarks.peers bare|plain --cert hub.pem --key hub.key --data DIR
"""

import argparse
import asyncio
import ssl
from functools import partial
from pathlib import Path

import cbor2
import numpy as np
import trio

from hub.wire.codec import encode
from hub.wire.messages import SUBPROTOCOL, Ack, Welcome, Window

WINDOW = Window(4_096, 1_048_576)
ACK_EVERY = 64  # frames; the rest is acked when the link falls silent for 5 ms
COMMIT_SECONDS = 0.2
LOG = "0" * 32


def welcome() -> bytes:
    return encode(Welcome(1, 0, (), WINDOW, 65_536, 50.0, 0, LOG))


def context(options: argparse.Namespace) -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(options.cert, options.key)
    return made


async def bare(options: argparse.Namespace) -> None:
    """trio-websocket, a message at a time."""
    import trio_websocket

    async def converse(request: trio_websocket.WebSocketRequest) -> None:
        socket = await request.accept(subprotocol=SUBPROTOCOL)
        await socket.get_message()
        await socket.send_message(welcome())
        through = acked = 0
        try:
            while True:
                with trio.move_on_after(0.005 if through > acked else float("inf")):
                    await socket.get_message()
                    through += 1
                    if through - acked < ACK_EVERY:
                        continue
                acked = through
                await socket.send_message(encode(Ack(acked, WINDOW)))
        except trio_websocket.ConnectionClosed:
            return

    async with trio.open_nursery() as nursery:
        serve = partial(trio_websocket.serve_websocket, converse, "127.0.0.1", 0, context(options))
        server = await nursery.start(serve)
        print(f"wss://localhost:{server.port}", flush=True)


async def plain(options: argparse.Namespace) -> None:
    """websockets + cbor2 + DuckDB."""
    import duckdb
    from websockets.asyncio.server import ServerConnection, serve
    from websockets.typing import Subprotocol

    database = duckdb.connect(str(Path(options.data) / "plain.duckdb"), config={"threads": 1, "memory_limit": "256MB"})
    database.execute("CREATE TABLE readings (link INTEGER, metric INTEGER, time BIGINT, value DOUBLE)")
    rows: list[tuple[int, int, list[float]]] = []
    blocks: list[tuple[int, int, int, int, np.ndarray]] = []

    def commit(rows: list[tuple[int, int, list[float]]], blocks: list[tuple[int, int, int, int, "np.ndarray"]]) -> None:
        links, metrics, times, values = [], [], [], []
        if rows:
            width = len(rows[0][2])
            links.append(np.repeat(np.array([row[0] for row in rows], dtype=np.int32), width))
            metrics.append(np.tile(np.arange(width, dtype=np.int32), len(rows)))
            times.append(np.repeat(np.array([row[1] for row in rows]), width))
            values.append(np.array([row[2] for row in rows], dtype=np.float64).ravel())
        for link, metric, start, step, block in blocks:
            links.append(np.full(len(block), link, dtype=np.int32))
            metrics.append(np.full(len(block), metric, dtype=np.int32))
            times.append(start + step * np.arange(len(block)))
            values.append(block.astype(np.float64))
        columns = [np.concatenate(part) for part in (links, metrics, times, values)]
        data = dict(zip(("link", "metric", "time", "value"), columns, strict=True))
        cursor = database.cursor()
        cursor.register("data", data)
        cursor.execute("INSERT INTO readings SELECT link, metric, time, value FROM data")

    async def store() -> None:
        while True:
            await asyncio.sleep(COMMIT_SECONDS)
            if rows or blocks:
                taken = rows[:], blocks[:]
                rows.clear()
                blocks.clear()
                await asyncio.to_thread(commit, *taken)

    def typed(tag: cbor2.CBORTag, immutable: bool) -> "np.ndarray":
        return np.frombuffer(tag.value, dtype=np.float32)

    async def converse(socket: ServerConnection) -> None:
        link = id(socket) & 0x7FFFFFFF
        await socket.recv()
        await socket.send(welcome())
        through = acked = 0
        while True:
            try:
                frame = await asyncio.wait_for(socket.recv(decode=False), 0.005 if through > acked else None)
                message = cbor2.loads(frame, tag_hook=typed)
                through += 1
                if message[0] == 2:
                    rows.append((link, message[2], message[3]))
                else:
                    start, step, _ = message[2]
                    blocks.extend((link, index, start, step, block) for index, block in message[3])
                if through - acked < ACK_EVERY:
                    continue
            except TimeoutError:
                pass
            acked = through
            await socket.send(encode(Ack(acked, WINDOW)))

    server = await serve(
        converse,
        "127.0.0.1",
        0,
        ssl=context(options),
        subprotocols=[Subprotocol(SUBPROTOCOL)],
        compression=None,
    )
    print(f"wss://localhost:{server.sockets[0].getsockname()[1]}", flush=True)
    await asyncio.gather(server.serve_forever(), store())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("peer", choices=("bare", "plain"))
    parser.add_argument("--cert", required=True)
    parser.add_argument("--key", required=True)
    parser.add_argument("--data", required=True)
    options = parser.parse_args()
    if options.peer == "bare":
        trio.run(bare, options)
    else:
        asyncio.run(plain(options))


if __name__ == "__main__":
    main()
