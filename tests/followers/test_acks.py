"""Acks: one per device and group, of what is settled; advice is short."""

import pytest

from hub.followers import Acks
from hub.wire.kept import Entry, Gap, Kept
from hub.wire.messages import Dropped, Reject, Rejection
from tests.followers.making import journaling

pytestmark = pytest.mark.trio


class Told:
    def __init__(self, **position: tuple[int, int]) -> None:
        self.position = position
        self.held: dict[int, int] = {}  # the number before a held range, and its last
        self.acks: list[tuple[str, int, int]] = []
        self.rejects: list[tuple[str, Reject]] = []
        self.follower = Acks(lambda *ack: self.acks.append(ack), lambda *reject: self.rejects.append(reject), self.told)

    def told(self, device: str, through: int | None) -> tuple[int, int] | None:
        if (known := self.position.get(device)) is None:
            return None
        prefix = known[1] if through is None else through
        return known[0], self.held.get(prefix, prefix)


async def test_p7_one_ack_for_each_device_of_a_group(autojump_clock: object) -> None:
    told = Told()
    async with journaling() as ink:
        group: list[Entry] = [ink.keep(seq, device=device) for seq in range(1, 50) for device in ("a", "b")]
    await told.follower.take([*group, Gap(0, "a", 1, Dropped(50, 60, None, "full"), False, 0, 60)], 99)
    assert told.acks == [("a", 1, 60), ("b", 1, 49)]
    assert told.rejects == []


async def test_p7_a_reject_has_at_most_32_entries_and_the_total(autojump_clock: object) -> None:
    told = Told()
    entries = tuple(Rejection(metric, "out_of_range", 2, 1, "") for metric in range(40))
    async with journaling() as ink:
        await told.follower.take([ink.keep(1, rejections=entries), ink.keep(2)], 2)
    assert told.rejects == [("pump-1", Reject(1, entries[:32], 40))]


async def test_p7_a_reject_puts_runs_of_one_metric_and_reason_together(autojump_clock: object) -> None:
    told = Told()
    runs = [Rejection(0, "out_of_range", 2 * row, 1, "" if row else "too much") for row in range(40)]
    other = Rejection(0, "not_finite", 1, 3, "NaN")
    async with journaling() as ink:
        await told.follower.take([ink.keep(1, rejections=(*runs, other))], 1)
    assert told.rejects == [("pump-1", Reject(1, (Rejection(0, "out_of_range", 0, 40, "too much"), other), 43))]


def from_disk(entries: list[Kept]) -> list[Kept]:
    return [entry._replace(through=0) for entry in entries]


async def test_what_comes_back_from_disk_is_acked_as_far_as_it_follows(autojump_clock: object) -> None:
    told = Told(a=(1, 4), b=(1, 7), c=(2, 4))
    async with journaling() as ink:
        entries = [ink.keep(seq, device=device) for seq in (5, 6, 7, 9) for device in ("a", "b", "c", "d")]
    await told.follower.take(from_disk(entries), 99)
    assert told.acks == [("a", 1, 7)]  # b has been told, c is in another epoch, d never said hello here


async def test_p7_what_comes_back_from_disk_goes_on_over_what_welcome_said_is_held(autojump_clock: object) -> None:
    told = Told(a=(1, 4))
    told.held = {5: 8, 9: 10}
    async with journaling() as ink:
        entries = [ink.keep(seq, device="a") for seq in (5, 9, 11)]
    await told.follower.take(from_disk(entries), 99)
    assert told.acks == [("a", 1, 11)]
