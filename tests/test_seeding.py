"""A hub that starts shows what its store knew, and does not wait for it."""

import pytest
import trio
from trio.testing import MockClock

from hub.ports import SystemClock
from hub.seeding import HOLD_SECONDS, RETRY_SECONDS
from hub.store.base import StoreError
from hub.wire.messages import GOOD
from hub.wire.session import DeviceSession
from tests.simulation.store import SimulatedStore
from tests.whole import Disks, Whole, counter, disks, whole

__all__ = ["disks"]
pytestmark = pytest.mark.trio

SECOND = 1_000_000


def latest(hub: Whole) -> list[object]:
    return [reading[1:] for reading in hub.house.rooms.live.latest("counter-00")]


async def streamed(disks: Disks, *times: int) -> DeviceSession:
    """A life of the hub in which its device has sent rows of these times; what the device knows then."""
    async with whole(disks) as hub, counter(hub) as device:
        await device.rows(*times)
        await trio.sleep(1)
        assert device.session.through == len(times)
        hub.stop.set()
        await hub.ended.wait()
        return device.session


async def test_time_latest_of_a_device_that_is_offline_outlives_the_hub(
    disks: Disks, autojump_clock: MockClock
) -> None:
    now = SystemClock().now()
    await streamed(disks, now - 2 * SECOND, now - SECOND)
    async with whole(disks) as hub:
        await trio.sleep(1)
        assert latest(hub) == [[now - SECOND, 2, GOOD]]


async def test_time_a_late_row_after_a_restart_does_not_move_latest(disks: Disks, autojump_clock: MockClock) -> None:
    now = SystemClock().now()
    before = await streamed(disks, now - SECOND)
    session = DeviceSession(before.epoch, before.log, before.through, before.next, before.next)
    async with whole(disks) as hub, counter(hub, session) as device:
        await device.rows(now - 60 * SECOND)
        await trio.sleep(1)
        assert device.session.through == 2
        assert latest(hub) == [[now - SECOND, 1, GOOD]]


async def test_a_store_that_cannot_tell_holds_up_neither_acks_nor_live_and_is_asked_again(
    disks: Disks, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = SystemClock().now()
    before = await streamed(disks, now - SECOND)
    answers, tell = [StoreError("not now"), StoreError("not now")], SimulatedStore.latest

    def stubborn(store: SimulatedStore, **question: int) -> object:
        if answers:
            raise answers.pop()
        return tell(store, **question)  # type: ignore[arg-type]

    monkeypatch.setattr(SimulatedStore, "latest", stubborn)
    session = DeviceSession(before.epoch, before.log, before.through, before.next, before.next)
    async with whole(disks) as hub, counter(hub, session) as device:
        await device.rows(now - 60 * SECOND)
        await trio.sleep(1)
        assert device.session.through == 2
        await trio.sleep(HOLD_SECONDS)
        assert latest(hub) == [[now - 60 * SECOND, 2, GOOD]]
        await trio.sleep(2 * RETRY_SECONDS)
        assert latest(hub) == [[now - SECOND, 1, GOOD]]
