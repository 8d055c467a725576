"""Faults on purpose: sensors that lie and links that break. All of them follow from a seed and the time."""

import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, fields
from typing import Final

import trio

from devices.signals import burst, seed_of, uniform
from hub.ports import Randomness, Streams
from hub.wire.messages import Value

SPELL_EVERY: Final = 60.0  # seconds: each metric may have one spell of a sensor fault in each stretch of this length
SPELL_LASTS: Final = 12.0  # seconds at most
BEYOND: Final = 1e7  # a value that no limit allows


@dataclass(frozen=True)
class SensorFaults:
    """Share of the stretches of a minute (0 to 1) in which a metric has a spell of each kind.

    stuck: repeats its last good value; spike: single readings far off, yet plausible; nan: no number; out_of_range:
    beyond every limit; missing: no reading at all.
    """

    stuck: float = 0.0
    spike: float = 0.0
    nan: float = 0.0
    out_of_range: float = 0.0
    missing: float = 0.0

    def __bool__(self) -> bool:
        return any(getattr(self, each.name) for each in fields(self))


@dataclass(frozen=True)
class LinkFaults:
    """``cut``: mean seconds after which a connection breaks without a word; ``delay``: seconds that what is sent and
    received waits; None and 0 mean never."""

    cut: float | None = None
    delay: float = 0.0

    def __bool__(self) -> bool:
        return self.cut is not None or self.delay > 0.0


@dataclass
class Distortion:
    """Applies sensor faults to what the physics measured."""

    faults: SensorFaults
    seed: int
    _good: dict[str, Value] = field(default_factory=dict)

    def __call__(self, time: float, values: dict[str, Value]) -> None:
        """Change ``values`` in place as the faults at ``time`` will have it."""
        for name, value in values.items():
            if not isinstance(value, int | float) or isinstance(value, bool):
                continue
            kind = self._kind(name, time)
            if kind is None:
                self._good[name] = value
            else:
                values[name] = self._wrong(kind, name, time, value)

    def _kind(self, name: str, time: float) -> str | None:
        """Which fault the metric has now, if any."""
        seed = seed_of(self.seed, name)
        if not burst(seed, time, SPELL_EVERY, SPELL_LASTS):
            return None
        draw = uniform(seed ^ 0xFA17, math.floor(time / SPELL_EVERY))
        for each in fields(self.faults):
            draw -= getattr(self.faults, each.name)
            if draw < 0.0:
                return each.name
        return None

    def _wrong(self, kind: str, name: str, time: float, value: float) -> Value:
        if kind == "stuck":
            return self._good.get(name, value)
        if kind == "spike":
            return value * 1.5 + 1.0 if int(time) % 4 == 0 else value
        return {"nan": math.nan, "out_of_range": BEYOND, "missing": None}[kind]


class FaultyStreams:
    """The streams port over one that works, with links that break and delay."""

    def __init__(self, streams: Streams, faults: LinkFaults, randomness: Randomness) -> None:
        self.listen = streams.listen
        self._streams = streams
        self._faults = faults
        self._randomness = randomness

    async def dial(self, host: str, port: int) -> trio.abc.Stream:
        """Connect, and be cut off after a while: between half of and one and a half times the mean."""
        stream = await self._streams.dial(host, port)
        cut = self._faults.cut
        until = math.inf if cut is None else trio.current_time() + cut * self._randomness.uniform(0.5, 1.5)
        return FaultyStream(stream, until, self._faults.delay)


class FaultyStream(trio.abc.Stream):
    """A stream that breaks at a given time, in the middle of whatever goes on, and delays until then."""

    def __init__(self, stream: trio.abc.Stream, until: float, delay: float) -> None:
        self._stream = stream
        self._until = until
        self._delay = delay

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        async def send() -> None:
            await trio.sleep(self._delay)
            await self._stream.send_all(data)

        await self._before_the_cut(send)

    async def wait_send_all_might_not_block(self) -> None:
        await self._before_the_cut(self._stream.wait_send_all_might_not_block)

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        received: list[bytes | bytearray] = []

        async def receive() -> None:
            received.append(await self._stream.receive_some(max_bytes))
            await trio.sleep(self._delay)

        await self._before_the_cut(receive)
        return received[0]

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def _before_the_cut(self, act: Callable[[], Awaitable[None]]) -> None:
        with trio.move_on_at(self._until) as scope:
            await act()
        if scope.cancelled_caught:
            await trio.aclose_forcefully(self._stream)
            raise trio.BrokenResourceError("the link was cut on purpose")
