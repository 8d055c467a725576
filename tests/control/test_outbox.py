"""What waits for a device's link."""

import pytest
import trio

from hub.control.outbox import BYTES, MESSAGES, Closing, DeviceOutbox
from hub.wire.errors import CloseCode
from hub.wire.messages import Ack, Cancel, Command, Desired, Reject, Rejection, Window

pytestmark = pytest.mark.trio
WINDOW = Window(10, 1000)


async def test_a_hundred_acks_leave_as_one_and_first() -> None:
    outbox = DeviceOutbox()
    outbox.offer(Cancel("a"))
    for through in range(1, 101):
        outbox.ack(through, Window(through, 7))
    assert await outbox.take() == [Ack(100, Window(100, 7)), Cancel("a")]


async def test_the_writer_is_woken(autojump_clock: trio.testing.MockClock) -> None:
    outbox = DeviceOutbox()
    taken = []

    async def write() -> None:
        taken.append(await outbox.take())
        taken.append(await outbox.take())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(write)
        await trio.testing.wait_all_tasks_blocked()
        outbox.ack(1, WINDOW)
        await trio.testing.wait_all_tasks_blocked()
        assert outbox.offer(Cancel("a"))
    assert taken == [[Ack(1, WINDOW)], [Cancel("a")]]


async def test_it_is_bounded_by_count() -> None:
    outbox = DeviceOutbox()
    assert sum(outbox.offer(Cancel(str(n))) for n in range(MESSAGES + 50)) == MESSAGES
    assert len(await outbox.take()) == MESSAGES
    assert outbox.offer(Cancel("again"))


async def test_it_is_bounded_by_bytes() -> None:
    outbox = DeviceOutbox()
    big = Desired(1, {"text": "x" * (BYTES // 4)})
    assert [outbox.offer(big) for _ in range(4)] == [True, True, True, False]
    assert outbox.offer(Cancel("small"))


async def test_advice_leaves_room_for_commands() -> None:
    outbox = DeviceOutbox()
    advice = Reject(1, (Rejection(0, "out_of_range", 0, 1, "too much"),), 1)
    while outbox.offer(advice):
        pass
    assert not outbox.room
    assert all(outbox.offer(Command(str(n), "stop", {}, 0)) for n in range(MESSAGES // 2))


async def test_closed_it_drains_and_then_says_so() -> None:
    outbox = DeviceOutbox()
    outbox.offer(Cancel("a"))
    outbox.close(CloseCode.TAKEN_OVER, "first")
    outbox.close(CloseCode.DRAIN, "second")
    assert outbox.closed
    assert not outbox.offer(Cancel("b"))
    assert await outbox.take() == [Cancel("a")]
    with pytest.raises(Closing) as closing:
        await outbox.take()
    assert (closing.value.code, closing.value.reason) == (CloseCode.TAKEN_OVER, "first")
