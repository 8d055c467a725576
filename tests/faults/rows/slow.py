"""Rows of peers that do not read, and of a hub that may not have much memory."""

import math
from collections.abc import Awaitable, Callable

import trio

from devices.report import Latencies
from hub.client.dial import Target
from hub.client.shell import connect
from hub.wire.operator import KINDS
from tests.edge.house import MODEL as TANK
from tests.end_to_end.hostile_peers import attack
from tests.end_to_end.raw import patiently
from tests.end_to_end.standing import counted, memory_mb
from tests.faults.ground import Ground, on_the_network
from tests.faults.lab import Failed, Figures, Row
from tests.faults.proxy import Proxy, Treatment

GOOD = 8
DEAF, BLIND = 12, 8  # devices that do not read commands; dashboards that do not read updates
COMMANDS = 48  # for each of the first: 64 may be open
TEXT_BYTES = 256  # the most that an argument may have
ARGUMENTS = 8
BASE_SECONDS = 3.0  # of ack latency before they come
SEND_SECONDS = 15.0  # for one send, then the hub lets go
LOADED = 3.0  # times later than it should be is late: the machine may be busy
WAITED_SECONDS = 1.0  # for an ack says that somebody waits, who does, for SEND_SECONDS; less may be a busy machine
LOOK_SECONDS = 0.1
GROWTH_MB = 64.0  # that the hub may grow by: 20 outboxes of 128 KiB, and what their commands need
LIMIT_MB = 512
ATTACKS = 1  # of each kind

SINK = (
    'description = "Takes commands, and does not read them."\nopen = true\n[commands.sink]\n'
    + "".join(f'[commands.sink.arguments.text{number}]\ntype = "text"\n' for number in range(ARGUMENTS))
)  # fmt: skip


async def slow_consumers(ground: Ground) -> Figures:
    """Devices and dashboards that stop reading are let go; nobody else waits for them."""
    good = await ground.streaming([name for name in ground.tokens if name.startswith("good")])
    before = await _p99(ground, _pass_the_time)
    rss = memory_mb(ground.hub)
    sizes: list[float] = []
    reasons: list[str] = []

    async def weigh() -> None:
        while True:
            sizes.append(memory_mb(ground.hub))
            await trio.sleep(LOOK_SECONDS)

    async def outlast() -> None:
        with trio.move_on_after(LOADED * SEND_SECONDS):  # why they went is looked at below
            while await _gauge(ground, "edge_connections") > len(good) + 1:  # noqa: ASYNC110  (another process sets no event here)
                await trio.sleep(LOOK_SECONDS)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(weigh)
        nursery.start_soon(_watch, ground, reasons)
        await _not_reading(ground, nursery)
        began = trio.current_time()
        p99 = await _p99(ground, outlast)
        closed_s = trio.current_time() - began
        nursery.cancel_scope.cancel()
    grown = max(sizes) - rss
    figures = {
        "rss_delta_mb": round(grown, 1), "closed_s": round(closed_s, 1), "why": sorted(set(reasons)),
        "ack_p99_ms_before": round(before * 1e3), "ack_p99_ms": None if math.isnan(p99) else round(p99 * 1e3),
    }  # fmt: skip
    if len(reasons) < DEAF or not all("taken nothing" in reason for reason in reasons):
        raise Failed(f"peers that do not read end otherwise: {figures}", figures)
    if p99 > max(2 * before, WAITED_SECONDS):
        raise Failed(f"others wait for peers that do not read: {figures}", figures)
    if grown > GROWTH_MB:
        raise Failed(f"the hub grows by peers that do not read: {figures}", figures)
    for streamer in good:
        await streamer.finish()
    return figures


async def _pass_the_time() -> None:
    await trio.sleep(BASE_SECONDS)


async def _watch(ground: Ground, reasons: list[str]) -> None:
    """Why devices that do not read are offline."""
    async for update in await ground.operator.subscribe(("presence",), ("deaf-*",)):
        assert isinstance(update.body, dict)
        if update.body["state"] == "offline":
            reasons.append(str(update.body["reason"]))


async def little_memory(ground: Ground) -> Figures:
    """The same crowd and the hostile corpus against a hub that may have LIMIT_MB of address space, no more."""
    good = await ground.streaming([name for name in ground.tokens if name.startswith("good")])
    (ground.lab.scratch / "models" / "tank.toml").write_text(TANK)
    async with trio.open_nursery() as nursery:
        await _not_reading(ground, nursery)
        await attack(ground.hub, ATTACKS)
        nursery.cancel_scope.cancel()
    await ground.progress(good)
    for streamer in good:
        await streamer.finish()
    figures = {
        "limit_mb": LIMIT_MB, "peak_rss_mb": round(memory_mb(ground.hub, "VmHWM"), 1),
        "peak_address_space_mb": round(memory_mb(ground.hub, "VmPeak"), 1),
        "crashed": int(await _gauge(ground, "edge_crashed")),
    }  # fmt: skip
    if figures["crashed"]:
        raise Failed(f"connections have crashed: {figures}", figures)
    return figures


async def _p99(ground: Ground, phase: Callable[[], Awaitable[None]]) -> float:
    """Of the acks of good devices meanwhile, in seconds."""
    ground.figures.acks = Latencies()
    await phase()
    return ground.figures.acks.percentile(0.99)


async def _gauge(ground: Ground, name: str) -> float:
    return (await trio.to_thread.run_sync(counted, ground.hub))[f"telemetrio_{name}"]


# --- peers that do not read ------------------------------------------------------------------------------------------


async def _not_reading(ground: Ground, nursery: trio.Nursery) -> None:
    """Have them all there, deaf and blind, with much to read."""
    (ground.lab.scratch / "models" / "sink.toml").write_text(SINK)
    await ground.operator.call("models.reload")
    deaf = [name for name in ground.tokens if name.startswith("deaf")]
    for _ in range(BLIND):
        await nursery.start(_blind, ground)
    for name in deaf:
        await nursery.start(_deaf, ground, name)
    args = {f"text{number}": "x" * TEXT_BYTES for number in range(ARGUMENTS)}

    async def command(name: str) -> None:
        for _ in range(COMMANDS):
            await ground.operator.send_command(name, "sink", args, timeout=120.0, wait=False)

    async with trio.open_nursery() as commanding:
        for name in deaf:
            commanding.start_soon(command, name)


async def _deaf(ground: Ground, name: str, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
    streamer = await ground.streamer(name)
    streamer.proxy.usual = Treatment(narrow=True)
    streamer.device.source.model = "sink"  # type: ignore[misc]
    async with ground.raw(streamer) as raw:
        await ground.hello(raw, streamer)
        streamer.connection.stall()
        task_status.started()
        await trio.sleep_forever()


async def _blind(ground: Ground, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
    proxy = Proxy(ground.port)
    proxy.usual = Treatment(narrow=True)
    await ground.nursery.start(proxy.run)
    target = Target(proxy.url, ground.target.token, ground.target.ca, proxy="")
    async with patiently(lambda: connect(target)) as operator:
        await operator.subscribe(KINDS)
        proxy.connections[-1].stall()
        task_status.started()
        await trio.sleep_forever()


NAMES = [f"good-{number}" for number in range(GOOD)] + [f"deaf-{number}" for number in range(DEAF)]
ROWS = [
    Row("F18 peers that do not read", on_the_network(NAMES, slow_consumers), seconds=30.0),
    Row(
        "F27 little memory",
        on_the_network(NAMES, little_memory, target="tests.faults.limited:serve", arguments=(str(LIMIT_MB),)),
        seconds=35.0,
    ),
]
