"""The hub's own copy of its state file, beside it: what a damaged one is put back from where there is no backup."""

from collections.abc import Callable
from typing import Final

import trio

from hub.ports import Files, Worker
from hub.state import State, StateDamaged, StateError, restoring

LOOK_SECONDS: Final = 10.0  # between two looks: so old may the copy be when a token was given or revoked
LONGEST_SECONDS: Final = 600.0  # between two copies of a file that changes otherwise: presence alone does all the time
SHARE: Final = 200  # copying takes no more than this part of the time (10 MB take a third of a second) ...
TOKEN_SHARE: Final = 20  # ... or this one, where a token has changed
SPARE: Final = 64 * 1024 * 1024  # bytes that have to be free beside the copy: it must not be what fills the disk


class Copies:
    """One task. ``problem``: why there is no new copy, null while all is well; the hub goes on without one."""

    def __init__(self, state: State, worker: Worker, files: Files, failed: Callable[[str], None]) -> None:
        """``worker``: one of its own, because copying keeps no one from writing the file. ``failed`` is told the first
        of a row of failures, for the log."""
        self.problem: str | None = None
        self._state = state
        self._worker = worker
        self._files = files
        self._failed = failed
        self._copied = -1, -1  # the file's changes, and those of its tokens, as far as the copy has them
        self._made = float("-inf")
        self._took = 0.0  # seconds that the last copy took

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await trio.sleep(LOOK_SECONDS)
            changes, tokens = self._changes()
            urgent = tokens != self._copied[1]
            wait = self._took * TOKEN_SHARE if urgent else max(self._took * SHARE, LONGEST_SECONDS)
            if changes != self._copied[0] and trio.current_time() >= self._made + wait:
                await self.make()
            else:
                await self._look()

    async def make(self) -> None:
        """Copy it now, if it has changed; never raises."""
        changes = self._changes()
        if changes == self._copied:
            return
        began = trio.current_time()
        try:
            await self._worker.run(self._copy)
        except (OSError, StateError) as error:
            self._tell(error)
        else:
            self.problem, self._copied = None, changes
        self._made = trio.current_time()
        self._took = self._made - began

    async def _look(self) -> None:
        """Whether the file is still the one that the hub writes; never raises."""
        try:
            await self._worker.run(self._state.look)
        except (OSError, StateError) as error:
            self._tell(error)

    def _tell(self, error: Exception) -> None:
        advice = f". {restoring(self._state.path)}" if isinstance(error, StateDamaged) else ""
        if self.problem is None:
            self._failed(f"{error}{advice}")
        self.problem = f"the hub makes no copy of its state file: {error}{advice}"

    def _changes(self) -> tuple[int, int]:
        return self._state.changes, self._state.tokens.changes

    def _copy(self) -> None:
        self._state.look()
        path = self._state.path
        parts = [path, path.with_name(f"{path.name}-wal")]
        size = sum(part.stat().st_size for part in parts if part.exists())
        if self._files.free(path.parent) < size + SPARE:
            raise StateError(f"there are not {(size + SPARE) // 1_000_000} MB free in {path.parent}; make space there")
        self._state.copy()
