"""The files port on this machine's disk."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from hub.disk import DiskFiles

TAKES = "import sys; from pathlib import Path; from hub.disk import DiskFiles; DiskFiles().lock(Path(sys.argv[1]))"


def taken(path: Path) -> bool:
    """Whether another process cannot have the lock."""
    ran = subprocess.run([sys.executable, "-c", TAKES, str(path)], capture_output=True, text=True, check=False)
    assert not ran.stderr or "BlockingIOError" in ran.stderr
    return bool(ran.stderr)


@pytest.mark.parametrize("deed", [lambda path: None, Path.unlink, lambda path: path.rename(path.with_name("old"))])
def test_a_lock_holds_also_where_its_file_is_removed(tmp_path: Path, deed: Callable[[Path], object]) -> None:
    path = tmp_path / "lock"
    lock = DiskFiles().lock(path)
    deed(path)
    assert taken(path)
    with pytest.raises(BlockingIOError):
        DiskFiles().lock(path)
    lock.close()
    assert not taken(path)


def test_who_was_refused_holds_nothing(tmp_path: Path) -> None:
    first = DiskFiles().lock(tmp_path / "lock")
    with pytest.raises(BlockingIOError):
        DiskFiles().lock(tmp_path / "lock")
    first.close()
    DiskFiles().lock(tmp_path / "lock").close()
    with pytest.raises(FileNotFoundError):
        DiskFiles().lock(tmp_path / "nowhere" / "lock")
