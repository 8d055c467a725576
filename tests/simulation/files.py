"""A disk in memory, for the simulation: what is not synced can be lost, calls can fail, space can run out.

``SimulatedFiles`` keeps two states of everything: as the process sees it (page cache), and as the platter has it.
A killed process loses nothing: open the same object again. ``power_cut`` leaves what the platter has, and of the rest
whatever the disk happened to have written by then.
"""

import errno
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

BLOCK = 4096  # bytes; a disk writes whole blocks


def _error(number: int) -> OSError:
    return OSError(number, errno.errorcode[number])


@dataclass(eq=False)
class Inode:
    """The content of a file, and how much of it is on the platter."""

    content: bytearray = field(default_factory=bytearray)
    synced: int = 0  # bytes from the start that a sync covered; up to ``length`` the platter has zeros after them
    before: bytes | None = None  # what the platter had before an unsynced truncation
    forgotten: list[tuple[int, int]] = field(default_factory=list)  # a failed sync: pages look clean, but are not there
    locked: bool = False

    def __post_init__(self) -> None:
        self.end = len(self.content)  # of what was written; what is preallocated comes after it
        self.length = self.synced  # of the file on the platter

    @property
    def unsynced(self) -> int:
        """Bytes that were written and are not on the platter for sure."""
        return max(0, self.end - self.synced)

    def write(self, at: int, data: bytes) -> None:
        self.content[at : at + len(data)] = data
        self.synced = min(self.synced, at)
        self.end = max(self.end, at + len(data))

    def truncate(self, size: int) -> None:
        if size < self.synced and self.before is None:
            self.before = bytes(self.content[: self.synced])
        del self.content[size:]
        self.synced = min(self.synced, size)
        self.end = min(self.end, size)

    def sync(self) -> None:
        self.synced = self.length = len(self.content)
        self.before = None

    def fail_sync(self) -> None:
        """What a failed fsync does on Linux: the error is told once, and the dirty pages are clean from then on."""
        if self.unsynced:
            self.forgotten.append((self.synced, self.end))
        self.sync()

    def after_power_cut(self, chance: random.Random, keep: float) -> "Inode":
        """What the platter has: the synced bytes, and of the other blocks a random share ``keep``."""
        if self.before is not None and chance.random() >= keep:
            return Inode(bytearray(self.before), len(self.before))
        left = bytearray(self.content[: self.synced])
        if self.length > len(self.content) and chance.random() < keep:
            left.extend(bytes(len(self.content) - self.synced))  # it has been cut there, too
        else:
            left.extend(bytes(self.length - self.synced))
        for start, stop in self.forgotten:
            left[start:stop] = bytes(min(stop, len(left)) - min(start, len(left)))
        for start in range(self.synced - self.synced % BLOCK, len(self.content), BLOCK):
            if chance.random() >= keep:
                continue
            fresh = max(start, self.synced)
            block = self.content[fresh : start + BLOCK]
            left.extend(bytes(max(0, fresh - len(left))))  # the size grew, the blocks between were not written
            left[fresh : fresh + len(block)] = block
        return Inode(left, len(left))


class SimulatedFile:
    """An open file of the simulated disk."""

    def __init__(self, files: "SimulatedFiles", inode: Inode) -> None:
        self._files = files
        self.inode = inode
        self.closed = False
        self._end = len(inode.content)

    def append(self, data: bytes) -> None:
        try:
            self._files.count("append")
        except BaseException as death:
            if getattr(death, "torn", False):  # the process dies while it writes: some of it is in the page cache
                self.inode.write(self._end, data[: self._files.some(len(data))])
            raise
        self._files.room(self._end + len(data) - len(self.inode.content))
        self.inode.write(self._end, data)
        self._end += len(data)

    def read(self, offset: int, size: int) -> bytes:
        self._files.count("read")
        return bytes(self.inode.content[offset : offset + size])

    def size(self) -> int:
        return self._end

    def truncate(self, size: int) -> None:
        self._files.count("truncate")
        self.inode.truncate(size)
        self._end = size

    def allocate(self, size: int) -> None:
        self.append(bytes(size - self.size()))

    def preallocate(self, size: int) -> None:
        self._files.count("preallocate")
        more = size - len(self.inode.content)
        self._files.room(more)
        self.inode.content += bytes(max(0, more))

    def sync(self) -> None:
        try:
            self._files.count("sync")
        except OSError:
            self.inode.fail_sync()
            raise
        self.inode.sync()

    def close(self) -> None:
        self.closed = True
        self.inode.locked = False


