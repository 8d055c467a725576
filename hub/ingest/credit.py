"""Credit: how much devices may have sent that is not settled yet. All of it may wait in memory while a disk is full."""

from heapq import heappop, heappush
from typing import Final

from hub.wire.errors import CloseCode, RemoteProtocolError
from hub.wire.messages import MAX_FRAME, Window

BATCH_BYTES: Final = 384  # of memory around the frame of a batch that waits: its record, its place in the session
LEAST_BATCHES: Final = 128  # for any link: at 40 rows a second those of 3 s, and a busy hub may ack so late
WINDOW_BYTES: Final = 1024 * 1024  # at most for one link: at 10 ms from frame to ack that is 100 MB a second
WINDOW_BATCHES: Final = 4_096  # the same for small frames: 400,000 a second
SHARE: Final = 16  # a link takes at most this fraction of what is free, so that early ones leave some to later ones
NOTHING: Final = Window(0, 0)


def cost(window: Window) -> int:
    """Bytes of memory that so many batches, of so many bytes in all, may take while they wait."""
    return window.bytes + window.batches * BATCH_BYTES


class Credit:
    """Hands out windows whose cost stays within the budget; every link allowed is sure of one largest frame, and of
    LEAST_BATCHES small ones. What a link that has left had sent counts until it is durable: it is in memory as long,
    however often its device dials."""

    def __init__(self, budget_bytes: int, links_allowed: int) -> None:
        self._least = Window(LEAST_BATCHES, MAX_FRAME)
        self._budget = max(budget_bytes, links_allowed * cost(self._least))
        self._allowed = links_allowed
        self.links = 0
        self.granted = 0  # bytes
        self._left: list[tuple[int, int]] = []  # a heap: LSN, and the bytes that are in memory until it is durable

    def grant(self) -> Window:
        """A window for a new link; RemoteProtocolError (OVERLOAD) when there is none left."""
        least = cost(self._least)
        if self.granted + least > self._budget:
            raise RemoteProtocolError(CloseCode.OVERLOAD, "the hub has no room for another link: come back later")
        reserved = least * max(0, self._allowed - self.links)
        window = self._wider(max(0, self._budget - self.granted - reserved) // SHARE)
        self.links += 1
        self.granted += cost(window)
        return window

    def _wider(self, spare: int) -> Window:
        """The least window and as much of the widest as ``spare`` bytes pay for."""
        batches, size = WINDOW_BATCHES - self._least.batches, WINDOW_BYTES - self._least.bytes
        widest = cost(Window(batches, size))
        spare = min(spare, widest)
        return Window(
            self._least.batches + batches * spare // widest, self._least.bytes + size * spare // widest
        )  # fmt: skip

    def release(self, window: Window, lsn: int = 0, sent: Window = NOTHING) -> None:
        """The link is gone, and so is its claim, but for what it had ``sent``, which is kept until ``lsn`` is
        durable."""
        kept = min(cost(sent), cost(window))
        self.links -= 1
        self.granted -= cost(window) - kept
        if kept:
            heappush(self._left, (lsn, kept))

    def durable(self, lsn: int) -> None:
        """Everything up to ``lsn`` is durable: what links that left had sent up to there is in memory no more."""
        while self._left and self._left[0][0] <= lsn:
            self.granted -= heappop(self._left)[1]
