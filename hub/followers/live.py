"""Live: what is durable is shown."""

from collections.abc import Awaitable, Callable, Sequence

import trio

from hub.wire.kept import Entry


class LiveFollower:
    """A follower that hands everything to ``publish``, in pieces of a few milliseconds."""

    name = "live"
    at_end = True
    pace = 0.0
    batch = 2_000

    def __init__(
        self, publish: Callable[[Sequence[Entry]], None], ready: Callable[[], Awaitable[None]] | None = None
    ) -> None:
        """``ready`` is waited for before the first entries are published."""
        self._publish = publish
        self._ready = ready

    async def start(self) -> int:
        return 0

    async def take(self, entries: Sequence[Entry], cursor: int) -> None:
        if self._ready is not None:
            await self._ready()
            self._ready = None
        self._publish(entries)
        await trio.lowlevel.checkpoint()
