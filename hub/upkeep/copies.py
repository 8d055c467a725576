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
LAST_SECONDS: Final = 1.0  # a hub that stops waits for a copy that takes no longer, or for one with a new token
SPARE: Final = 64 * 1024 * 1024  # bytes that have to be free beside the copy: it must not be what fills the disk


class Copies:
    """One task; the hub goes on without a copy."""

    def __init__(self, state: State, worker: Worker, files: Files, failed: Callable[[str], None]) -> None:
        """``worker``: one of its own, because copying keeps no one from writing the file. ``failed`` is told the first
        of a row of failures, for the log."""
        self._state = state
        self._worker = worker
        self._files = files
        self._failed = failed
        self._copied: tuple[int, tuple[int, int]] | None = None  # what was committed when the copy was begun
        self._made = float("-inf")
        self._took = 0.0  # seconds that the last copy took
        self._wrong: str | None = None  # with the file, at the last look
        self._missed: str | None = None  # why the last copy was not made

    @property
    def problem(self) -> str | None:
        """Why there is no new copy, null while all is well."""
        return self._wrong or self._missed

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await trio.sleep(LOOK_SECONDS)
            if await self._look():
                await self._make_when_due()

    async def last(self) -> None:
        """When the hub stops: what has changed since, unless copying takes long and no token has; never raises."""
        if await self._look():
            await self._make_when_due(at_most=LAST_SECONDS)

    async def _look(self) -> bool:
        """Whether the file is still the one that the hub writes."""
        try:
            await self._worker.run(self._state.look)
        except (OSError, StateError) as error:
            self._wrong = self._told(error)
            return False
        self._wrong = None
        return True

    async def _make_when_due(self, at_most: float | None = None) -> None:
        """Copy it, if it has changed, and either it is time or the last copy took ``at_most`` so many seconds."""
        began = trio.current_time()
        try:
            committed = await self._worker.run(self._state.committed)
            if committed == self._copied:
                self._missed = None
                return
            urgent = self._copied is None or committed[1] != self._copied[1]
            wait = self._took * TOKEN_SHARE if urgent else max(self._took * SHARE, LONGEST_SECONDS)
            if at_most is not None:
                wait = 0.0 if urgent or self._took <= at_most else wait
            if began < self._made + wait:
                return
            await self._worker.run(self._copy)
        except (OSError, StateError) as error:
            self._missed = self._told(error)
        else:
            self._copied, self._missed = committed, None
            self._took = trio.current_time() - began
        self._made = trio.current_time()

    def _told(self, error: Exception) -> str:
        """What is wrong, in the words of a problem; the log hears the first of a row."""
        advice = f". {restoring(self._state.path)}" if isinstance(error, StateDamaged) else ""
        if self.problem is None:
            self._failed(f"{error}{advice}")
        return f"the hub makes no copy of its state file: {error}{advice}"

    def _copy(self) -> None:
        path = self._state.path
        parts = [path, path.with_name(f"{path.name}-wal")]
        size = sum(part.stat().st_size for part in parts if part.exists())
        if self._files.free(path.parent) < size + SPARE:
            raise StateError(f"there are not {(size + SPARE) // 1_000_000} MB free in {path.parent}; make space there")
        self._state.copy()
