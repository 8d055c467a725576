"""The state file: all that is neither a reading nor in the journal, each kind in its repository."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from hub.state.account import Account
from hub.state.commands import Commands
from hub.state.copying import copy_from, progress_of
from hub.state.database import COPY, Database
from hub.state.devices import Devices
from hub.state.events import Audit, Cursors, Events
from hub.state.quarantine import Quarantine
from hub.state.tokens import Tokens
from hub.state.twins import Twins


class State:
    """One SQLite file. Every call blocks: make all of them through one and the same worker."""

    def __init__(self, path: Path) -> None:
        self._database = database = Database(path)
        self.devices = Devices(database)
        self.tokens = Tokens(database)
        self.commands = Commands(database)
        self.twins = Twins(database)
        self.account = Account(database)
        self.quarantine = Quarantine(database)
        self.events = Events(database)
        self.cursors = Cursors(database)
        self.audit = Audit(database)

    @property
    def path(self) -> Path:
        return self._database.path

    def open(self, *, anew: bool = True) -> None:
        """Open; with ``anew`` a file that is not there, or empty, is begun. StateError when it is damaged, or gone,
        saying how to restore it."""
        self._database.open(anew=anew)

    def look(self) -> None:
        """StateDamaged when the file was deleted, replaced or emptied by somebody since ``open``."""
        self._database.look()

    def copy(self) -> int:
        """Copy the file to COPY beside it, as ``copy_state`` does. This and ``committed`` may be called from a second
        thread."""
        return copy_from(self._database.reading_open(), self.path, self.path.with_name(COPY))

    def committed(self) -> tuple[int, tuple[int, int]]:
        """What tells one content of the file from another, and that of its tokens; only what is committed counts."""
        return self._database.committed()

    def is_behind(self) -> bool:
        """Whether COPY, which a hub has made of the file, has more than it: whatever is there was committed."""
        copied = progress_of(self.path.with_name(COPY))
        return any(theirs > ours for theirs, ours in zip(copied, self._database.progress(), strict=False))

    def close(self) -> None:
        self._database.close()

    def transaction(self) -> AbstractContextManager[None]:
        """All or nothing of what is written inside; durable at the end. One inside another joins it."""
        return self._database.transaction()

    def atomically(self, *calls: Callable[[], object]) -> None:
        """Make these calls in one transaction."""
        with self.transaction():
            for call in calls:
                call()
