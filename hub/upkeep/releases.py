"""What left quarantine, for the proof: each rejected reading once at most, and none that was not there."""

from collections.abc import Iterator

from hub.wire.kept import Birth, Kept, Removed, Retried
from hub.wire.messages import Rejection


class Releases:
    """Follows the journal in order. ``strangers``: the LSN of a batch of which something left quarantine that is not on
    record as rejected, and what is wrong with that; nothing, where that batch is damaged."""

    def __init__(self, collected: int) -> None:
        """``collected``: the LSN up to which the journal is gone, and with it what was rejected there."""
        self._collected = collected
        self._rejected: dict[int, tuple[Birth, tuple[Rejection, ...]]] = {}  # by LSN of the batch
        self._left: set[tuple[int, int, str]] = set()
        self.strangers: list[tuple[int, str]] = []

    def kept(self, kept: Kept) -> None:
        """A batch, with what was rejected of it."""
        if kept.verdict.rejections:
            self._rejected[kept.lsn] = kept.birth, kept.verdict.rejections

    def problems(self, left: Retried | Removed) -> Iterator[str]:
        """What is wrong with a record of readings that left quarantine, whatever else is on record."""
        for reading in left.readings:
            metric = reading.metric if isinstance(reading.metric, str) else reading.metric.name
            where = f"{left.device} epoch {left.epoch}: row {reading.row} of {metric or 'all'} of record {left.of}"
            spot = left.of, reading.row, metric
            if spot in self._left:
                yield f"{where} left quarantine again as record {left.lsn}"
            self._left.add(spot)
            if left.of > self._collected and not self._was_rejected(left.of, reading.row, metric, reading.code):
                text = f"{where} left quarantine as record {left.lsn}, but was never rejected as {reading.code}"
                self.strangers.append((left.of, text))

    def _was_rejected(self, lsn: int, row: int, metric: str, code: str) -> bool:
        birth, rejections = self._rejected.get(lsn, (None, ()))
        if birth is None:
            return False
        names = [declared.name for declared in birth.metrics]
        index = int(metric[1:]) if metric.startswith("#") else names.index(metric) if metric in names else -1
        return any(
            each.code == code
            and (each.metric == -1 or (each.metric == index and each.first <= row < each.first + each.readings))
            for each in rejections
        )
