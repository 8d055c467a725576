"""The five ports: clock, randomness, streams, files, worker. All that is not deterministic comes through them.

``app`` hands them in; no other file of ``hub/`` and ``devices/`` calls time, random, os or threads. The simulation
hands in its own. Below the contracts stand the real ones; that of files is ``hub.disk``.
"""

import random
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TypeVar, TypeVarTuple

import trio

from hub.disk import DiskFiles

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class Clock(Protocol):
    """Wall clock for labels; monotonic time for every timer."""

    def now(self) -> int:
        """Wall clock in whole microseconds since the Unix epoch; may jump."""

    def monotonic(self) -> float:
        """Seconds that never go back; the zero means nothing."""


class Randomness(Protocol):
    """Jitter, ids and tokens."""

    def token(self, size: int) -> bytes:
        """``size`` bytes that nobody can guess."""

    def uniform(self, low: float, high: float) -> float:
        """A float of [low, high), for jitter."""


class Streams(Protocol):
    """The network: listening and dialling byte streams. TLS and WebSocket are laid over it by others."""

    async def listen(self, host: str, port: int) -> Sequence[trio.abc.Listener[trio.abc.Stream]]:
        """Bind; port 0 takes a free one. Raises OSError when it cannot."""

    async def dial(self, host: str, port: int) -> trio.abc.Stream:
        """Connect; raises OSError when it cannot."""


class File(Protocol):
    """An open file that is only appended to. Every call may block: make it through the worker."""

    def append(self, data: bytes) -> None:
        """Write all of ``data`` at the end; after a short write or an error the file is cut back and OSError raised."""

    def read(self, offset: int, size: int) -> bytes:
        """At most ``size`` bytes from ``offset``; fewer at the end."""

    def size(self) -> int:
        """Bytes in the file as appended (preallocated space does not count)."""

    def truncate(self, size: int) -> None: ...

    def allocate(self, size: int) -> None:
        """Make it ``size`` bytes long, the new ones zeros for which there is space on the disk; OSError, and the file
        as it was, when there is not."""

    def preallocate(self, size: int) -> None:
        """Have the disk keep space up to ``size`` bytes for what will be appended; until then it reads as zeros, and
        to who opens the file it is part of it. OSError, and the file as it was, when there is no space; nothing
        happens where the file system cannot."""

    def sync(self) -> None:
        """fdatasync: what was appended survives a power cut when this returns."""

    def close(self) -> None: ...


class Files(Protocol):
    """The disk. Names are paths; every call may block: make it through the worker."""

    def open(self, path: Path, *, create: bool = False) -> File: ...
    def read(self, path: Path) -> bytes: ...
    def list(self, directory: Path) -> list[str]:
        """Names in the directory, sorted; empty when it does not exist."""

    def rename(self, old: Path, new: Path) -> None: ...
    def remove(self, path: Path) -> None: ...
    def make_directory(self, directory: Path) -> None: ...
    def sync_directory(self, directory: Path) -> None: ...
    def free(self, directory: Path) -> int:
        """Bytes that may still be written there."""

    def lock(self, path: Path) -> "File":
        """Take the file for this process until closed; BlockingIOError when another process has it."""


def write_whole(files: Files, path: Path, content: bytes) -> None:
    """Make ``content`` durable at ``path``, in the place of what was there: that stays until all of the
    new one is durable. Blocks; OSError leaves what was there, but
    where only the name may not be durable yet."""
    draft = path.with_name(f"{path.name}.tmp")
    file = files.open(draft, create=True)
    try:
        file.truncate(0)  # of one that was killed
        file.append(content)
        file.sync()
    finally:
        file.close()
    files.rename(draft, path)
    files.sync_directory(path.parent)


class Worker(Protocol):
    """One blocking call at a time, out of the way of the event loop; inline in simulation."""

    async def run(self, call: Callable[[*Ts], T], *args: *Ts) -> T:
        """Call and return its result. Is never abandoned: cancellation waits for the call to end."""


class SystemClock:
    """The machine's clocks."""

    def now(self) -> int:
        return time.time_ns() // 1000

    def monotonic(self) -> float:
        return time.monotonic()


class SystemRandomness:
    """The machine's randomness."""

    def token(self, size: int) -> bytes:
        return secrets.token_bytes(size)

    def uniform(self, low: float, high: float) -> float:
        return random.uniform(low, high)  # noqa: S311  (jitter, not secrets)


class TcpStreams:
    """TCP of this machine."""

    async def listen(self, host: str, port: int) -> Sequence[trio.abc.Listener[trio.abc.Stream]]:
        return await trio.open_tcp_listeners(port, host=host, backlog=1024)  # storms: 1024 waiting to be accepted

    async def dial(self, host: str, port: int) -> trio.abc.Stream:
        return await trio.open_tcp_stream(host, port)


class ThreadWorker:
    """A worker thread of its own: calls of one worker never overlap."""

    def __init__(self) -> None:
        self._limiter = trio.CapacityLimiter(1)

    async def run(self, call: Callable[[*Ts], T], *args: *Ts) -> T:
        return await trio.to_thread.run_sync(call, *args, limiter=self._limiter)


class InlineWorker:
    """Makes the call at once, on the event loop: for the simulation and for tests."""

    async def run(self, call: Callable[[*Ts], T], *args: *Ts) -> T:
        await trio.lowlevel.checkpoint()
        return call(*args)


@dataclass(frozen=True)
class Ports:
    """What ``app`` hands to the rooms."""

    clock: Clock = field(default_factory=SystemClock)
    randomness: Randomness = field(default_factory=SystemRandomness)
    streams: Streams = field(default_factory=TcpStreams)
    files: Files = field(default_factory=DiskFiles)
    worker: Callable[[], Worker] = ThreadWorker  # each room that blocks takes one of its own


__all__ = [
    "Clock", "File", "Files", "InlineWorker", "Ports", "Randomness", "Streams", "SystemClock",
    "SystemRandomness", "TcpStreams", "ThreadWorker", "Worker",
]  # fmt: skip
