"""Space that is held back for a full disk: given up so that state and store can commit, and back before acks go on."""

from pathlib import Path
from typing import Final

from hub.journal.recovery import FULL
from hub.ports import Files

MARGIN: Final = 4  # a quarter of the reserve has to be free beside it, or the disk counts as full


class Reserve:
    """A file full of nothing. Every method blocks. A ``size`` of 0 bytes is no reserve: the disk is full when it is."""

    def __init__(self, path: Path, files: Files, size: int) -> None:
        self.held = False
        self._path = path
        self._files = files
        self._size = size

    def begin(self) -> None:
        """At the start, before anything is opened: find it, and give it up where space is short already."""
        if self._path.name in self._files.list(self._path.parent):
            file = self._files.open(self._path)
            try:
                self.held = 0 < file.size() == self._size
            finally:
                file.close()
            if not self.held or self.short():
                self.give_up()

    def short(self) -> bool:
        """Whether so little is free that state and store may fail to commit."""
        return self._files.free(self._path.parent) < self._size // MARGIN

    def give_up(self) -> None:
        """Let the others have it."""
        self.held = False
        if self._path.name in self._files.list(self._path.parent):
            self._files.remove(self._path)

    def take_back(self) -> bool:
        """Hold it again, if there is space for it and the margin; whether it is held."""
        if self.held or self._size == 0:
            return True
        if self._files.free(self._path.parent) < self._size + self._size // MARGIN:
            return False
        file = self._files.open(self._path, create=True)
        try:
            file.allocate(self._size)
            self.held = True
        except OSError as error:
            if error.errno not in FULL:
                raise
        finally:
            file.close()
        if not self.held:
            self.give_up()
        return self.held
