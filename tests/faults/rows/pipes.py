"""Rows of links that are slow and narrow, and of acks that get lost on them."""

import math
from dataclasses import dataclass

import trio

from tests.end_to_end.raw import Raw
from tests.end_to_end.standing import counted
from tests.faults.ground import PATIENCE_SECONDS, Ground, Streamer, on_the_network, until
from tests.faults.lab import Failed, Figures, Lab, Row
from tests.faults.proxy import Manner, Treatment

# --- F15: slow, narrow, chopped --------------------------------------------------------------------------------------

ONE_WAY_SECONDS = 0.1  # 200 ms there and back
RATE_BYTES = 8_000.0  # a second: 64 kbit/s
FILLED = 0.7  # of what a narrow pipe can take: less says that the window let it run dry


@dataclass(frozen=True)
class Shape:
    name: str
    samples: int  # of two readings each
    treatment: Treatment


SHAPES = (
    Shape("plain", 2_500, Treatment()),
    Shape("latency_200ms", 2_500, Treatment(Manner(delay=ONE_WAY_SECONDS), Manner(delay=ONE_WAY_SECONDS))),
    Shape("rate_64kbit", 250, Treatment(Manner(rate=RATE_BYTES))),
    Shape("chopped", 250, Treatment(Manner(piece=1), Manner(piece=1))),
)


async def shaped(ground: Ground) -> Figures:
    """A backlog through each kind of pipe; more batches than one window has."""
    figures: Figures = {}
    plain = math.nan  # seconds for a reading where the pipe costs nothing
    for name, shape in zip(ground.tokens, SHAPES, strict=True):
        streamer = await ground.streamer(name)
        readings = await ground.backlog(streamer, shape.samples)
        streamer.proxy.usual = shape.treatment
        ground.link(streamer)
        await until(lambda device=streamer.device: device.linked)  # type: ignore[misc]
        before = streamer.connection.up.passed
        began = trio.current_time()
        with trio.move_on_after(PATIENCE_SECONDS) as limit:
            await streamer.device.emptied()
        if limit.cancelled_caught:
            raise Failed(f"{shape.name}: {readings} readings take more than {PATIENCE_SECONDS:g} s", figures)
        took = trio.current_time() - began
        sent = streamer.connection.up.passed - before
        if shape.name == "plain":
            plain = took / readings
        ideal = max(plain * readings, sent / shape.treatment.up.rate) + 2 * shape.treatment.up.delay
        figures |= {f"{shape.name}_per_s": round(readings / took), f"{shape.name}_ideal": round(readings / ideal)}
        if shape.treatment.up.rate < math.inf and ideal / took < FILLED:
            raise Failed(f"{shape.name}: the pipe ran dry: {figures}", figures)
        await streamer.finish()
    return figures


# --- F16: acks lost, then a reconnect --------------------------------------------------------------------------------

PATIENT, FORGETFUL = 8, 8  # devices; the second kind overhears what welcome says
ROUNDS = 6  # of each of the first kind: every other link loses its acks
LINGER_SECONDS = 0.5  # on a link
BATCHES = 100  # of each of the second kind


async def acks_lost(ground: Ground) -> Figures:
    """Half of the links lose their acks; some devices then send everything again, as if welcome had not told them."""
    before = (await _counters(ground))["telemetrio_ingest_duplicates"]
    names = list(ground.tokens)
    again: list[int] = []

    async def forget(name: str) -> None:
        again.append(await _sent_again(ground, name))

    async with trio.open_nursery() as nursery:
        for name in names[:PATIENT]:
            nursery.start_soon(_reconnect, ground, name)
        for name in names[PATIENT:]:
            nursery.start_soon(forget, name)
    counters = await _counters(ground)
    seen = int(counters["telemetrio_ingest_duplicates"] - before)
    return {"links": PATIENT * ROUNDS + 2 * FORGETFUL, "duplicates_sent": sum(again), "duplicates_seen": seen}


async def _counters(ground: Ground) -> dict[str, float]:
    return await trio.to_thread.run_sync(counted, ground.hub)


async def _reconnect(ground: Ground, name: str) -> None:
    """Lose the acks of every other link, cut it, and see what the next one makes of it."""
    (streamer,) = await ground.streaming([name])
    for number in range(ROUNDS):
        connection = streamer.connection
        if number % 2:
            connection.down.blackhole = True
        await trio.sleep(LINGER_SECONDS)
        links = len(streamer.opened)
        connection.end(reset=True)
        await until(lambda links=links: len(streamer.opened) > links and streamer.device.linked)  # type: ignore[misc]
    await ground.progress([streamer])
    await streamer.finish()


async def _sent_again(ground: Ground, name: str) -> int:
    """Send, hear no ack, come back, and send all of it again though welcome says that it is there; how many batches."""
    streamer = await ground.streamer(name)
    spool, batches = streamer.device.spool, BATCHES
    await ground.backlog(streamer, batches // 2)
    async with ground.raw(streamer) as raw:
        await ground.hello(raw, streamer)
        streamer.connection.down.blackhole = True
        await _say_all(raw, streamer)
        await ground.hub_has(name, batches)
        streamer.connection.end(reset=True)
    async with ground.raw(streamer) as raw:
        await ground.hello(raw, streamer, forget=True)
        spool.rewind()
        await _say_all(raw, streamer)
        await ground.backlog(streamer, 1)
        await _say_all(raw, streamer)
        while spool.acked < spool.next - 1:
            await ground.hear_ack(raw, streamer)
    return batches


async def _say_all(raw: Raw, streamer: Streamer) -> None:
    spool = streamer.device.spool
    while (held := spool.peek()) is not None:
        assert held.frame is not None
        spool.passed()
        await raw.say(held.frame)


def all_seen(lab: Lab) -> Figures:
    """F16, and whether the hub has counted each duplicate."""
    names = [f"patient-{n}" for n in range(PATIENT)] + [f"forgetful-{n}" for n in range(FORGETFUL)]
    figures = on_the_network(names, acks_lost)(lab)
    if figures["duplicates_seen"] != figures["duplicates_sent"]:
        raise Failed(f"the hub has not seen what was sent again: {figures}", figures)
    return figures


ROWS = [
    Row(
        "F15 slow, narrow and chopped links",
        on_the_network([f"shape-{shape.name}" for shape in SHAPES], shaped),
        seconds=15.0,
    ),
    Row("F16 acks lost, then a reconnect", all_seen, seconds=8.0),
]