class SimulatedFiles:
    """A disk in memory, all of whose faults come from ``seed`` or are asked for.

    ``capacity``: bytes that all files may have together. ``fail(what, nth, error)`` makes one call fail.
    ``on_call`` is told the name of each call before it happens (append, sync, rename, ...): to crash at any point.
    """

    def __init__(self, seed: int = 0, capacity: int | None = None) -> None:
        self.capacity = capacity
        self.calls: dict[str, int] = {}
        self.on_call: Callable[[str], None] | None = None
        self._chance = random.Random(seed)
        self._names: dict[Path, Inode] = {}
        self._durable_names: dict[Path, Inode] = {}
        self._unsynced: list[tuple[Path, Path | None, Inode | None]] = []  # directory, name, what it became
        self._faults: dict[tuple[str, int], int] = {}

    # --- faults -------------------------------------------------------------------------------------------------

    def fail(self, what: str, nth: int = 1, error: int = errno.EIO) -> None:
        """The ``nth`` call of ``what`` from now on (1: the next) raises OSError(``error``), once."""
        self._faults[what, self.calls.get(what, 0) + nth] = error

    def heal(self) -> None:
        """Nothing that was to fail fails any more."""
        self._faults.clear()

    def count(self, what: str) -> None:
        if self.on_call is not None:
            self.on_call(what)
        self.calls[what] = number = self.calls.get(what, 0) + 1
        if (number_of_error := self._faults.pop((what, number), None)) is not None:
            raise _error(number_of_error)

    def power_cut(self, keep: float = 0.5) -> None:
        """All that was not synced is lost, but for a random share ``keep`` of blocks and directory changes."""
        names = dict(self._durable_names)
        for _, path, inode in self._unsynced:
            if self._chance.random() >= keep:
                break  # directory changes reach the disk in order
            if path is not None:
                _become(names, path, inode)
        survivors = {id(inode): inode.after_power_cut(self._chance, keep) for inode in names.values()}
        self._names = {path: survivors[id(inode)] for path, inode in names.items()}
        self._durable_names = dict(self._names)
        self._unsynced.clear()

    def content(self, path: Path) -> bytearray:
        """The bytes of a file, to look at and to damage (on the platter too)."""
        return self._names[path].content

    def written(self, path: Path) -> bytes:
        """The bytes of a file, without what is preallocated."""
        inode = self._names[path]
        return bytes(inode.content[: inode.end])

    def damage(self, path: Path, content: bytes) -> None:
        """The file has this content from now on."""
        self._names[path].content[:] = content
        self._names[path].end = len(content)
        self._names[path].sync()

    def room(self, size: int) -> None:
        """OSError when the disk has no space for so many bytes more."""
        if size > 0 and self.capacity is not None and self.used() + size > self.capacity:
            raise _error(errno.ENOSPC)

    def unlock(self) -> None:
        """The process that had locked something is no more."""
        for inode in self._names.values():
            inode.locked = False

    def some(self, size: int) -> int:
        """A part of so many bytes."""
        return self._chance.randint(0, size)

    def unsynced(self) -> int:
        """Bytes that a power cut now may take."""
        return sum(
            inode.unsynced + sum(stop - start for start, stop in inode.forgotten)
            for path, inode in self._names.items()
            if path.name != "reserve"  # nothing is in it
        )

    def used(self) -> int:
        return sum(len(inode.content) for inode in self._names.values())

    # --- the port -----------------------------------------------------------------------------------------------

    def open(self, path: Path, *, create: bool = False) -> SimulatedFile:
        self.count("open")
        if path not in self._names:
            if not create:
                raise FileNotFoundError(errno.ENOENT, "no such file", str(path))
            self._change(path, Inode())
        return SimulatedFile(self, self._names[path])

    def read(self, path: Path) -> bytes:
        return bytes(self._names[path].content)

    def list(self, directory: Path) -> list[str]:
        return sorted(path.name for path in self._names if path.parent == directory)

    def rename(self, old: Path, new: Path) -> None:
        self.count("rename")
        inode = self._names.pop(old)
        self._names[new] = inode
        self._unsynced.append((old.parent, new, inode))
        self._unsynced.append((old.parent, old, None))

    def remove(self, path: Path) -> None:
        self.count("remove")
        self._change(path, None)

    def make_directory(self, directory: Path) -> None:
        self.count("make_directory")

    def sync_directory(self, directory: Path) -> None:
        self.count("sync_directory")
        for change in [change for change in self._unsynced if change[0] == directory]:
            self._unsynced.remove(change)
            if change[1] is not None:
                _become(self._durable_names, change[1], change[2])

    def free(self, directory: Path) -> int:
        return 2**40 if self.capacity is None else max(0, self.capacity - self.used())

    def lock(self, path: Path) -> SimulatedFile:
        file = self.open(path, create=True)
        if file.inode.locked:
            raise BlockingIOError(errno.EAGAIN, "locked", str(path))
        file.inode.locked = True
        return file

    def _change(self, path: Path, inode: Inode | None) -> None:
        _become(self._names, path, inode)
        self._unsynced.append((path.parent, path, inode))


def _become(names: dict[Path, Inode], path: Path, inode: Inode | None) -> None:
    if inode is None:
        names.pop(path, None)
    else:
        names[path] = inode
