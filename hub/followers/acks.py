"""Acks: what is durable is settled, and its device is told (P7). The lightest of the followers, and the most urgent."""

from collections.abc import Callable, Sequence
from typing import Final

from hub.wire.kept import Entry, Gap, Kept
from hub.wire.messages import Reject, Rejection

REJECT_ENTRIES: Final = 32  # in one reject: advice, not the whole truth


class Acks:
    """A follower. ``acked(device, epoch, through)`` is called once per device and group, ``rejected(device, reject)``
    for each batch of which something was rejected.

    ``position(device, through)`` tells its epoch, and the prefix that is settled by what it was told last, or (where
    ``through`` is not null) when everything up to that is. It is needed only for records that come back from disk,
    which do not carry their prefix any more: the next numbers after it are settled by them.
    """

    name = "acks"
    at_end = True
    pace = 0.0  # a device waits for them
    batch = 50_000

    def __init__(
        self,
        acked: Callable[[str, int, int], None],
        rejected: Callable[[str, Reject], None],
        position: Callable[[str, int | None], tuple[int, int] | None] = lambda device, through: None,
    ) -> None:
        self._acked = acked
        self._rejected = rejected
        self._position = position

    async def start(self) -> int:
        return 0

    async def take(self, entries: Sequence[Entry], cursor: int) -> None:
        last: dict[str, Kept | Gap] = {}
        rejected: list[Kept] = []
        for entry in entries:
            if type(entry) is Kept:
                if entry.through:
                    last[entry.birth.device] = entry
                else:
                    self._from_disk(entry, entry.birth.device, entry.seq, entry.seq, last)
                if entry.verdict.rejections:
                    rejected.append(entry)
            elif type(entry) is Gap:
                if entry.through:
                    last[entry.device] = entry
                else:
                    self._from_disk(entry, entry.device, entry.dropped.first, entry.dropped.last, last)
        for device, newest in last.items():
            self._acked(device, newest.epoch, newest.through)
        for kept in rejected:
            self._rejected(kept.birth.device, advice(kept))

    def _from_disk(self, entry: Kept | Gap, device: str, first: int, through: int, last: dict[str, Kept | Gap]) -> None:
        before = last.get(device)
        known = self._position(device, None) if before is None else (before.epoch, before.through)
        if known is not None and known[0] == entry.epoch and first <= known[1] + 1 <= through:
            after = self._position(device, through)
            last[device] = _settling(entry, through if after is None else after[1])


def _settling(entry: Kept | Gap, through: int) -> Kept | Gap:
    if isinstance(entry, Kept):
        return entry._replace(through=through)
    return Gap(entry.lsn, entry.device, entry.epoch, entry.dropped, entry.lost, entry.received, through)


def advice(kept: Kept) -> Reject:
    """What the device is told of rejected readings: runs of one metric and reason are put together."""
    together: dict[tuple[int, str], Rejection] = {}
    total = 0
    for entry in kept.verdict.rejections:
        total += entry.readings
        key = (entry.metric, entry.code)
        before = together.get(key)
        together[key] = entry if before is None else before._replace(readings=before.readings + entry.readings)
    return Reject(kept.seq, tuple(together.values())[:REJECT_ENTRIES], total)
