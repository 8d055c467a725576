"""Puts back what was saved: all of a hub from a backup, or its state file alone, also from the copy it made itself."""

import os
import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hub.disk import DiskFiles
from hub.journal import IdentityError, known_log_id
from hub.journal.identity import NAME as LOG
from hub.ports import Files
from hub.state import COPY, Deed, State, StateDamaged, copy_state
from hub.upkeep.making import JOURNAL, RESTORES, STATE
from hub.upkeep.manifest import BackupError, Manifest, check_file, copy_file, read_manifest

#: What a hub leaves in a directory in which it could not start: nothing that is worth keeping.
WORTHLESS: Final = frozenset({"lock", "reserve", "hub.json", "restoring", "lost+found"})
DRAFT: Final = "restoring"  # in the data directory, while all of it is put back


@dataclass(frozen=True)
class Restored:
    """``made``: of when the state file is, us; ``kept``: where the one is that was there before. ``doubted``: commands
    that may have been sent since then, and are not sent again."""

    made: int
    devices: int
    tokens: int
    doubted: int
    kept: Path | None = None
    lsn: int | None = None


def restore_state(data: Path, folder: Path | None, now: int) -> Restored:
    """Put back the state file in ``data``: of the backup ``folder``, or (None) the copy that the hub made itself. What
    was there is kept beside it. BackupError leaves everything as it was. Blocks."""
    with _stopped(data):
        source, made = (_own_copy(data), None) if folder is None else _of_backup(data, folder)
        draft = data / f"{STATE}.restored"
        _discard(draft)  # of one that was killed
        try:
            copy_state(source, draft)
        except StateDamaged as error:
            raise BackupError(f"{error}: use another backup") from None
        made = source.stat().st_mtime_ns // 1000 if made is None else made
        done = _begin_again(draft, made, now)
        kept = _set_aside(data, now)
        if folder is not None and (data / COPY).exists():  # it may have more than what is put back, and then it counts
            (data / COPY).rename(kept.with_name(f"{kept.name}.copy") if kept else data / f"{COPY}.replaced")
        DiskFiles().rename(draft, data / STATE)
        _own(data, data / STATE)
        DiskFiles().sync_directory(data)
        return Restored(done.made, done.devices, done.tokens, done.doubted, kept)


def restore_all(data: Path, folder: Path, now: int) -> Restored:
    """Make the data directory ``data``, which must not be there or be empty, as it was when the backup was made; the
    log keeps its id. BackupError leaves everything as it was, but for what a restore that was killed had begun. Blocks.

    All is made in a folder of it first, because ``data`` may be a disk of its own; while that is there no hub starts.
    The state file comes out of it last: a restore that was killed is known by it.
    """
    if folder.resolve().is_relative_to(data.resolve()):
        raise BackupError(f"{folder} is in {data}, which is to be made anew: move it out of there")
    manifest = _checked(folder)
    draft, disk = data / DRAFT, DiskFiles()
    try:
        disk.make_directory(data)
        with _unused(data):
            (draft / JOURNAL).mkdir(mode=0o700, parents=True)
            for name in sorted(manifest.files, key=lambda name: name != STATE):
                copied = manifest.files[name]
                if copy_file(folder / copied.file, draft / name) != (copied.size, copied.sha256):
                    raise BackupError(f"{folder / copied.file} was changed just now: restore again")
            with (draft / RESTORES).open("a") as restores:  # later backups are not of what the others are of
                restores.write(f"{manifest.made} {now}\n")
                restores.flush()
                os.fsync(restores.fileno())
            done = _begin_again(draft / STATE, manifest.made, now)
            _own(data, draft, *draft.rglob("*"))
            for directory in (draft / JOURNAL, draft, data):
                disk.sync_directory(directory)
            for path in sorted(draft.iterdir(), key=lambda path: path.name == STATE):
                if path.name == STATE:
                    disk.sync_directory(data)
                disk.rename(path, data / path.name)
            draft.rmdir()
            disk.sync_directory(data)
    except OSError as error:
        raise BackupError(f"{error.filename or data}: {error.strerror}: see to it, and restore again") from error
    return Restored(done.made, done.devices, done.tokens, done.doubted, lsn=manifest.lsn)


def _begin_again(path: Path, made: int, now: int) -> Restored:
    """The state file that is put back: brought to this version, and told that it was."""
    state = State(path)
    state.open(anew=False)
    with closing(state):
        with state.transaction():
            doubted = state.commands.doubt(now)
            state.audit.add(Deed(now, "restore", "state.restore", "hub", f"as of {made} us"))
        return Restored(made, len(state.devices.all()), len(state.tokens.all()), doubted)


