"""Copies of the state file: whole, checked, and durable before they have their name."""

import sqlite3
from contextlib import closing
from pathlib import Path

from hub.disk import DiskFiles
from hub.state.database import PROGRESS, StateDamaged, StateError, check, connected, is_damage, reader
from hub.state.schema import VERSION


def copy_state(source: Path, target: Path) -> int:
    """Copy the state file ``source``, which a hub in another process may be writing, to ``target``, in the place of
    what was there; the highest LSN that anybody had taken in by what is in it.

    Blocks, but nobody who writes. The copy is read through: StateDamaged when it is not as ``source`` was written,
    StateError when it cannot be made; ``target`` is then as it was.
    """
    try:
        reading = reader(source)
    except sqlite3.DatabaseError as exc:
        raise StateError(f"{source} cannot be copied: {exc}; see who may read it") from exc
    with closing(reading):
        return copy_from(reading, source, target)


def copy_from(reading: sqlite3.Connection, source: Path, target: Path) -> int:
    """The same over a connection to ``source``."""
    draft = target.with_name(f"{target.name}.draft")
    try:
        _discard(draft)
        draft.touch(mode=0o600)  # it holds who may do what
        with closing(connected(draft)) as writing:
            reading.backup(writing)
            writing.execute("PRAGMA journal_mode = DELETE")  # one file, without what is beside it
            check(writing)
            version = writing.execute("PRAGMA user_version").fetchone()[0]
            cursor = writing.execute("SELECT coalesce(max(lsn), 0) FROM cursors").fetchone()[0]
        if version > VERSION:
            text = f"{source} was written by a newer version (schema {version}, this one knows {VERSION})"
            raise StateError(f"{text}; use that version")
        files = DiskFiles()
        with closing(files.open(draft)) as file:
            file.sync()
        files.rename(draft, target)
        files.sync_directory(target.parent)
        return int(cursor)
    except sqlite3.DatabaseError as exc:
        _discard(draft)
        if is_damage(exc):
            raise StateDamaged(f"{source} is damaged: {' '.join(str(exc).split())}") from exc
        raise StateError(f"{source} cannot be copied to {target}: {exc}; see that there is space") from exc
    except UnicodeDecodeError as exc:  # SQLite quotes what it does not understand
        _discard(draft)
        raise StateDamaged(f"{source} is damaged: its tables make no sense ({exc.reason})") from exc
    except OSError as exc:
        _discard(draft)
        raise StateError(f"{source} cannot be copied to {target}: {exc.strerror}; see who may write there") from exc
    except BaseException:
        _discard(draft)
        raise


def progress_of(copy: Path) -> tuple[int, ...]:
    """How far a copy is, as ``Database.progress`` tells it; nothing where it cannot be read. Blocks."""
    try:
        with closing(reader(copy)) as reading:
            return tuple(reading.execute(PROGRESS).fetchone())
    except (sqlite3.Error, UnicodeDecodeError):
        return ()


def _discard(draft: Path) -> None:
    """What an earlier one left when it was killed; SQLite's own files beside it, too."""
    for path in (draft, draft.with_name(f"{draft.name}-journal"), draft.with_name(f"{draft.name}-wal")):
        path.unlink(missing_ok=True)
