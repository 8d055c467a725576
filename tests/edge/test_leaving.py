"""Peers that leave at the wrong moment, come twice, or stop reading: real rooms in memory, a clock that jumps."""

from pathlib import Path

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.edge.house import MemoryStreams, house
from tests.edge.streams import request

pytestmark = pytest.mark.trio


@pytest.mark.parametrize("known", [True, False])
async def test_a_peer_that_leaves_before_its_request_is_answered_is_no_crash(
    tmp_path: Path, autojump_clock: MockClock, known: bool
) -> None:
    async with house(tmp_path) as hub:
        assert isinstance(hub.streams, MemoryStreams)
        stream = hub.streams.listener.connect()
        assert isinstance(stream, trio.StapledStream)
        await stream.receive_stream.aclose()
        token = await hub.token() if known else "nobody's"
        await stream.send_all(request(b"Authorization: Bearer " + token.encode()))
        await wait_all_tasks_blocked()
        counters = hub.edge.statistics()
        assert (counters["crashed"], counters["lost"], counters["connections"]) == (0, 1, 0)
