"""The folder of a demo: kept or removed at its end, and one that was left behind by a killed demo is swept."""

import fcntl
import os
import shutil
import tempfile
from pathlib import Path
from typing import Final

PREFIX: Final = "telemetrio-demo-"
LOCK: Final = "running"  # there and locked: in use; there and free: left behind; not there: kept on purpose


class DemoFolder:
    """``named``: kept whatever happens; else a temporary one."""

    def __init__(self, named: Path | None) -> None:
        self.path = Path(tempfile.mkdtemp(prefix=PREFIX)) if named is None else named
        #: To be inherited by the demo's processes: the lock is free when the last of them has ended.
        self.lock = () if named is not None else (_lock(self.path),)

    def end(self, *, keep: bool) -> None:
        """No process of the demo is left."""
        if self.lock and keep:
            (self.path / LOCK).unlink(missing_ok=True)
        elif self.lock:
            shutil.rmtree(self.path, ignore_errors=True)
        for fd in self.lock:
            os.close(fd)


def sweep() -> None:
    """Remove what killed demos have left behind."""
    for path in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        try:
            if path.lstat().st_uid == os.getuid() and _is_left(path / LOCK):
                shutil.rmtree(path, ignore_errors=True)
        except OSError:
            continue  # another demo sweeps, too


def _lock(folder: Path) -> int:
    """Gets its name when it is locked: under it nobody ever finds a free one of a demo that runs."""
    new = folder / f"{LOCK}.new"
    fd = os.open(new, os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(fd, fcntl.LOCK_EX)
    new.rename(folder / LOCK)
    return fd


def _is_left(lock: Path) -> bool:
    try:
        fd = os.open(lock, os.O_RDWR | os.O_NOFOLLOW)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(fd)
    return True
