"""Credit is memory: what all devices may have sent that is not durable is within the budget."""

import gc
import tracemalloc

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from hub.ingest.credit import BATCH_BYTES, LEAST_BATCHES, WINDOW_BATCHES, WINDOW_BYTES, Credit, cost
from hub.wire.codec import decode_device, encode
from hub.wire.credit import Allowance
from hub.wire.errors import RemoteProtocolError
from hub.wire.messages import MAX_FRAME, Row, Window
from tests.ingest.house import NOON, house

LEAST = Window(LEAST_BATCHES, MAX_FRAME)
MIB = 1024 * 1024


@given(st.integers(0, 300 * MIB), st.integers(1, 500), st.data())
def test_what_is_granted_is_within_the_budget_and_every_link_allowed_gets_the_least(
    budget: int, links: int, data: st.DataObject
) -> None:
    credit = Credit(budget, links)
    bound = max(budget, links * cost(LEAST))
    windows: list[Window] = []
    for _ in range(links):
        if windows and data.draw(st.booleans()):
            credit.release(windows.pop())
        windows.append(credit.grant())
        assert LEAST_BATCHES <= windows[-1].batches <= WINDOW_BATCHES
        assert MAX_FRAME <= windows[-1].bytes <= WINDOW_BYTES
        assert sum(map(cost, windows)) == credit.granted <= bound
    assert credit.links == len(windows) <= links


def test_who_comes_beyond_the_budget_is_sent_away() -> None:
    credit = Credit(0, 2)
    assert [credit.grant(), credit.grant()] == [LEAST, LEAST]
    with pytest.raises(RemoteProtocolError):
        credit.grant()


def test_by_default_three_thousand_links_fit_and_the_first_ones_get_wide_windows() -> None:
    credit = Credit(384 * MIB, 3_000)
    first, *others = [credit.grant() for _ in range(3_000)]
    assert first == Window(WINDOW_BATCHES, WINDOW_BYTES)
    assert min(others) >= LEAST
    assert credit.granted <= 384 * MIB


@pytest.mark.trio
async def test_full_disk_a_batch_that_waits_takes_no_more_memory_than_it_was_granted(autojump_clock: MockClock) -> None:
    """Measured, with its place in the session."""
    async with house(ahead_bytes=0, tail_bytes=10_000) as hub:
        intake, sent = hub.open().intake, Allowance(Window(10**6, 10**9))
        await hub.journal.wait_durable(hub.journal.appended)
        hub.files.capacity = hub.files.used()
        frames = [encode(Row(seq, NOON, [20.5, 3.0, 7.0])) for seq in range(1, 2_101)]

        def say(seq: int, frame: bytes) -> None:
            intake.keep(decode_device(frame), frame)  # type: ignore[arg-type]
            sent.spend(seq, len(frame))

        for seq, frame in enumerate(frames[:100], 1):
            say(seq, frame)
        await trio.sleep(1)
        assert hub.journal.stalled
        gc.collect()
        tracemalloc.start()
        try:
            for seq, frame in enumerate(frames[100:], 101):
                say(seq, frame)
            gc.collect()
            taken = tracemalloc.get_traced_memory()[0] / 2_000
        finally:
            tracemalloc.stop()
        assert taken <= len(frames[0]) + BATCH_BYTES
        hub.files.capacity = None
