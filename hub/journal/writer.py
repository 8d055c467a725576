"""The blocking half of the journal: appends groups to segment files and syncs them. Called through the worker."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from hub.crashpoints import reach
from hub.journal.errors import JournalFailed
from hub.journal.recovery import FULL
from hub.journal.segments import segment_path
from hub.ports import File, Files


class Part(NamedTuple):
    """Records of one segment that are appended in one go. ``opens``: the marks that begin a new segment."""

    segment: int
    pieces: Sequence[bytes]
    last: int  # LSN
    size: int  # bytes
    opens: bool = False


class Written(NamedTuple):
    """How far a group came: so many parts are durable now. ``full``: the disk had no space for the next one."""

    parts: int
    full: bool
    size: int  # durable bytes of the segment that the last of them went to


class SegmentWriter:
    """Owns the file that is appended to. Every method blocks."""

    def __init__(self, directory: Path, files: Files) -> None:
        self._directory = directory
        self._files = files
        self._file: File | None = None
        self._unsynced = False
        self._segment = 0
        self._size = 0  # durable bytes of the segment that was synced last

    def resume(self, segment: int) -> int:
        """Go on at the end of a segment whose content is durable; its bytes."""
        self._file = self._files.open(segment_path(self._directory, segment))
        self._segment = segment
        self._size = self._file.size()
        return self._size

    def write(self, parts: Sequence[Part]) -> Written:
        """Append the parts in order and sync; JournalFailed when the disk refuses other than for want of space."""
        done, full = 0, False
        try:
            for part in parts:
                if not self._append(part):
                    full = True
                    break
                done += 1
            self._sync()
        except OSError as error:
            raise JournalFailed(
                f"the disk refused to keep the journal in {self._directory} ({error.strerror or error}): nothing more "
                "is acked. Look after the disk, then start the hub again; devices still hold what was not acked."
            ) from error
        return Written(done, full, self._size)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _append(self, part: Part) -> bool:
        """False when there is no space; the file then ends where it ended before."""
        if part.opens:
            reach("roll")
            self._sync()  # a segment is whole before the next one is begun (P9)
        try:
            file = self._open(part.segment) if part.opens else self._current()
            reach("append")
            file.append(b"".join(part.pieces))
        except OSError as error:
            if error.errno in FULL:
                return False
            raise
        self._unsynced = True
        if part.opens:
            reach("marks")
            self._sync()
            self._files.sync_directory(self._directory)
        return True

    def _open(self, segment: int) -> File:
        if self._segment != segment or self._file is None:
            file = self._files.open(segment_path(self._directory, segment), create=True)
            self.close()
            self._file, self._segment = file, segment
        return self._file

    def _current(self) -> File:
        if self._file is None:
            raise AssertionError("the journal has not been opened")
        return self._file

    def _sync(self) -> None:
        if self._unsynced:
            file = self._current()
            reach("sync")
            file.sync()
            self._unsynced = False
            self._size = file.size()