def half_restored(data: Path, files: Files) -> str | None:
    """Why nothing may begin in ``data``: a restore into it was killed before it had put back all. An empty draft beside
    a journal is what one leaves that had."""
    there = files.list(data)
    if DRAFT not in there or (JOURNAL in there and not files.list(data / DRAFT)):
        return None
    return (
        f"a restore into {data} did not come to its end: 'telemetrio hub restore BACKUP' begins it again. If it is not "
        f"to be, remove {data / DRAFT}, or all of it"
    )


# --- what it is put back from ----------------------------------------------------------------------------------------


def _own_copy(data: Path) -> Path:
    path = data / COPY
    if not path.exists():
        raise BackupError(f"{path} is not there: name a backup, telemetrio hub restore --state BACKUP")
    return path


def _of_backup(data: Path, folder: Path) -> tuple[Path, int]:
    manifest = _manifest(folder)
    try:
        log = known_log_id(data, DiskFiles())
    except IdentityError as error:
        raise BackupError(str(error)) from None
    if log != manifest.log:
        raise BackupError(f"{folder} has the backup of another hub than the one in {data}: name one of this hub")
    check_file(folder, manifest.files[STATE])
    return folder / manifest.files[STATE].file, manifest.made


def _checked(folder: Path) -> Manifest:
    """The manifest of a backup every file of which is as it was written."""
    manifest = _manifest(folder)
    for copied in manifest.files.values():
        check_file(folder, copied)
    return manifest


def _manifest(folder: Path) -> Manifest:
    manifest = read_manifest(folder)
    if manifest is None:
        raise BackupError(f"{folder} has no backup; 'telemetrio hub backup' makes one")
    return manifest


# --- where it is put -------------------------------------------------------------------------------------------------


@contextmanager
def _stopped(data: Path) -> Iterator[None]:
    """The data directory of a hub that does not run, and does not begin to."""
    if not (data / JOURNAL).is_dir():
        raise BackupError(f"{data}: no hub has run here; name its settings with --config")
    with _locked(data):
        if (why := half_restored(data, DiskFiles())) is not None:
            raise BackupError(why)
        yield


@contextmanager
def _locked(data: Path) -> Iterator[None]:
    try:
        lock = DiskFiles().lock(data / "lock")
    except BlockingIOError:
        raise BackupError(f"a hub runs on {data}: stop it, and then restore") from None
    with closing(lock):
        _own(data, data / "lock")
        yield


@contextmanager
def _unused(data: Path) -> Iterator[None]:
    """Nothing of worth is in there, and no hub begins there; what a restore that was killed had begun is gone."""
    with _locked(data):
        there = sorted(path.name for path in data.iterdir() if path.name not in WORTHLESS)
        # What came out of the draft is not in there any more: all else is of a hub.
        ours = all(name in (JOURNAL, LOG, RESTORES) and not (data / DRAFT / name).exists() for name in there)
        if there and not (ours and (data / DRAFT / STATE).exists()):
            raise BackupError(
                f"{data} has something in it already ({', '.join(there[:3])}): move it away, or name another "
                "directory with hub.data. To put back the state file alone: telemetrio hub restore --state BACKUP"
            )
        for name in (*there, DRAFT):
            path = data / name
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        yield


def _own(data: Path, *paths: Path) -> None:
    """Whoever restores as root leaves it to whom the data directory belongs: the hub has to open it."""
    there = data.stat()
    if os.geteuid() == 0:
        for path in paths:
            os.chown(path, there.st_uid, there.st_gid)


def _discard(draft: Path) -> None:
    for part in ("", "-wal", "-shm"):
        draft.with_name(f"{draft.name}{part}").unlink(missing_ok=True)


def _set_aside(data: Path, now: int) -> Path | None:
    """Keep what is there under another name; the file first: a log without its file is nothing that a hub starts on."""
    stamp = now // 1_000_000
    while (kept := data / f"{STATE}.replaced-{stamp}").exists():
        stamp += 1
    disk, found = DiskFiles(), None
    for part in ("", "-wal", "-shm"):
        path = data / f"{STATE}{part}"
        if path.exists():
            disk.rename(path, kept.with_name(f"{kept.name}{part}"))
            found = kept
    return found
