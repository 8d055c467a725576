"""Who is let in before the upgrade, and who is paused."""

from pathlib import Path

import pytest
from trio.testing import MockClock

from hub.edge.auth import bearer, may_call
from hub.edge.flapping import Flapping
from hub.edge.listener import Limits
from hub.wire.errors import CloseCode
from tests.edge.house import house
from tests.edge.streams import request


@pytest.mark.parametrize(
    ("header", "token"),
    [
        (None, None),
        (b"Bearer abc", "abc"),
        (b"bearer  abc ", "abc"),
        (b"Basic abc", None),
        (b"Bearer", None),
        (b"Bearer ", None),
        (b"Bearer \xff", None),
    ],
)
def test_the_bearer_header(header: bytes | None, token: str | None) -> None:
    assert bearer(header) == token


def test_roles_are_a_ladder_and_enrol_stands_beside_it() -> None:
    allowed = {
        (role, least)
        for role in ("device", "enrol", "viewer", "operator", "admin")
        for least in ("enrol", "viewer", "operator", "admin")
        if may_call(role, least)
    }
    assert allowed == {
        ("enrol", "enrol"),
        ("viewer", "viewer"),
        ("operator", "viewer"),
        ("operator", "operator"),
        ("admin", "enrol"),
        ("admin", "viewer"),
        ("admin", "operator"),
        ("admin", "admin"),
    }


@pytest.mark.trio
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ([], b"101"),
        ([b"Origin: https://evil.example"], b"403"),
        ([b"Origin: null"], b"403"),
        ([b"Origin: https://dash.example:8443"], b"403"),
        ([b"Origin: https://dash.example"], b"101"),
        ([b"Content-Length: 3"], b"400"),
        ([b"Authorization: Basic abc"], b"401"),
        ([b"Authorization: Bearer abc"], b"401"),
    ],
)
async def test_requests(tmp_path: Path, autojump_clock: MockClock, headers: list[bytes], status: bytes) -> None:
    limits = Limits(origins=frozenset({"https://dash.example"}))
    async with house(tmp_path, limits=limits) as hub:
        stream = await hub.streams.dial("hub", 1)
        await stream.send_all(request(*headers))
        answer = bytes(await stream.receive_some())
        assert answer.split()[1] == status
        await stream.aclose()


@pytest.mark.trio
async def test_who_does_not_offer_the_subprotocol_is_told_which(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with house(tmp_path) as hub:
        stream = await hub.streams.dial("hub", 1)
        await stream.send_all(request().replace(b"telemetrio.v1.cbor", b"mqtt"))
        answer = b""
        while part := await stream.receive_some():
            answer += part
        assert answer.startswith(b"HTTP/1.1 400")
        assert b"telemetrio.v1.cbor" in answer


def test_flapping_is_counted_in_a_window_and_innocent_ends_are_not() -> None:
    flapping = Flapping()
    for second in range(100):
        assert flapping.connects("steady", second * 5.0) == 0
        assert flapping.connects("drained", second * 1.0) == 0
        flapping.ended("drained", CloseCode.DRAIN)
    for _ in range(15):
        assert flapping.connects("loose", 1_000.0) == 0
        flapping.ended("loose", 1006)
    assert flapping.connects("loose", 1_000.0) == 300
    assert flapping.connects("loose", 1_299.0) == 1.0
    assert flapping.connects("loose", 1_301.0) == 0
