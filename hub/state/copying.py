"""Copies of the state file: whole, checked, and durable before they have their name."""

import sqlite3
from contextlib import closing
from pathlib import Path

from hub.disk import DiskFiles
from hub.state.database import COPY, StateDamaged, StateError, check, connected, is_damage
from hub.state.schema import VERSION


def copy_state(source: Path, target: Path) -> int:
    """Copy the state file ``source``, which a hub may be writing, to ``target``, in the place of what was there; the
    highest LSN that anybody had taken in by what is in it.

    Blocks, but nobody who writes. The copy is read through: StateDamaged when it is not as ``source`` was written,
    StateError when it cannot be made; ``target`` is then as it was.
    """
    draft = target.with_name(f"{target.name}.draft")
    try:
        _discard(draft)
        draft.touch(mode=0o600)  # it holds who may do what
        uri = f"{source.absolute().as_uri()}?mode=ro"
        with (
            closing(sqlite3.connect(uri, uri=True, timeout=10.0)) as reading,
            closing(connected(draft)) as writing,
        ):
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


def is_behind(path: Path) -> bool:
    """Whether the state file ``path`` has less than the copy that a hub made of it: what the copy has was committed."""
    copy = path.with_name(COPY)
    if not copy.exists():
        return False
    ahead = [_progress(each) for each in (copy, path)]
    return any(first > second for first, second in zip(*ahead, strict=True))


def _progress(path: Path) -> tuple[int, int]:
    """Numbers that only ever grow; zeros where it cannot be read."""
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=10.0)) as reading:
            sql = "SELECT (SELECT coalesce(max(id), 0) FROM audit), (SELECT coalesce(max(lsn), 0) FROM cursors)"
            audit, cursor = reading.execute(sql).fetchone()
            return int(audit), int(cursor)
    except (sqlite3.Error, UnicodeDecodeError):
        return 0, 0


def _discard(draft: Path) -> None:
    """What an earlier one left when it was killed; SQLite's own files beside it, too."""
    for path in (draft, draft.with_name(f"{draft.name}-journal"), draft.with_name(f"{draft.name}-wal")):
        path.unlink(missing_ok=True)
