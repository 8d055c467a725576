"""What a store is: where readings go to be queried. Stores keep their own cursor beside the rows they commit."""

from collections.abc import Sequence
from typing import Any, Protocol

from hub.query.question import Columns, Question
from hub.wire.kept import Entry


class StoreError(Exception):
    """The store could not do it; nothing of the call has been committed. ``retry`` when waiting may help, and then
    ``retry_after`` seconds where the other side said how long. ``damaged``: its file is not what was written."""

    def __init__(
        self, text: str, *, retry: bool = True, retry_after: float | None = None, damaged: bool = False
    ) -> None:
        super().__init__(text)
        self.damaged = damaged
        self.retry = retry
        self.retry_after = retry_after


class Store(Protocol):
    """A follower that can be asked. All of it blocks: call it through a worker, never two calls of ``take`` at once."""

    name: str

    def open(self) -> int:
        """Open or create; the cursor: LSN of the last record taken in (0: none)."""

    def take(self, entries: Sequence[Entry], cursor: int) -> None:
        """Commit the accepted readings of these entries and the cursor in one transaction, and take out what they say
        is expired. Entries at or below the cursor that is committed already are left out, so handing the same ones
        over again changes nothing."""

    def ask(self, question: Question, *, rows: int, seconds: float) -> Columns:
        """Answer, on a cursor of its own (safe beside ``take``); StoreError when it takes longer or is too much.

        Readings come oldest first, of equal times in the order they were kept, then as first declared by their
        device; aggregates with ``every`` by time, else all together, and then by device, metric and unit."""

    def latest(
        self, devices: Sequence[str] | None = None, *, through: int | None = None, seconds: float = 30.0
    ) -> Columns:
        """The latest reading of each metric of these devices (``None``: all), of the records up to ``through``;
        ``received``, the receive time, stands beside it. Ordered by min(time, receive time), then epoch, seq, row; what
        has no time of its own is never latest."""

    def stored(self, lsn: int) -> Columns:
        """Columns ``lsn`` and ``readings`` (how many) of every batch with stored readings up to ``lsn``, ascending: for
        the ledger's proof. Arrays, because there may be millions."""

    def counts(self, device: str | None = None, through: int | None = None) -> tuple[int, dict[tuple[str, int], int]]:
        """The cursor, and the stored readings by device and epoch up to it (or of records up to ``through``), as of
        one moment: for the ledger."""

    def batches(self, first: int, last: int) -> list[tuple[str, int, int, int]]:
        """Device, epoch, seq and stored readings of the batches among the records ``first..last``."""

    def statistics(self) -> dict[str, Any]:
        """Sizes and counters for health and /metrics."""

    def interrupt(self) -> None:
        """Break off what is being answered: whoever asked gets a StoreError. From any thread."""

    def close(self) -> None: ...
