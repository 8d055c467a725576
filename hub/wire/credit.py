"""Credit of one link, counted alike at both ends: what was sent beyond ``through``, and what the windows allow."""

from collections import deque
from itertools import repeat

from hub.wire.messages import Window


class Allowance:
    """Frames sent and not yet settled. Limits are kept as running totals, so a window that shrinks takes back nothing
    that was granted: the highest total ever granted counts."""

    __slots__ = ("_batch_limit", "_batches", "_byte_limit", "_bytes", "_settled_batches", "_settled_bytes", "_waiting")

    def __init__(self, window: Window) -> None:
        self._waiting: deque[tuple[int, int]] = deque()  # (seq, bytes), rising
        self._batches = self._bytes = 0  # sent on this link, in all
        self._settled_batches = self._settled_bytes = 0
        self._batch_limit, self._byte_limit = window

    def allows(self, size: int) -> bool:
        """Whether another frame of ``size`` bytes is within the credit."""
        return self._batches < self._batch_limit and self._bytes + size <= self._byte_limit

    def spend(self, seq: int, size: int) -> None:
        """A frame of ``size`` bytes went."""
        self._batches += 1
        self._bytes += size
        self._waiting.append((seq, size))

    def spend_run(self, seq: int, count: int, size: int) -> bool:
        """``count`` frames of ``size`` bytes each, numbered from ``seq`` on; False, and nothing has changed, when not
        all of them are within the credit."""
        if self._batches + count > self._batch_limit or self._bytes + count * size > self._byte_limit:
            return False
        self._batches += count
        self._bytes += count * size
        self._waiting.extend(zip(range(seq, seq + count), repeat(size, count), strict=True))
        return True

    def settle(self, through: int, window: Window) -> None:
        """Everything up to ``through`` is settled; beyond it ``window`` may be sent."""
        waiting = self._waiting
        batches, size = self._settled_batches, self._settled_bytes
        while waiting and waiting[0][0] <= through:
            batches += 1
            size += waiting.popleft()[1]
        self._settled_batches, self._settled_bytes = batches, size
        if batches + window[0] > self._batch_limit:
            self._batch_limit = batches + window[0]
        if size + window[1] > self._byte_limit:
            self._byte_limit = size + window[1]

    @property
    def outstanding(self) -> Window:
        """What was sent and is not settled."""
        return Window(self._batches - self._settled_batches, self._bytes - self._settled_bytes)
