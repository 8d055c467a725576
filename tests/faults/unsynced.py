"""A files port that forgets what was not synced when its process dies: a killed process does not lose the page cache,
so a journal that acks before its sync would pass every kill test on real files."""

from pathlib import Path

from hub.disk import DiskFile, DiskFiles
from hub.ports import File


class UnsyncedFile:
    """Holds what is appended in memory, and gives it to the real file at ``sync``."""

    def __init__(self, file: DiskFile) -> None:
        self._file = file
        self._pending = bytearray()

    def append(self, data: bytes) -> None:
        self._pending += data

    def read(self, offset: int, size: int) -> bytes:
        content = self._file.read(offset, size)
        content = content[: max(0, self._file.size() - offset)]  # not what is preallocated
        start = offset + len(content) - self._file.size()
        if len(content) < size and start >= 0:
            content += bytes(self._pending[start : start + size - len(content)])
        return content

    def size(self) -> int:
        return self._file.size() + len(self._pending)

    def truncate(self, size: int) -> None:
        if size > self._file.size():
            del self._pending[size - self._file.size() :]
        else:
            self._pending.clear()
            self._file.truncate(size)

    def allocate(self, size: int) -> None:
        self._pending += bytes(size - self.size())

    def preallocate(self, size: int) -> None:
        self._file.preallocate(size)

    def sync(self) -> None:
        self._file.append(bytes(self._pending))
        self._pending.clear()
        self._file.sync()

    def close(self) -> None:
        self._file.close()


class UnsyncedFiles(DiskFiles):
    """The disk, with every file opened as above."""

    def open(self, path: Path, *, create: bool = False) -> File:
        file = super().open(path, create=create)
        assert isinstance(file, DiskFile)
        return UnsyncedFile(file)
