"""One device: its source makes readings, its spool numbers and keeps them; a conversation carries them to the hub."""

import logging
from collections import deque
from typing import Final

import trio

from devices.commands import CommandDesk
from devices.disk.book import CommandBook
from devices.report import Figures
from devices.source import Source
from devices.spool import Numbered, Settled, Spool, SpoolError
from hub.ports import Clock
from hub.wire.messages import Columns, Desired, Event, Plain, Reported, Result, Row, Welcome

SOFTWARE: Final = "telemetrio-devices/0.1"
RAN: Final = frozenset({"succeeded", "failed", "cancelled"})  # the others were refused
WORDS_KEPT: Final = 64  # unnumbered words waiting for a slow link; a newer progress makes an older one pointless

log = logging.getLogger("telemetrio.devices")


class Device:
    """A device without its link: it measures, numbers and keeps whether or not the hub can be reached."""

    def __init__(
        self,
        name: str,
        source: Source,
        spool: Spool,
        clock: Clock,
        figures: Figures,
        *,
        book: CommandBook | None = None,
        software: str = SOFTWARE,
    ) -> None:
        self.name = name
        self.source = source
        self.spool = spool
        self.clock = clock
        self.figures = figures
        self.software = software
        self.words: deque[Result] = deque(maxlen=WORDS_KEPT)  # progress, which carries no seq (P12)
        self.leaving = False  # all is said: the writer says bye and ends
        self.linked = False
        self.desk = CommandDesk(source, clock, self._say, self._finish, book, spool.flush)
        self._book = book
        self._born = clock.monotonic()
        self._wake = trio.Event()
        self._empty = trio.Event()
        self._welcomes = 0
        self._linked_first = 0.0

    @property
    def uptime(self) -> int:
        """Microseconds since it was switched on."""
        return int((self.clock.monotonic() - self._born) * 1e6)

    async def open(self) -> None:
        """Recall what was kept over a restart; before all else. Raises SpoolError."""
        await self.spool.open()
        self.figures.found += self.spool.found
        try:
            await self.desk.open()
        except OSError as error:
            raise SpoolError(f"{self.name}: cannot read the commands it has seen: {error.strerror or error}") from error

    async def close(self) -> None:
        """Keep all that is not settled, where there is something to keep it on."""
        if self._book is not None:
            await self._book.close()
        await self.spool.close()

    async def measure(self, phase: float = 0.0) -> None:
        """Sample on an absolute schedule until cancelled, beginning ``phase`` seconds from now."""
        self.offer(Reported(0, dict(self.source.properties)), trio.current_time())
        due = trio.current_time() + phase
        while True:
            await trio.sleep_until(due)
            for message in await self.source.sample(self.clock.now()):
                self.offer(message, due)
            due += self.source.period
            late = trio.current_time() - due
            if late > self.source.period:  # skip what was missed instead of sampling in a rush
                missed = int(late / self.source.period)
                self.figures.skipped += missed
                due += missed * self.source.period

    def offer(self, message: Numbered, at: float) -> None:
        """Number it, keep it and let it be sent; ``at``: when it was meant to leave (``trio.current_time``)."""
        readings = count_readings(message)
        self.figures.produced += readings
        self.spool.append(message, readings, at)
        if self.linked:
            self.wake()

    def wake(self) -> None:
        """Something to send, or more window to send it in."""
        self._wake.set()

    async def woken(self) -> None:
        """Wait for the next ``wake``."""
        await self._wake.wait()
        self._wake = trio.Event()

    def settled(self, settled: Settled) -> None:
        """The hub has settled batches of the spool. Waiting for the very first link is no latency of an ack."""
        times = [max(at, self._linked_first) for at in settled.times]
        self.figures.settled(settled.batches, settled.readings, times, trio.current_time())
        if self.spool.first == self.spool.next:
            self._empty.set()

    async def emptied(self) -> None:
        """Wait until the hub has settled everything."""
        while self.spool.first != self.spool.next:
            self._empty = trio.Event()
            await self._empty.wait()

    def welcomed(self, welcome: Welcome) -> None:
        """A link is up."""
        self.linked = True
        if not self._welcomes:
            self._linked_first = trio.current_time()
        self._welcomes += 1
        self.figures.online += 1
        self.figures.links += 1
        self.figures.reconnects += self._welcomes > 1
        self.desk.set_hub_time(welcome.time)

    def unlinked(self) -> None:
        """The link is gone; progress not yet said is pointless now."""
        self.linked = False
        self.figures.online -= 1
        self.words.clear()

    def desire(self, desired: Desired) -> None:
        """Take over what operators want of it, and report what it is now."""
        now: dict[str, Plain] = {}
        for name, value in desired.patch.items():
            if not self.source.set_property(name, value):
                text = f"cannot set property {name!r} as desired in version {desired.version}"
                self.offer(Event(0, self.clock.now(), "warning", text[:200]), trio.current_time())
            if name in self.source.properties:
                now[name] = self.source.properties[name]
        self.offer(Reported(0, {**now, "desired_version": desired.version}), trio.current_time())

    def _say(self, result: Result) -> None:
        if self.linked:
            self.words.append(result)
            self.wake()

    def _finish(self, result: Result) -> None:
        if self.spool.first != self.spool.next:  # neither a backlog nor a hub's full disk may hold up an answer (P12)
            self._say(result)
        self.offer(result, trio.current_time())
        self.figures.commands_run += result.state in RAN
        self.figures.commands_ok += result.state == "succeeded"
        if result.state == "succeeded":
            self.offer(Reported(0, dict(self.source.properties)), trio.current_time())


def count_readings(message: Numbered) -> int:
    """Readings in a batch: its values that are not null."""
    if isinstance(message, Row):
        return len(message.values) - message.values.count(None)
    if isinstance(message, Columns):
        return sum(
            len(values) - values.count(None) if isinstance(values, list) else len(values)
            for _, values in message.columns
        )
    return 0
