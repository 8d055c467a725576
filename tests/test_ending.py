"""How a hub ends that is told to while something is in its way."""

import pytest
import trio
from trio.testing import MockClock

from hub.state import StateError
from hub.wire.errors import CloseCode
from tests.simulation.hub import BATCHES
from tests.whole import Disks, counter, disks, whole

__all__ = ["disks"]
pytestmark = pytest.mark.trio


async def test_full_disk_a_hub_that_is_told_to_stop_does_not_wait_for_space(
    disks: Disks, autojump_clock: MockClock
) -> None:
    async with whole(disks) as hub, counter(hub) as device:
        await device.rows(None)
        await trio.sleep(1)
        assert device.session.through == 1
        disks.files.capacity = disks.files.used()
        await trio.sleep(2)
        journal = hub.house.journal
        assert journal.stalled
        await device.rows(*[None] * BATCHES)
        await trio.sleep(1)
        assert journal.durable < journal.appended
        hub.stop.set()
        with trio.fail_after(30):
            await hub.ended.wait()
        assert device.codes == [CloseCode.DRAIN]
        assert device.session.through <= journal.durable < journal.appended, "the device still holds the rest"


async def test_a_state_file_that_cannot_be_written_does_not_make_the_end_a_crash(
    disks: Disks, autojump_clock: MockClock
) -> None:
    async with whole(disks) as hub:

        async def refuse() -> None:
            raise StateError("no space")

        hub.house.registry.flush = refuse  # type: ignore[method-assign]
        hub.stop.set()
        with trio.fail_after(30):
            await hub.ended.wait()
