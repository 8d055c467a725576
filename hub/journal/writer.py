"""The blocking half of the journal: appends groups to segment files and syncs them. Called through the worker."""

from collections.abc import Sequence
from contextlib import suppress
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
    """Owns the file that is appended to. Every method blocks.

    Space for what comes next is preallocated, ``ahead`` bytes at a time and up to ``segment_bytes``: a disk that gets
    full says so before a record is begun. Where there is no space for so much, the last of it is used.
    """

    def __init__(self, directory: Path, files: Files, *, ahead: int = 0, segment_bytes: int = 0) -> None:
        self._directory = directory
        self._files = files
        self._file: File | None = None
        self._unsynced = False
        self._segment = 0
        self._ahead = ahead
        self._segment_bytes = segment_bytes
        self._allocated = 0  # bytes that the file may have before space is needed again
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
        """Let go of the file, cut to its real end."""
        if self._file is not None:
            with suppress(OSError):  # what stays there are zeros, which every reader passes over
                self._seal()
            self._file.close()
            self._file = None

    def _append(self, part: Part) -> bool:
        """False when there is no space; the file then ends where it ended before."""
        if part.opens:
            reach("roll")
            self._sync()  # a segment is whole before the next one is begun (P9)
            self._seal()
        try:
            file = self._open(part.segment) if part.opens else self._current()
            data = b"".join(part.pieces)
            if not part.opens:  # a segment begins with its marks, not with zeros
                self._preallocate(file, len(data))
            reach("append")
            file.append(data)
        except OSError as error:
            self._allocated = 0  # cut back
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
            self._file, self._segment, self._allocated = file, segment, 0
        return self._file

    def _preallocate(self, file: File, size: int) -> None:
        """See to it that there is space for so many bytes more; OSError when there is not."""
        need = file.size() + size
        if need <= self._allocated or self._ahead == 0:
            return
        enough = max(need, min(need + self._ahead, self._segment_bytes))
        try:
            file.preallocate(enough)
        except OSError as error:
            if error.errno not in FULL:
                raise
            file.preallocate(need)
            enough = need
        self._allocated = enough

    def _seal(self) -> None:
        """Give back what was preallocated and is not needed."""
        if self._file is not None and self._allocated > self._file.size():
            self._file.truncate(self._file.size())
        self._allocated = 0

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
