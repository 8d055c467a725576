"""Makes one backup: the copies, and what is known of them when they are made."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from hub.disk import DiskFiles
from hub.journal.archive import SUFFIX, ArchivedSegment, archive_path
from hub.journal.identity import NAME as LOG
from hub.journal.segments import MAX_LSN, SegmentReader, segment_path, segments
from hub.ports import File
from hub.state import copy_state
from hub.upkeep.collected import NAME as COLLECTED
from hub.upkeep.collected import parse_collected
from hub.upkeep.manifest import BackupError, Copied, Manifest, check_file, copy_file, digest_of, write_manifest
from hub.wire.ranges import Ranges

STATE: Final = "state.sqlite"
JOURNAL: Final = "journal"
RESTORES: Final = "restores"  # in a data directory that was restored: a line for each time
SPARE: Final = 64 * 1024 * 1024  # bytes that stay free: a backup on the hub's own disk must not be what fills it


@dataclass(frozen=True)
class Made:
    """A backup that was made: its manifest, and how many bytes of it had to be copied."""

    manifest: Manifest
    copied: int

    @property
    def size(self) -> int:
        """Bytes of all of it."""
        return sum(each.size for each in self.manifest.files.values())


class Making:
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

    def make(self, log: str, version: str) -> Made:
        """All of it; BackupError where the backup that is there has what this one would not."""
        disk = DiskFiles()
        (self._folder / JOURNAL).mkdir(mode=0o700, exist_ok=True)
        self._leave_space()
        cursor = self._state()
        self._file(LOG)
        if (self._data / RESTORES).exists():
            self._file(RESTORES)
        self._journal()
        base = self._collected()  # after the segments: what is counted in it may have gone meanwhile
        for directory in (self._folder / JOURNAL, self._folder):
            disk.sync_directory(directory)
        last = max((span[1] for each in self._files.values() for span in each.records), default=0)
        manifest = Manifest(log, version, self._made, base, max(cursor, last), self._files)
        self._refuse_worse(manifest)
        write_manifest(self._folder, manifest)
        return Made(manifest, self._copied)

    def _refuse_worse(self, manifest: Manifest) -> None:
        """Not in the place of a backup that has more."""
        earlier, why = self._earlier, ""
        had = earlier.records
        both, missing = manifest.missing, manifest.missing
        for first, last in had:
            both.remove(first, last)
        for first, last in both:
            missing.remove(first, last)
        if missing:
            why = f"records {', '.join(f'{first}-{last}' for first, last in missing)} of the journal are damaged now"
        elif manifest.lsn < earlier.lsn:
            why = f"the journal ends with record {manifest.lsn} now, and not with {earlier.lsn}"
        elif manifest.base < earlier.base:
            why = f"the count of what was collected ends with record {manifest.base} now, and not with {earlier.base}"
        if why:
            raise BackupError(
                f"{why}, and the backup in {self._folder} has more: it is left as it was. Name another folder"
            )

    def _leave_space(self) -> None:
        wanted = sum(path.stat().st_size for path in self._new() if path.exists())
        free = shutil.disk_usage(self._folder).free
        if free < wanted + SPARE:
            text = (
                f"{(wanted + SPARE) // 1_000_000} MB are wanted, some of them to stay free, and {free // 1_000_000} MB"
            )
            raise BackupError(f"{self._folder}: {text} are there: make space")

    def _new(self) -> Iterator[Path]:
        """What has to be copied, as far as can be said before."""
        yield from (self._data / STATE, self._data / f"{STATE}-wal")
        for first in segments(self._data / JOURNAL, DiskFiles()):
            archived = archive_path(self._data / JOURNAL, first)
            if f"{JOURNAL}/{archived.name}" not in self._earlier.files:
                yield from (archived, segment_path(self._data / JOURNAL, first))

    # --- files -------------------------------------------------------------------------------------------------------

    def _state(self) -> int:
        """The highest LSN that anybody had taken in by then."""
        target = self._folder / f"{STATE}.{self._made}"
        cursor = copy_state(self._data / STATE, target)
        self._took(STATE, Copied(target.name, *digest_of(target)))
        return cursor

    def _file(self, name: str, file: str | None = None) -> None:
        file = file or f"{name}.{self._made}"
        self._took(name, Copied(file, *copy_file(self._data / name, self._folder / file)))

    def _took(self, name: str, copied: Copied) -> None:
        self._files[name] = copied
        self._copied += copied.size

    def _collected(self) -> int:
        name = f"{JOURNAL}/{COLLECTED}"
        if not (self._data / name).exists():
            return 0
        self._file(name)
        return parse_collected((self._folder / self._files[name].file).read_bytes(), self._data / name).lsn

    # --- segments ----------------------------------------------------------------------------------------------------

    def _journal(self) -> None:
        directory = self._data / JOURNAL
        firsts = segments(directory, DiskFiles())
        if not firsts:
            raise BackupError(f"{directory} has no segment: there is nothing that a hub could be restored from")
        for number, (first, following) in enumerate(zip(firsts, [*firsts[1:], None], strict=True), 1):
            self._segment(directory, first, following)
            self._told(number, len(firsts))

    def _segment(self, directory: Path, first: int, following: int | None) -> None:
        """Copy it, if it is not there already. A plain one counts: an archive beside it may be unfinished. One that
        goes away meanwhile was collected, or is missing."""
        for path in (segment_path(directory, first), archive_path(directory, first)):
            name = f"{JOURNAL}/{path.name}"
            kept = self._earlier.files.get(name)
            archived = path.suffix == SUFFIX
            try:
                if archived and kept is not None and self._is_good(kept, path.stat().st_size):
                    self._files[name] = kept
                else:
                    self._file(name, name if archived and kept is None else None)
                    self._files[name] = self._read(self._files[name], first, following)
                return
            except FileNotFoundError:
                continue

    def _is_good(self, kept: Copied, size: int) -> bool:
        """Whether the copy of an archive, which never changes, is as it was written."""
        try:
            check_file(self._folder, kept)
        except BackupError:
            return False
        return kept.size == size

    def _read(self, copied: Copied, first: int, following: int | None) -> Copied:
        """The copy, read through: the records that are in it."""
        file: File = DiskFiles().open(self._folder / copied.file)
        if SUFFIX in copied.file:
            file = ArchivedSegment(file)
        with closing(SegmentReader(file, first, following=following)) as reader:
            while reader.read():
                pass
            reader.finish()
        there = Ranges([(first, reader.last)] if reader.last is not None else [])
        for one in reader.damage:
            there.remove(one.first_lsn, one.last_lsn or MAX_LSN)
        return replace(copied, records=tuple(there))
