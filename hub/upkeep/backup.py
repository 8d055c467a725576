"""A backup of all that a hub cannot make again: the state file, the journal with its archive, and the log's id.

The store is not in it: it is built anew from the journal. The state file is copied first, so that whatever it has taken
in is in the segments that are copied after it; what the journal has beyond that, the restored hub takes in again.
"""

import hashlib
import re
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from hub.disk import DiskFiles
from hub.journal import IdentityError, known_log_id
from hub.journal.archive import SUFFIX, ArchivedSegment, archive_path
from hub.journal.identity import NAME as LOG
from hub.journal.segments import SegmentReader, segment_path, segments
from hub.ports import File
from hub.state import State, copy_state
from hub.upkeep.collected import NAME as COLLECTED
from hub.upkeep.collected import read_collected
from hub.upkeep.manifest import NAME, BackupError, Copied, Manifest, copy_file, read_manifest, write_manifest
from hub.wire.ranges import Ranges

STATE: Final = "state.sqlite"
JOURNAL: Final = "journal"
#: Names that a backup, or an unfinished one, may have in its folder.
OURS: Final = re.compile(
    r"lock|journal|backup\.json(?:\.tmp)?|(?:state\.sqlite|log)\.\d+(?:\.draft(?:-\w+)?)?"
    r"|journal/(?:\d{20}\.(?:journal|archive)|collected)(?:\.\d+)?"
)


@dataclass(frozen=True)
class Made:
    """A backup that was made: its manifest, and how many bytes of it had to be copied."""

    manifest: Manifest
    copied: int

    @property
    def size(self) -> int:
        """Bytes of all of it."""
        return sum(each.size for each in self.manifest.files.values())

    @property
    def missing(self) -> list[tuple[int, int]]:
        """Records that the journal does not have any more, and so the backup neither."""
        return sorted(span for each in self.manifest.files.values() for span in each.missing)


def back_up(data: Path, folder: Path, version: str, now: int, told: Callable[[int, int], None]) -> Made:
    """Back up the data directory ``data`` to ``folder``: a new one, or an earlier backup of the same hub, of which what
    has not changed stays. Nobody may collect segments of it meanwhile. Blocks.

    ``version`` of the program and ``now`` (us) are written down; ``told`` hears how many segments of how many are done.
    BackupError and StateError leave the backup that was there as it was.
    """
    log = _log(data)
    earlier = _earlier(data, folder, log)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _alone(folder):
            return _Making(data, folder, earlier, max(now, earlier.made + 1), told).make(log, version)
    except OSError as error:
        raise BackupError(
            f"{error.filename or folder}: {error.strerror}; nothing of an earlier backup is lost"
        ) from error


def back_up_by_hand(data: Path, folder: Path, version: str, now: int, told: Callable[[int, int], None]) -> Made:
    """The same for a hub that does not run; BackupError when it does."""
    _log(data)
    try:
        lock = DiskFiles().lock(data / "lock")
    except BlockingIOError:
        raise BackupError(f"a hub runs on {data}, but cannot be reached: look at its log") from None
    with closing(lock):
        state = State(data / STATE)
        if not state.path.exists():  # opened, it would come into being
            raise BackupError(f"{state.path} is gone: there is nothing that a hub could be restored from")
        state.open()  # tells what is wrong with it, and takes in what a killed hub left beside it
        state.close()
        return back_up(data, folder, version, now, told)


