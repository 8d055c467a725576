"""The one loop of every follower: take what is durable, try again when it cannot be taken, say how it stands."""

from collections.abc import Callable, Iterable, Sequence
from typing import Final

import trio

from hub.followers.base import Follower, StartAgain
from hub.followers.reader import Reader
from hub.journal import Journal
from hub.wire.kept import Entry
from hub.wire.shapes import FollowerStatus

MISSING_TOLD: Final = 32  # ranges in a status
RETRY_SECONDS: Final = (0.1, 5.0)  # first and longest wait before it is tried again


class Followers:
    """A task per follower, each with its own cursor; none waits for another."""

    def __init__(
        self,
        journal: Journal,
        followers: Sequence[Follower],
        failed: Callable[[str, Exception], None] = lambda name, exc: None,
    ) -> None:
        """``failed`` is told the first of a row of failures of a follower, for the log."""
        self._journal = journal
        self._moved = trio.Event()
        self._following = [_Following(journal, follower, self._tell, failed) for follower in followers]

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Follow until cancelled. Started when acks and live follow: what becomes durable from then on reaches them.
        The others open what they keep in their own time. Raises JournalFailed when the journal has failed."""
        async with trio.open_nursery() as nursery:
            for following in self._following:
                if following.follower.at_end:
                    following.begin(self._journal.durable)
                nursery.start_soon(following.run)
            task_status.started()

    def status(self) -> list[FollowerStatus]:
        """How each of them stands."""
        return [following.status() for following in self._following]

    def cursor(self, name: str) -> int:
        """The record that the follower of that name has come to."""
        return next(each.cursor for each in self._following if each.follower.name == name)

    async def reached(self, lsn: int, names: Iterable[str] | None = None) -> None:
        """Until these followers (all of them) have taken in everything up to ``lsn``."""
        waited = [each for each in self._following if names is None or each.follower.name in set(names)]
        while any(each.cursor < lsn for each in waited):
            await self._moved.wait()

    async def settled(self, lsn: int) -> None:
        """Until each has taken in everything up to ``lsn``, or has failed once more."""
        before = [(each, each.failures) for each in self._following]
        while any(each.cursor < lsn and each.failures == failures for each, failures in before):
            await self._moved.wait()

    def restart(self, name: str) -> None:
        """Ask the follower of that name how far it came, and go on from there: what it had is gone."""
        for following in self._following:
            if following.follower.name == name:
                following.restart()

    def _tell(self) -> None:
        moved, self._moved = self._moved, trio.Event()
        moved.set()


class _Following:
    """One follower's task."""

    def __init__(
        self, journal: Journal, follower: Follower, moved: Callable[[], None], failed: Callable[[str, Exception], None]
    ) -> None:
        self.follower = follower
        self.cursor = 0
        self.error: str | None = None
        self.failures = 0
        self._journal = journal
        self._moved = moved
        self._failed = failed
        self._reader: Reader | None = None
        self._entries: list[Entry] = []  # read, not taken yet
        self._took = float("-inf")  # when the last take began, on trio's clock
        self._behind = False  # the last read left something
        self._waiting = trio.CancelScope()

    def begin(self, cursor: int) -> None:
        """Follow from here."""
        self.cursor = cursor
        self._reader = Reader(self._journal, cursor)

    def restart(self) -> None:
        """Begin again from what the follower says."""
        self._reader, self._entries = None, []
        self._waiting.cancel()

    def status(self) -> FollowerStatus:
        return FollowerStatus(
            name=self.follower.name, cursor=self.cursor, lag=max(0, self._journal.durable - self.cursor),
            healthy=self.error is None, error=self.error,
            missing=[list(pair) for pair in getattr(self.follower, "missing", ())[-MISSING_TOLD:]],
        )  # fmt: skip

    async def run(self) -> None:
        """The loop. Its one boundary: whatever a follower raises, it is handed the same again after a while."""
        wait = RETRY_SECONDS[0]
        while True:
            if self._reader is not None and not self._entries:
                with trio.CancelScope() as self._waiting:
                    await self._wait(self._reader.position)
                if self._waiting.cancelled_caught:
                    continue
            try:
                if self._reader is None:
                    self.begin(await self.follower.start())
                    self._moved()  # it may have taken in before all that there is
                else:
                    await self._step(self._reader)
            except StartAgain:
                self.restart()
            except Exception as exc:
                if self.error is None:
                    self._failed(self.follower.name, exc)
                self.error = f"{type(exc).__name__}: {exc}"
                self.failures += 1
                self._moved()
                await trio.sleep(wait)
                wait = min(wait * 2, RETRY_SECONDS[1])
            else:
                self.error, wait = None, RETRY_SECONDS[0]

    async def _wait(self, position: int) -> None:
        """Until there is something, and until it is time for it; who is behind goes on at once."""
        await self._journal.wait_beyond(position)
        until = self._took + self.follower.pace
        if not self._behind and until > trio.current_time():
            await trio.sleep_until(until)

    async def _step(self, reader: Reader) -> None:
        if not self._entries:
            durable = self._journal.durable
            self._entries = await reader.next(self.follower.batch)
            self._behind = reader.position < durable
        if self._entries:
            self._took = trio.current_time()
            await self.follower.take(self._entries, reader.position)
            self._entries = []
        self.cursor = reader.position
        self._moved()
