"""A backup of all that a hub cannot make again: the state file, the journal with its archive, and the log's id.

The store is not in it: it is built anew from the journal. The state file is copied first, so that whatever it has taken
in is in the segments that are copied after it; what the journal has beyond that, the restored hub takes in again.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from hub.disk import DiskFiles
from hub.journal import IdentityError, known_log_id
from hub.state import State
from hub.upkeep.collected import CollectedError
from hub.upkeep.making import JOURNAL, RESTORES, STATE, Made, Making
from hub.upkeep.manifest import NAME, BackupError, Manifest, digest_of, read_manifest

#: Names that a backup, or an unfinished one, may have in its folder. A segment or a count without a time in its name is
#: somebody's copy of a journal, but for archives, which never change.
OURS: Final = re.compile(
    r"lock|lost\+found|journal|backup\.json(?:\.tmp)?|(?:state\.sqlite|log|restores)\.\d+(?:\.draft(?:-\w+)?)?"
    r"|journal/(?:\d{20}\.archive(?:\.\d+)?|(?:\d{20}\.journal|collected)\.\d+)"
)


def back_up(data: Path, folder: Path, version: str, now: int, told: Callable[[int, int], None]) -> Made:
    """Back up the data directory ``data`` to ``folder``: a new one, or an earlier backup of the same hub, of which what
    has not changed stays. Nobody may collect segments of it meanwhile. Blocks.

    ``version`` of the program and ``now`` (us) are written down; ``told`` hears how many segments of how many are done.
    BackupError and StateError leave the backup that was there as it was.
    """
    log = _log(data)
    _refuse_strange(data, folder)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _alone(folder):
            earlier = _earlier(data, folder, log)
            DiskFiles().sync_directory(folder)  # it may be the manifest of one that failed just then
            tidy(folder, earlier)  # what one that was killed has left
            try:
                made = Making(data, folder, earlier, max(now, earlier.made + 1), told).make(log, version)
            except BaseException as error:
                there = read_manifest(folder) or earlier
                tidy(folder, earlier, there)  # a disk that is full has to have space again
                if there != earlier and isinstance(error, OSError):
                    text = "the new backup is there, but may not outlast a power cut, and the one before is kept, too"
                    raise BackupError(f"{error.filename or folder}: {error.strerror}; {text}: back up again") from error
                raise
            tidy(folder, made.manifest)
            return made
    except CollectedError as error:
        raise BackupError(str(error)) from None
    except OSError as error:
        text = f"{error.filename or folder}: {error.strerror}; the backup that was there is as it was"
        raise BackupError(text) from error


def back_up_by_hand(data: Path, folder: Path, version: str, now: int, told: Callable[[int, int], None]) -> Made:
    """The same for a hub that does not run; BackupError when it does."""
    _log(data)
    try:
        lock = DiskFiles().lock(data / "lock")
    except BlockingIOError:
        raise BackupError(f"a hub runs on {data}, but cannot be reached: look at its log") from None
    with closing(lock):
        state = State(data / STATE)
        state.open(anew=False)  # tells what is wrong with it, and takes in what a killed hub left beside it
        state.close()
        return back_up(data, folder, version, now, told)


def tidy(folder: Path, *manifests: Manifest) -> None:
    """Remove what is of other backups only, or of one that did not come to its end; nothing that is not ours."""
    named = {each.file for manifest in manifests for each in manifest.files.values()} | {NAME, "lock", JOURNAL}
    for path in [*folder.iterdir(), *(folder / JOURNAL).glob("*")]:
        name = str(path.relative_to(folder))
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


def _refuse_strange(data: Path, folder: Path) -> None:
    """BackupError where no backup is to be made, before anything is written there."""
    if folder.resolve().is_relative_to(data.resolve()):
        raise BackupError(f"{folder} is in {data}: name a folder elsewhere, at best on another disk")
    if folder.is_dir() and not (folder / NAME).exists():
        there = [str(path.relative_to(folder)) for path in (*folder.iterdir(), *(folder / JOURNAL).glob("*"))]
        strange = [name for name in there if not OURS.fullmatch(name)]
        if "lock" not in there:  # which every backup begins with: whose journal that is, nobody knows
            strange += [name for name in there if name.startswith(JOURNAL)]
        if strange:
            raise BackupError(f"{folder} is no backup, but has {', '.join(strange[:3])}: name an empty folder")
    if folder.exists() and not folder.is_dir():
        raise BackupError(f"{folder} is no folder: name one")


def _earlier(data: Path, folder: Path, log: str) -> Manifest:
    """The manifest that is there, or an empty one; BackupError where that backup is not to be replaced."""
    manifest = read_manifest(folder)
    if manifest is None:
        return Manifest(log, "", 0)
    if manifest.log != log:
        raise BackupError(f"{folder} has the backup of another hub: name another folder")
    had, restores = manifest.files.get(RESTORES), data / RESTORES
    has = digest_of(restores) if restores.exists() else None
    if has != (None if had is None else (had.size, had.sha256)):
        raise BackupError(
            f"this hub was restored since the backup in {folder} was made, which may have what it has no more: name "
            "another folder"
        )
    return manifest


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    try:
        lock = DiskFiles().lock(folder / "lock")
    except BlockingIOError:
        raise BackupError(f"another backup is being made in {folder}: wait for it") from None
    with closing(lock):
        yield
