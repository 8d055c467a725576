"""Hostile conversations with the edge in this process, on a clock of its own, while a good device streams.

``python -m tests.faults.hostile FOLDER CASES SEED`` tells what came of them as a line of JSON.
"""

import json
import logging
import random
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import structlog
import trio
import trio.testing

from hub.edge.listener import Limits
from hub.wire import messages as m
from hub.wire import operator as o
from hub.wire.codec import encode
from tests.edge.house import House, MemoryStreams, house, tank
from tests.edge.streams import Script, cut, frame, request
from tests.edge.test_device import hello
from tests.faults.mutations import mutated

AT_ONCE = 40
NAMES = 200  # devices that attackers pretend to be: who misbehaves too often is paused by name
LIMITS = Limits(request=0.5, hello=0.5, send=0.5, close=0.2)  # virtual seconds
SETTLE_SECONDS = 120.0  # virtual, for the hub to be rid of everybody


@dataclass
class Siege:
    """What came of it. ``tasks``: before and after."""

    cases: int = 0
    crashed: int = 0
    good: int = 0  # rows that the good device had acked meanwhile
    tasks: tuple[int, int] = (0, 0)
    half_open: int = 0
    connections: int = 0
    missing: int = 0  # of the good device's rows, in what the hub kept


def besiege(folder: Path, cases: int, seed: int) -> Siege:
    """So many mutated conversations; the seed decides all of them."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    try:
        clock = trio.testing.MockClock(autojump_threshold=0)
        return trio.run(_besiege, folder, cases, seed, clock=clock)
    finally:
        structlog.reset_defaults()


async def _besiege(folder: Path, cases: int, seed: int) -> Siege:
    siege = Siege()
    async with house(folder, limits=LIMITS) as hub:
        tokens = [(await hub.token(f"evil-{n}")).encode() for n in range(NAMES)]
        admin = (await hub.registry.create_token("admin", "evil-admin", "test")).encode()
        async with tank(hub, await hub.token("good")) as device:
            await device.rows(1)
            await trio.sleep(1)
            before = trio.lowlevel.current_statistics().tasks_living
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_attack, hub, tokens, admin, cases, seed, siege)
                while siege.cases < cases:
                    await device.rows(5)
                    siege.good += 5
                    await trio.sleep(0.05)
            with trio.move_on_after(SETTLE_SECONDS):
                while trio.lowlevel.current_statistics().tasks_living != before:  # noqa: ASYNC110
                    await trio.sleep(0.5)
            siege.tasks = before, trio.lowlevel.current_statistics().tasks_living
            told = hub.edge.statistics()
            siege.crashed, siege.half_open, siege.connections = (
                told["crashed"], told["half_open"], told["connections"],
            )  # fmt: skip
            kept = [entry.seq for entry in hub.kept if entry.birth.device == "good"]
            siege.missing = len(set(range(1, siege.good + 2)) - set(kept)) + len(kept) - len(set(kept))
    return siege


async def _attack(hub: House, tokens: list[bytes], admin: bytes, cases: int, seed: int, siege: Siege) -> None:
    assert isinstance(hub.streams, MemoryStreams)
    chance = random.Random(seed)
    limit = trio.CapacityLimiter(AT_ONCE)
    async with trio.open_nursery() as nursery:
        for _ in range(cases):
            script = _script(chance, chance.choice(tokens), admin)
            await limit.acquire_on_behalf_of(script)
            nursery.start_soon(_one, hub.streams, script, limit, siege)


async def _one(streams: MemoryStreams, script: "Attack", limit: trio.CapacityLimiter, siege: Siege) -> None:
    try:
        streams.listener.admit(script)
        await script.over.wait()
    finally:
        siege.cases += 1
        limit.release_on_behalf_of(script)


class Attack(Script):
    """A script that tells when the hub is done with it."""

    def __init__(self, chunks: list[bytes], *, patient: bool) -> None:
        super().__init__(chunks, patient=patient)
        self.over = trio.Event()

    async def aclose(self) -> None:
        self.over.set()
        await super().aclose()


def _script(chance: random.Random, token: bytes, admin: bytes) -> Attack:
    """A sound conversation, something of which was changed: the request, a frame, or a message inside its frame."""
    operator = chance.random() < 0.25
    asking = request(b"Authorization: Bearer " + (admin if operator else token))
    if operator:
        asking = asking.replace(b"/v1/device", b"/v1/operator")
    words = OPERATOR if operator else [encode(hello()), *DEVICE]
    spoilt = chance.randint(1, len(words) + 1)
    if chance.random() < 0.4:
        return Attack(cut(mutated(asking, chance), [chance.randrange(len(asking))]), patient=False)
    frames: list[bytes] = []
    for at, word in enumerate(words, 1):
        if at != spoilt:
            frames.append(frame(word, key=b"\x01\x02\x03\x04"))
        elif chance.random() < 0.5:
            frames.append(frame(mutated(word, chance), key=b"\x01\x02\x03\x04"))
        else:
            frames.append(mutated(frame(word, key=chance.randbytes(4)), chance))
    rest = b"".join(frames)
    if spoilt == len(words) + 1:
        rest = mutated(rest, chance)
    return Attack(
        [asking, *cut(rest, [chance.randrange(len(rest) + 1) for _ in range(chance.randrange(4))])], patient=True
    )


DEVICE = [
    encode(m.Row(1, 1_750_000_000_000_000, [1.0, 2.0])),
    encode(m.Row(2, None, [1.0, None])),
    encode(m.Columns(3, m.Regular(1_750_000_000_000_000, 1_000, 3), [(0, [1.0, 2.0, 3.0])])),
    encode(m.Dropped(4, 6, None, "spool full")),
    encode(m.Event(7, None, "info", "hello")),
    encode(m.Reported(8, {"a": [1, {"b": None}]})),
    encode(m.Result(None, "c-1", "acknowledged", {"percent": 40})),
    encode(m.Bye("sleep")),
]
OPERATOR = [
    encode(o.Subscribe(1, ("readings", "presence"), ("tank-*",), ("level",))),
    encode(o.Ask(2, {"metrics": ["level"], "since": 1})),
    encode(o.Send(3, "evil-1", "drain", {"percent": 1}, 0.5, False)),
    encode(o.Call(4, "devices.ls", {})),
    encode(o.Call(5, "status", {})),
    encode(o.Unsubscribe(1)),
]

if __name__ == "__main__":
    print(json.dumps(asdict(besiege(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))))
