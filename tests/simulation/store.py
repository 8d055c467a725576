"""A store on the simulated disk: entries and cursor in one checksummed record, one sync for each commit."""

import pickle
from collections.abc import Sequence
from pathlib import Path
from struct import Struct
from typing import Final
from zlib import crc32

from hub.crashpoints import reach
from hub.ports import File, Files
from hub.store.base import StoreError
from hub.store.memory import MemoryStore, Reading
from hub.wire.kept import Entry, Expired

HEAD: Final = Struct("<II")  # length and checksum of a record


class SimulatedStore(MemoryStore):
    """The store in memory, made again from its log when it is opened. What a power cut tore at the end is cut off."""

    def __init__(self, path: Path, files: Files) -> None:
        super().__init__()
        self._path, self._files = path, files
        self._file: File | None = None
        self._gone: list[Reading] = []  # expired
        self.expired_before = 0  # us: by the records that it took, no time of a reading that expired is above it

    def open(self) -> int:
        """Read, write what is intact anew, make it durable; the cursor."""
        if self._file is not None:
            return super().open()
        MemoryStore.__init__(self)
        self._gone, self.expired_before = [], 0
        try:
            self._files.make_directory(self._path.parent)
            there = self._path.name in self._files.list(self._path.parent)
            intact = self._replay(self._files.read(self._path)) if there else b""
            draft = self._path.with_suffix(".new")
            file = self._files.open(draft, create=True)
            file.truncate(0)
            file.append(intact)
            file.sync()
            self._files.rename(draft, self._path)
            self._files.sync_directory(self._path.parent)
        except OSError as error:
            raise StoreError(f"{self._path}: {error}") from error
        self._file = file
        return super().open()

    def take(self, entries: Sequence[Entry], cursor: int) -> None:
        """Commit; a disk that refuses has the whole of it read again before anything more is written."""
        self.open()
        reach("apply")
        self._commit(entries, cursor)
        self._take(entries, cursor)

    def ever(self) -> list[Reading]:
        """All readings that were ever committed: those that have expired, too."""
        return self._gone + self._readings

    def _take(self, entries: Sequence[Entry], cursor: int) -> None:
        before = self._readings
        super().take(entries, cursor)
        if expired := [entry.before for entry in entries if type(entry) is Expired]:
            self.expired_before = max(self.expired_before, *expired)
            left = set(self._readings)
            self._gone += [reading for reading in before if reading not in left]

    def _commit(self, entries: Sequence[Entry], cursor: int) -> None:
        assert self._file is not None
        body = pickle.dumps((list(entries), cursor))
        try:
            self._file.append(HEAD.pack(len(body), crc32(body)) + body)
            reach("commit")
            self._file.sync()
        except OSError as error:
            self._file = None
            raise StoreError(f"{self._path}: {error}") from error

    def _replay(self, data: bytes) -> bytes:
        at = 0
        while len(data) - at >= HEAD.size:
            size, checksum = HEAD.unpack_from(data, at)
            body = data[at + HEAD.size : at + HEAD.size + size]
            if size == 0 or len(body) < size or crc32(body) != checksum:
                break
            self._take(*pickle.loads(body))
            at += HEAD.size + size
        return data[:at]

    def close(self) -> None:
        """Let go of the file; what is committed stays on the disk."""
        self._file = None
        MemoryStore.__init__(self)
