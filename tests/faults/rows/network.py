"""Rows of the network between devices and hub: connections cut anywhere, gone without a word, slow and narrow."""

import random
from collections import deque
from dataclasses import replace

import trio

from devices import conversation
from tests.faults.ground import Ground, Streamer, on_the_network, spread, until
from tests.faults.lab import Failed, Figures, Row
from tests.faults.proxy import Manner, Treatment

# --- F12: cut at every byte ----------------------------------------------------------------------------------------

WORKERS = 6  # devices at a time
CUTS = 30  # of one device
FLAPS = 100_000  # in a minute: nobody is to be paused here
SCOUTS = 5  # a first link has as many acks when its size is taken
CROWD = 200  # devices: more than are needed


async def cut_anywhere(ground: Ground) -> Figures:
    """Cut at each byte of the handshakes, the first frames and their acks; every other time by a RST."""
    names = deque(ground.tokens)
    up, down = await _size(ground, names.popleft())
    cuts = _cuts(up, down)
    random.Random(ground.lab.seed).shuffle(cuts)
    jobs = deque(cuts[at : at + CUTS] for at in range(0, len(cuts), CUTS))
    made: list[int] = []

    async def work() -> None:
        while jobs:
            made.append(await _endure(ground, names.popleft(), jobs.popleft()))

    async with trio.open_nursery() as nursery:
        for _ in range(WORKERS):
            nursery.start_soon(work)
    if sum(made) != len(cuts):
        raise Failed(f"{sum(made)} of {len(cuts)} cuts were made")
    return {"offsets": sum(made), "bytes_up": up, "bytes_down": down, "devices": len(ground.tokens) - len(names)}


async def _size(ground: Ground, name: str) -> tuple[int, int]:
    """Bytes of a link from its first to those of a few acks."""
    (scout,) = await ground.streaming([name])
    await ground.acked_beyond(scout, SCOUTS)
    size = scout.connection.up.passed, scout.connection.down.passed
    await scout.finish()
    return size


def _cuts(up: int, down: int) -> list[Treatment]:
    ups = [Manner(cut=at) for at in range(up)]
    downs = [Manner(cut=at) for at in range(down)]
    cuts = [Treatment(up=up) for up in ups] + [Treatment(down=down) for down in downs]
    return [replace(cut, reset=at % 2 == 0) for at, cut in enumerate(cuts)]


async def _endure(ground: Ground, name: str, cuts: list[Treatment]) -> int:
    """A device whose links are cut one after the other, and then let be; how many have been."""
    streamer = await ground.streamer(name)
    streamer.proxy.plan.extend(cuts)
    ground.link(streamer)
    ground.measure(streamer)
    await until(lambda: not streamer.proxy.plan and len(streamer.opened) > len(cuts) and streamer.device.linked)
    await streamer.finish()
    return sum(connection.was_cut for connection in streamer.opened)


# --- F13: half open ------------------------------------------------------------------------------------------------

IDLE_SECONDS = 1.0  # of silence until the hub pings: as short as the settings allow
GONE_SECONDS = 2.5 * IDLE_SECONDS  # of silence until it lets go
HALF_OPEN = 10
PONG_SECONDS = 2.5  # instead of 10: so that devices notice after the hub, but soon
LOADED = 3.0  # times later than it should be is still noticed: the machine may be busy


async def half_open(ground: Ground) -> Figures:
    """Peers vanish without a word: both ends notice, the device comes back."""
    conversation.PONG_SECONDS = PONG_SECONDS  # type: ignore[misc]
    streamers = await ground.streaming(ground.tokens)
    chance = random.Random(ground.lab.seed)
    presence = await ground.operator.subscribe(kinds=("presence",))
    vanished: dict[str, float] = {}
    hub_noticed: dict[str, float] = {}
    device_noticed: list[float] = []

    async def vanish(streamer: Streamer, after: float) -> None:
        await trio.sleep(after)
        streamer.connection.blackhole()
        vanished[streamer.device.name] = trio.current_time()
        device_noticed.append(await until(lambda: not streamer.device.linked))

    async def watch() -> None:
        while len(hub_noticed) < len(streamers):
            update = await presence.receive()
            body = update.body
            assert isinstance(body, dict)
            name = str(body["device"])
            if name in vanished and body["state"] == "offline":
                hub_noticed.setdefault(name, trio.current_time() - vanished[name])

    with trio.move_on_after(LOADED * (GONE_SECONDS + PONG_SECONDS) + 1.0) as limit:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(watch)
            for streamer in streamers:
                nursery.start_soon(vanish, streamer, chance.uniform(0.0, 1.0))
    await ground.progress(streamers)
    for streamer in streamers:
        await streamer.finish()
    limit = GONE_SECONDS
    return (
        {"idle_limit_s": limit}
        | spread("hub_detect_s", list(hub_noticed.values()))
        | spread("device_detect_s", device_noticed)
    )


ROWS = [
    Row(
        "F12 connection cut at every byte",
        on_the_network(
            [f"cut-{number:03}" for number in range(CROWD)], cut_anywhere,
            {"TELEMETRIO_LIMITS__FLAPS_PER_MINUTE": str(FLAPS)},
        ),
        seconds=60.0,
    ),
    Row(
        "F13 peer vanishes without a word",
        on_the_network(
            [f"gone-{number}" for number in range(HALF_OPEN)], half_open,
            {"TELEMETRIO_LIMITS__IDLE_SECONDS": str(IDLE_SECONDS)},
        ),
        seconds=12.0,
    ),
]  # fmt: skip
