"""The disk of this machine: the files port as it really is."""

import errno
import fcntl
import os
import resource
import stat
import sys
from contextlib import ExitStack
from pathlib import Path

NO_PREALLOCATION = frozenset({errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL})  # what a file system says that cannot
NO_DIRECTORY_LOCKS = frozenset({errno.EBADF, errno.EOPNOTSUPP, errno.ENOLCK, errno.EINVAL})  # NFS; the file has to do
ZEROS = 1024 * 1024  # bytes written at once where space cannot be allocated otherwise


class DiskFile:
    """A file of it; see ``hub.ports.File``."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._size = os.fstat(fd).st_size

    def append(self, data: bytes) -> None:
        view = memoryview(data)
        start = self._size
        try:
            while view:
                written = os.pwrite(self._fd, view, self._size)
                self._size += written
                view = view[written:]
        except OSError:
            os.ftruncate(self._fd, start)  # a short write must not stand before the next record
            self._size = start
            raise

    def read(self, offset: int, size: int) -> bytes:
        return os.pread(self._fd, size, offset)

    def size(self) -> int:
        return self._size

    def truncate(self, size: int) -> None:
        os.ftruncate(self._fd, size)
        self._size = size

    def allocate(self, size: int) -> None:
        before = self._size
        try:
            if hasattr(os, "posix_fallocate"):  # Linux; the C library writes zeros where the file system cannot
                os.posix_fallocate(self._fd, before, max(1, size - before))
                self._size = os.fstat(self._fd).st_size
            else:
                while self._size < size:
                    self.append(bytes(min(ZEROS, size - self._size)))
        except OSError:
            self.truncate(before)
            raise

    def preallocate(self, size: int) -> None:
        before = os.fstat(self._fd).st_size
        if size <= before or not hasattr(os, "posix_fallocate"):
            return
        try:
            os.posix_fallocate(self._fd, self._size, size - self._size)
        except OSError as error:
            os.ftruncate(self._fd, before)  # it may have got some of it
            if error.errno not in NO_PREALLOCATION:
                raise

    def sync(self) -> None:
        os.fdatasync(self._fd)

    def close(self) -> None:
        os.close(self._fd)


class DiskFiles:
    """All of it; see ``hub.ports.Files``."""

    def open(self, path: Path, *, create: bool = False) -> DiskFile:
        return DiskFile(os.open(path, os.O_RDWR | (os.O_CREAT if create else 0) | os.O_CLOEXEC, 0o600))

    def read(self, path: Path) -> bytes:
        return path.read_bytes()

    def list(self, directory: Path) -> list[str]:
        return sorted(os.listdir(directory)) if directory.is_dir() else []

    def rename(self, old: Path, new: Path) -> None:
        os.replace(old, new)

    def remove(self, path: Path) -> None:
        os.unlink(path)

    def make_directory(self, directory: Path) -> None:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)

    def sync_directory(self, directory: Path) -> None:
        fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def free(self, directory: Path) -> int:
        space = os.statvfs(directory)
        return space.f_bavail * space.f_frsize

    def lock(self, path: Path) -> DiskFile:
        with ExitStack() as opened:
            fds = []
            for name, flags in ((path, os.O_RDWR | os.O_CREAT), (path.parent, os.O_RDONLY)):
                fds.append(fd := os.open(name, flags | os.O_CLOEXEC, 0o600))
                opened.callback(os.close, fd)
                _flock(fd)
            opened.pop_all()
        return _Lock(*fds)


class _Lock(DiskFile):
    """The file, and the directory that it is in: whoever removes a lock that looks stale lets nobody else in."""

    def __init__(self, fd: int, directory: int) -> None:
        super().__init__(fd)
        self._directory = directory

    def close(self) -> None:
        super().close()
        os.close(self._directory)


def raise_open_files(wanted: int) -> int:
    """Let this process have so many files open, as far as the hard limit lets it (many systems begin at 1,024); how
    many it may have now."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return sys.maxsize if soft == resource.RLIM_INFINITY else soft
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    except (ValueError, OSError):  # the kernel has a limit of its own beside the hard one
        return soft
    return wanted


def _flock(fd: int) -> None:
    """BlockingIOError when another process has it."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in NO_DIRECTORY_LOCKS or not stat.S_ISDIR(os.fstat(fd).st_mode):
            raise
