"""A store whose file may be damaged or vanish: it is set aside, kept, and begun anew; its follower fills it again."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar

from hub.ports import Clock, Files
from hub.query.question import Columns, Question
from hub.store import aside
from hub.store.base import Store, StoreError
from hub.wire.kept import Entry
from hub.wire.ranges import Ranges

T = TypeVar("T")

ASKED: Final = "it was asked for"  # the only reason to build a store anew that is no damage
MARK: Final = ".rebuilding"  # beside the store while it is filled again, so that a restart knows it too


class FileStore(Store, Protocol):
    """A store in one file of this machine."""

    def scrub(self) -> None: ...
    def abandon(self) -> None: ...


@dataclass
class Rebuilding:
    """A store on its way back. ``through``: the record up to which it has been before, or more."""

    why: str
    through: int
    began: float  # monotonic seconds


class MendingStore:
    """See the module. ``end`` tells the durable end of the journal: what a rebuilt store has to reach.

    While the store is rebuilt, questions are refused with how far it has come; counts for the ledger are answered.
    """

    def __init__(
        self, path: Path, make: Callable[[], FileStore], files: Files, clock: Clock, told: Callable[[str, str], None]
    ) -> None:
        self.end: Callable[[], int] = lambda: 0
        self.damage: str | None = None  # why the file is to be set aside
        self.rebuilding: Rebuilding | None = None
        self.kept: Path | None = None  # the file that was set aside last
        self._path = path
        self._make = make
        self._files = files
        self._clock = clock
        self._told = told
        self._inner = make()
        self.name = self._inner.name
        self._inode: int | None = None
        self._aside: Path | None = None  # the name of what is being set aside
        self._size = self._checkpoints = 0
        self._cursor = 0
        self._had = aside.Had()
        self._counters: dict[str, float] = {"set_aside": 0, "rebuilt": 0, "rebuild_seconds": 0.0, "rebuild_rate": 0.0}

    def condemn(self, why: str) -> None:
        """The file is not to be trusted, or ASKED: it is set aside at the next ``open``."""
        self.damage = self.damage or why

    def open(self) -> int:
        """Open, after setting aside what is damaged; the cursor."""
        if self._dangles():  # a disk that is not mounted is no damage
            target = self._path.readlink()
            raise StoreError(f"{self._path} leads to {target}, which is not there: mount its disk, or remove the link")
        if self.damage is None:
            self._look_at_names()
        if self.damage is not None:
            self._set_aside(self.damage)
        try:
            return self.open_as_it_is()
        except StoreError as error:
            if not error.damaged:
                raise
            self._set_aside(str(error))
        return self.open_as_it_is()

    def open_as_it_is(self) -> int:
        """Open, and set nothing aside; the cursor. StoreError also when it is damaged."""
        self._cursor = self._inner.open()
        self._had.highest = max(self._had.highest, self._cursor)
        if self._inode is None:
            self._inode = self._path.stat().st_ino
            if self.rebuilding is None and self._mark.exists():
                self.rebuilding = Rebuilding("the hub was stopped while it was rebuilt", self.end(), self._now())
        return self._cursor

    def take(self, entries: Sequence[Entry], cursor: int) -> None:
        """Commit, as the store does."""
        self._had.highest = max(self._had.highest, cursor)  # a commit that fails may have been made all the same
        self._guarded(lambda: self._inner.take(entries, cursor))
        self._cursor = cursor
        self.arrived(cursor)

    def arrived(self, cursor: int) -> None:
        """All up to ``cursor`` has been handed over: is that all there was?"""
        rebuilding = self.rebuilding
        if rebuilding is not None and self.damage is None and cursor >= rebuilding.through:
            self._rebuilt(rebuilding)

    def ask(self, question: Question, *, rows: int, seconds: float) -> Columns:
        """Answer, or say how far the store has come."""
        self._refuse()
        return self._guarded(lambda: self._inner.ask(question, rows=rows, seconds=seconds))

    def latest(
        self, devices: Sequence[str] | None = None, *, through: int | None = None, seconds: float = 30.0
    ) -> Columns:
        """As ``ask``."""
        self._refuse()
        return self._guarded(lambda: self._inner.latest(devices, through=through, seconds=seconds))

    def stored(self, lsn: int) -> Columns:
        """Readings by batch."""
        return self._guarded(lambda: self._inner.stored(lsn))

    def counts(self, device: str | None = None, through: int | None = None) -> tuple[int, dict[tuple[str, int], int]]:
        """Cursor and readings by device and epoch, all or those up to a record."""
        return self._guarded(lambda: self._inner.counts(device, through))

    def batches(self, first: int, last: int) -> list[tuple[str, int, int, int]]:
        """What the records of these LSNs were."""
        had, cursor = self._had, self._cursor
        found = self._guarded(lambda: self._inner.batches(first, last))
        if cursor >= last and not any(readings for *_, readings in found):
            had.without.add(first, last)  # nor will it ever: it only takes what comes after its cursor
        return found

    def check(self) -> str | None:
        """What can be seen from outside at little cost: the file was deleted, replaced or cut. Why, or None."""
        if self.damage is None and self._inode is not None:
            self._look_at_names()
        return self.damage

    def scrub(self) -> None:
        """Read all of it; StoreError when it is damaged."""
        self._guarded(self._inner.scrub)

    def progress(self) -> str | None:
        """How far the store has come on its way back, in words; None when nothing is wrong."""
        if self.damage is not None:
            state = "" if self.damage == ASKED else "is damaged and "
            return f"the store {state}will be rebuilt from the journal: {self.damage}"
        if self.rebuilding is None:
            return None
        return (
            f"the store is being rebuilt from the journal, record {self._cursor} of {self.rebuilding.through} "
            f"({self.rebuilding.why})"
        )

    def statistics(self) -> dict[str, Any]:
        """The store's, and what was mended."""
        return {**self._inner.statistics(), **self._counters, "rebuilding": self.rebuilding is not None}

    def close(self) -> None:
        """Checkpoint and close."""
        if self.damage is None:
            self._inner.close()
            return
        with suppress(StoreError):  # a question is answered on it: it ends with the process
            self._inner.abandon()

    def interrupt(self) -> None:
        """As the store does."""
        self._inner.interrupt()

    def exists(self) -> bool:
        """Whether there is a file; ``open`` makes one."""
        return self._path.exists()

    def may_have(self, records: Ranges) -> list[str]:
        """Names of the files that were set aside, oldest first, and may have readings of these records: not those that
        are known to have none."""
        notes = [(kept.name, aside.read_note(self._files, kept)) for kept in aside.all_aside(self._path)]
        return [name for name, had in notes if had is None or had.may_have(records)]

    # --- setting aside ---------------------------------------------------------------------------------------------

    @property
    def _mark(self) -> Path:
        return self._path.with_name(self._path.name + MARK)

    @property
    def _log(self) -> Path:
        return self._path.with_name(self._path.name + aside.LOG)

    def _now(self) -> float:
        return self._clock.monotonic()

    def _dangles(self) -> bool:
        return self._path.is_symlink() and not self._path.exists()

    def _look_at_names(self) -> None:
        if self._dangles():
            return
        try:
            found = self._path.stat()
        except FileNotFoundError:
            if self._inode is not None:
                self.condemn("its file was deleted")
            elif self._log.exists():
                self.condemn("its file is gone and its log is not")
            return
        except OSError:
            return  # a disk that cannot be read just now says nothing of the file
        if self._inode is not None and found.st_ino != self._inode:
            self.condemn("its file was replaced by another")
        checkpoints = self._inner.statistics().get("checkpoints", 0)  # they alone may cut the file
        if self._inode is not None and checkpoints == self._checkpoints and found.st_size < self._size:
            self.condemn("its file was cut")
        self._checkpoints, self._size = checkpoints, found.st_size

    def _set_aside(self, why: str) -> None:
        """Keep what is there under another name, the log first: a file without its log is older, but whole."""
        self._inner.abandon()
        word = aside.REPLACED if why == ASKED else aside.DAMAGED
        if self._aside is None:  # else file and log keep the name that one of them has already
            self._aside = aside.free_name(self._path, word, self._clock.now() // 1_000_000)
        kept = self._aside
        self._mark.touch(mode=0o600)
        if self._log.exists():
            self._files.rename(self._log, kept.with_name(kept.name + aside.LOG))
        if self._path.exists():
            self._files.rename(self._path, kept)
            if self._inode == kept.stat().st_ino:  # not another one that somebody has put there
                aside.write_note(self._files, kept, self._had)
        self._files.sync_directory(self._path.parent)
        self._cursor = self._size = 0  # before ``_had``: ``batches`` reads them the other way round
        self._inner, self._had = self._make(), aside.Had()
        self._inode = self._aside = None
        self.damage, self.kept = None, kept if kept.exists() else None
        self._counters["set_aside"] += 1
        self.rebuilding = Rebuilding(why, self.end(), self._now())
        self._told(why, kept.name)

    def _rebuilt(self, rebuilding: Rebuilding) -> None:
        seconds = max(self._now() - rebuilding.began, 1e-3)
        rows = int(self._inner.statistics().get("readings", 0))
        self._counters.update(rebuilt=self._counters["rebuilt"] + 1, rebuild_seconds=seconds)
        self._counters["rebuild_rate"] = rows / seconds
        self._mark.unlink(missing_ok=True)
        self.rebuilding = None
        self._told(f"{rows} readings in {seconds:.1f} s, {rows / seconds:.0f} a second", "")

    def _refuse(self) -> None:
        text = self.progress()
        if text is not None:
            raise StoreError(f"{text}: ask again when it is done; readings are taken in meanwhile")

    def _guarded(self, call: Callable[[], T]) -> T:
        inner = self._inner
        try:
            return call()
        except StoreError as error:
            if error.damaged and inner is self._inner:
                self.condemn(str(error))
            raise
