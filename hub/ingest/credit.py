"""Credit: how much devices may have sent that is not settled yet. All of it may wait in memory while a disk is full."""

from heapq import heappop, heappush
from typing import Final

from hub.wire.errors import CloseCode, RemoteProtocolError
from hub.wire.messages import MAX_FRAME, Window

WINDOW_BYTES: Final = 1024 * 1024  # at most for one link: at 10 ms from frame to ack that is 100 MB a second
WINDOW_BATCHES: Final = 4_096  # the same for small frames: 400,000 a second
SHARE: Final = 16  # a link takes at most this fraction of what is free, so that early ones leave some to later ones


class Credit:
    """Hands out windows whose bytes together stay within the budget; every link allowed is sure of one frame. What a
    link that has left had sent counts until it is durable: it is in memory as long, however often its device dials."""

    def __init__(self, budget_bytes: int, links_allowed: int) -> None:
        self._budget = max(budget_bytes, links_allowed * MAX_FRAME)
        self._allowed = links_allowed
        self.links = 0
        self.granted = 0  # bytes
        self._left: list[tuple[int, int]] = []  # a heap: LSN, and the bytes that are in memory until it is durable

    def grant(self) -> Window:
        """A window for a new link; RemoteProtocolError (OVERLOAD) when there is none left."""
        if self.granted + MAX_FRAME > self._budget:
            raise RemoteProtocolError(CloseCode.OVERLOAD, "the hub has no room for another link: come back later")
        reserved = MAX_FRAME * max(0, self._allowed - self.links)
        spare = max(0, self._budget - self.granted - reserved)
        window = Window(WINDOW_BATCHES, MAX_FRAME + min(WINDOW_BYTES - MAX_FRAME, spare // SHARE))
        self.links += 1
        self.granted += window.bytes
        return window

    def release(self, window: Window, lsn: int = 0, sent: int = 0) -> None:
        """The link is gone, and so is its claim, but for ``sent`` bytes that it keeps until ``lsn`` is durable."""
        sent = min(sent, window.bytes)
        self.links -= 1
        self.granted -= window.bytes - sent
        if sent:
            heappush(self._left, (lsn, sent))

    def durable(self, lsn: int) -> None:
        """Everything up to ``lsn`` is durable: what links that left had sent up to there is in memory no more."""
        while self._left and self._left[0][0] <= lsn:
            self.granted -= heappop(self._left)[1]
