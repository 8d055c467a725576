"""The five ports: clock, randomness, streams, files, worker. All that is not deterministic comes through them.

``app`` hands them in; no other file of ``hub/`` and ``devices/`` calls time, random, os or threads. The simulation
hands in its own. Below each contract stands the real one.
"""

import errno
import fcntl
import os
import random
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TypeVar, TypeVarTuple

import trio

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


NO_PREALLOCATION = frozenset({errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL})  # what a file system says that cannot
ZEROS = 1024 * 1024  # bytes written at once where space cannot be allocated otherwise


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


class DiskFile:
    """A file of the machine's disk."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._size = os.fstat(fd).st_size

    def append(self, data: bytes) -> None:
        view = memoryview(data)
        start = self._size
        try:
            while view:
                written = os.pwrite(self._fd, view, self._size)
                self._size += written
                view = view[written:]
        except OSError:
            os.ftruncate(self._fd, start)  # a short write must not stand before the next record
            self._size = start
            raise

    def read(self, offset: int, size: int) -> bytes:
        return os.pread(self._fd, size, offset)

    def size(self) -> int:
        return self._size

    def truncate(self, size: int) -> None:
        os.ftruncate(self._fd, size)
        self._size = size

    def allocate(self, size: int) -> None:
        before = self._size
        try:
            if hasattr(os, "posix_fallocate"):  # Linux; the C library writes zeros where the file system cannot
                os.posix_fallocate(self._fd, before, max(1, size - before))
                self._size = os.fstat(self._fd).st_size
            else:
                while self._size < size:
                    self.append(bytes(min(ZEROS, size - self._size)))
        except OSError:
            self.truncate(before)
            raise

    def preallocate(self, size: int) -> None:
        before = os.fstat(self._fd).st_size
        if size <= before or not hasattr(os, "posix_fallocate"):
            return
        try:
            os.posix_fallocate(self._fd, self._size, size - self._size)
        except OSError as error:
            os.ftruncate(self._fd, before)  # it may have got some of it
            if error.errno not in NO_PREALLOCATION:
                raise

    def sync(self) -> None:
        os.fdatasync(self._fd)

    def close(self) -> None:
        os.close(self._fd)


class DiskFiles:
    """The machine's disk."""

    def open(self, path: Path, *, create: bool = False) -> File:
        return DiskFile(os.open(path, os.O_RDWR | (os.O_CREAT if create else 0) | os.O_CLOEXEC, 0o600))

    def read(self, path: Path) -> bytes:
        return path.read_bytes()

    def list(self, directory: Path) -> list[str]:
        return sorted(os.listdir(directory)) if directory.is_dir() else []

    def rename(self, old: Path, new: Path) -> None:
        os.replace(old, new)

    def remove(self, path: Path) -> None:
        os.unlink(path)

    def make_directory(self, directory: Path) -> None:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)

    def sync_directory(self, directory: Path) -> None:
        fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def free(self, directory: Path) -> int:
        space = os.statvfs(directory)
        return space.f_bavail * space.f_frsize

    def lock(self, path: Path) -> File:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(fd)
            raise
        return DiskFile(fd)


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
    "Clock", "DiskFiles", "File", "Files", "InlineWorker", "Ports", "Randomness", "Streams", "SystemClock",
    "SystemRandomness", "TcpStreams", "ThreadWorker", "Worker",
]  # fmt: skip
