"""The blocking half of the spool: its files. Every call goes through the worker.

``numbers`` says how the batches are numbered, ``*.batches`` hold them, ``lock`` belongs to who uses the spool.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from struct import Struct
from typing import Final, NamedTuple

from devices.disk.numbers import Numbers
from devices.disk.records import HEADER, pack, read_all, records
from hub.crashpoints import reach
from hub.ports import File, Files

BATCH: Final = Struct("<QQId")  # place, seq, readings, at: before the frame
RECORD_BYTES: Final = HEADER.size + BATCH.size  # what a batch costs on disk beside its frame
NUMBERS: Final = "numbers"
NUMBERS_BYTES: Final = 64 * 1024  # of the file of numbers; then it is begun anew
COPIES: Final = 2  # of the first record there: as long as it is the only one, one flipped bit must not forget it all
_NAME: Final = re.compile(r"(\d{20})-(\d{4})\.batches")


class Kept(NamedTuple):
    """A batch on disk. ``seq`` is its number when it was written, which ``frame`` carries."""

    place: int
    seq: int
    readings: int
    at: float
    frame: bytes


@dataclass(eq=False)
class BatchFile:
    """A file of batches. ``last``: the highest place it holds; ``ours``: this process has written it."""

    name: str
    size: int = 0
    last: int = 0
    ours: bool = False


class SpoolFiles:
    """The directory of one spool. Every method blocks and may raise OSError."""

    def __init__(self, directory: Path, files: Files) -> None:
        self.directory = directory
        self._files = files
        self._lock: File | None = None
        self._numbers: File | None = None
        self._batches: File | None = None

    def lock(self) -> None:
        """Take the directory; BlockingIOError when another process has it."""
        self._files.make_directory(self.directory)
        self._lock = self._files.lock(self.directory / "lock")

    def load_numbers(self) -> tuple[Numbers | None, bool]:
        """The last that was written, and whether something damaged (or never made durable) stands after it."""
        if NUMBERS not in self._files.list(self.directory):
            return None, False
        last: bytes | None = None
        damaged = False
        for payload in records(self._read(NUMBERS)):
            damaged = payload is None
            last = payload or last
        return None if last is None else Numbers.from_bytes(last), damaged

    def save_numbers(self, numbers: Numbers) -> None:
        """Make them durable."""
        reach("spool ack")
        file, self._numbers = self._numbers, None
        record = pack(numbers.to_bytes())
        if file is None or file.size() + len(record) > NUMBERS_BYTES:
            if file is not None:
                file.close()
            file = self._begin_numbers(record * COPIES)
        else:
            self._append_numbers(file, record)
        self._numbers = file

    def _append_numbers(self, file: File, record: bytes) -> None:
        try:
            file.append(record)
        except OSError:
            self._numbers = file  # it ends where it ended before
            raise
        try:
            file.sync()
        except OSError:
            file.close()  # what a failed sync leaves behind is not to be trusted: begin anew
            raise

    def _begin_numbers(self, content: bytes) -> File:
        path = self.directory / NUMBERS
        draft = path.with_suffix(".new")
        file = self._files.open(draft, create=True)
        try:
            file.truncate(0)  # what an earlier one left, that did not get to its rename
            file.append(content)
            file.sync()
            self._files.rename(draft, path)
            self._files.sync_directory(self.directory)
        except OSError:
            file.close()
            raise
        return file

    def batch_files(self) -> list[str]:
        """Names of the files of batches, oldest first."""
        return [name for name in self._files.list(self.directory) if _NAME.fullmatch(name)]

    def read_batches(self, name: str, first: int = 0, last: int = 2**63) -> tuple[list[Kept], int]:
        """The intact batches at places ``first..last``, and how often something else stands between records."""
        found: list[Kept] = []
        damaged, highest = 0, 0
        for payload in records(self._read(name)):
            if payload is None or len(payload) < BATCH.size:
                damaged += 1
                continue
            place, seq, readings, at = BATCH.unpack_from(payload)
            if place > highest and first <= place <= last:
                found.append(Kept(place, seq, readings, at, payload[BATCH.size :]))
            highest = max(highest, place)
        return found, damaged

    def make_durable(self) -> None:
        """What is there may be known to the page cache only, after a process was killed."""
        for name in self.batch_files():
            file = self._files.open(self.directory / name)
            try:
                file.sync()
            finally:
                file.close()
        self._files.sync_directory(self.directory)

    def begin_batches(self, place: int) -> str:
        """Make a file for the batches from ``place`` on; its name."""
        self.leave_batches()
        there = self._files.list(self.directory)
        name = next(name for name in (f"{place:020}-{n:04}.batches" for n in range(10_000)) if name not in there)
        self._batches = self._files.open(self.directory / name, create=True)
        return name

    def append_batches(self, batches: Sequence[bytes], *, fresh: bool) -> int:
        """Make packed batches durable in the file begun last (``fresh``: the first ones there); its size now."""
        assert self._batches is not None
        self._batches.append(b"".join(batches))
        reach("spool append")
        self._batches.sync()
        if fresh:
            self._files.sync_directory(self.directory)
        return self._batches.size()

    def leave_batches(self) -> None:
        """Nothing more is appended to the file begun last."""
        if self._batches is not None:
            self._batches.close()
            self._batches = None

    def remove(self, names: Iterable[str]) -> None:
        """Files whose batches are, durably, settled or given up. Should a power cut bring one back: it says nothing."""
        there = self._files.list(self.directory)
        for name in names:
            if name in there:
                self._files.remove(self.directory / name)

    def close(self) -> None:
        """Let go of the directory."""
        self.leave_batches()
        for file in (self._numbers, self._lock):
            if file is not None:
                file.close()
        self._numbers = self._lock = None

    def _read(self, name: str) -> bytes:
        file = self._files.open(self.directory / name)
        try:
            return read_all(file)
        finally:
            file.close()


def pack_batch(batch: Kept) -> bytes:
    """The record of a batch."""
    return pack(BATCH.pack(*batch[:4]) + batch.frame)