class _Making:
    """One backup on its way; files that change have ``made`` in their names: none takes the place of another."""

    def __init__(
        self, data: Path, folder: Path, earlier: Manifest, made: int, told: Callable[[int, int], None]
    ) -> None:
        self._data = data
        self._folder = folder
        self._earlier = earlier
        self._made = made
        self._told = told
        self._files: dict[str, Copied] = {}
        self._copied = 0
        self._lsn = 0
        self._gone = 0  # the last record of a segment that vanished

    def make(self, log: str, version: str) -> Made:
        disk = DiskFiles()
        (self._folder / JOURNAL).mkdir(mode=0o700, exist_ok=True)
        self._state()
        self._file(LOG)
        self._journal()
        disk.sync_directory(self._folder / JOURNAL)
        disk.sync_directory(self._folder)
        manifest = Manifest(log, version, self._made, self._lsn, self._files)
        made = Made(manifest, self._copied)
        if lost := self._had(made):
            spans = ", ".join(f"{first}-{last}" for first, last in lost)
            raise BackupError(
                f"records {spans} of the journal are damaged now, and the backup in {self._folder} has them: it is "
                "left as it was. Name another folder"
            )
        write_manifest(self._folder, manifest)
        self._tidy()
        return made

    def _had(self, made: Made) -> Ranges:
        """What is missing now, and is in the backup that was there."""
        lost = Ranges(made.missing)
        for first, last in Made(self._earlier, 0).missing:
            lost.remove(first, last)
        if made.manifest.lsn > self._earlier.lsn:
            lost.remove(self._earlier.lsn + 1, made.manifest.lsn)
        return lost

    def _state(self) -> None:
        target = self._folder / f"{STATE}.{self._made}"
        copy_state(self._data / STATE, target)
        with target.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        self._took(STATE, Copied(target.name, target.stat().st_size, digest))

    def _file(self, name: str, missing: tuple[tuple[int, int], ...] = (), *, file: str | None = None) -> None:
        file = file or f"{name}.{self._made}"
        self._took(name, Copied(file, *copy_file(self._data / name, self._folder / file), missing))

    def _took(self, name: str, copied: Copied) -> None:
        self._files[name] = copied
        self._copied += copied.size

    def _journal(self) -> None:
        directory, disk = self._data / JOURNAL, DiskFiles()
        firsts = segments(directory, disk)
        for number, (first, following) in enumerate(zip(firsts, [*firsts[1:], None], strict=True), 1):
            self._segment(directory, first, following)
            self._told(number, len(firsts))
        if COLLECTED in disk.list(directory):  # after the segments: what is counted in it may have gone meanwhile
            self._file(f"{JOURNAL}/{COLLECTED}")
        if self._gone and self._gone > read_collected(directory, disk).lsn:
            raise BackupError("a segment went away while the backup was made: make it again")

    def _segment(self, directory: Path, first: int, following: int | None) -> None:
        """Copy it, if it is not there already. A plain one counts: an archive beside it may be unfinished."""
        for path in (segment_path(directory, first), archive_path(directory, first)):
            name = f"{JOURNAL}/{path.name}"
            kept = self._earlier.files.get(name)
            archived = path.suffix == SUFFIX
            try:
                if archived and kept is not None and self._is_there(kept, path.stat().st_size):
                    self._files[name] = kept
                    self._lsn = max(self._lsn, (following or first) - 1)
                else:
                    self._file(name, file=name if archived and kept is None else None)
                    self._files[name] = self._read(self._files[name], first, following)
                return
            except FileNotFoundError:  # it was archived, or was collected, just now
                continue
        self._gone = (following or first) - 1

    def _is_there(self, kept: Copied, size: int) -> bool:
        """An archive never changes."""
        path = self._folder / kept.file
        return kept.size == size and path.exists() and path.stat().st_size == size

    def _read(self, copied: Copied, first: int, following: int | None) -> Copied:
        """The copy, read through: what is missing in it. What a crash leaves after the last record was never acked."""
        file: File = DiskFiles().open(self._folder / copied.file)
        if SUFFIX in copied.file:
            file = ArchivedSegment(file)
        with closing(SegmentReader(file, first, following=following)) as reader:
            while reader.read():
                pass
            reader.finish()
        self._lsn = max(self._lsn, reader.last or first - 1)
        spans = ((one.first_lsn, one.last_lsn) for one in reader.damage)
        return replace(copied, missing=tuple((low, high) for low, high in spans if high is not None and low <= high))

    def _tidy(self) -> None:
        """Remove what only earlier backups were made of, or one that did not come to its end."""
        named = {each.file for each in self._files.values()} | {NAME, "lock"}
        for path in [*self._folder.iterdir(), *(self._folder / JOURNAL).iterdir()]:
            name = str(path.relative_to(self._folder))
            if name not in named and OURS.fullmatch(name) and path.is_file():
                path.unlink()


def _log(data: Path) -> str:
    try:
        log = known_log_id(data, DiskFiles())
    except IdentityError as error:
        raise BackupError(str(error)) from None
    if log is None:
        raise BackupError(f"{data}: no hub has run here; name its settings with --config")
    return log


def _earlier(data: Path, folder: Path, log: str) -> Manifest:
    """The manifest that is there, or an empty one; BackupError where this is no place for a backup of that log."""
    if folder.resolve().is_relative_to(data.resolve()):
        raise BackupError(f"{folder} is in {data}: name a folder elsewhere, at best on another disk")
    manifest = read_manifest(folder)
    if manifest is None:
        strange = [path.name for path in folder.iterdir() if not OURS.fullmatch(path.name)] if folder.is_dir() else []
        if strange or folder.is_file():
            raise BackupError(
                f"{folder} is no backup, but has {', '.join(strange[:3]) or 'content'}: name an empty folder"
            )
        return Manifest(log, "", 0, 0)
    if manifest.log != log:
        raise BackupError(f"{folder} has the backup of another hub: name another folder")
    return manifest


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    try:
        lock = DiskFiles().lock(folder / "lock")
    except BlockingIOError:
        raise BackupError(f"another backup is being made in {folder}: wait for it") from None
    with closing(lock):
        yield
