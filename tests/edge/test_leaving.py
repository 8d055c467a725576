"""Peers that leave at the wrong moment, come twice, or stop reading: real rooms in memory, a clock that jumps."""

import gc
from contextlib import suppress
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked
from wsproto.frame_protocol import FrameProtocol

from hub.client import SocketClosed
from hub.control.outbox import BYTES, MESSAGES
from hub.edge.listener import Limits
from hub.ingest.credit import cost
from hub.wire.codec import encode
from hub.wire.errors import CloseCode
from hub.wire.messages import Command, Reject, Rejection, Row
from hub.wire.session import DeviceSession
from hub.wire.shapes import Presence
from tests.edge.house import House, MemoryStreams, Tank, house, tank
from tests.edge.streams import frame, request
from tests.edge.test_device import ended, never

pytestmark = pytest.mark.trio


def deafen(hub: House) -> None:
    """From now on the device's current link takes nothing of what is sent to it."""
    hub.edge._desk.here["tank-1"]._link._tap._inner.send_all = never  # type: ignore[method-assign]


def after(old: Tank) -> DeviceSession:
    """What the device knows when it comes back with everything settled."""
    session = old.session
    return DeviceSession(session.epoch, session.log, session.through, session.next, session.next)


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


# --- stale ends ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["stuck", "abandoned", "silent"])
async def test_p5_a_stale_close_never_removes_the_session_after_it(
    tmp_path: Path, autojump_clock: MockClock, end: str
) -> None:
    """However the old link ends, and however late: the device stays online, and acks and commands go to the new one."""
    told: list[tuple[str, str]] = []
    async with house(tmp_path) as hub:
        token = await hub.token()
        hub.registry.on_presence.append(lambda presence: told.append((presence["state"], presence["reason"])))
        async with tank(hub, token) as old:
            await old.rows(4)
            stale = hub.edge._desk.here["tank-1"]
            if end == "stuck":
                deafen(hub)
                await old.socket.send(old.row())  # its ack is under way for ever
                await trio.sleep(0.1)
                session = DeviceSession(old.session.epoch, old.session.log, 4, 5, 6)
            else:
                session = after(old)
            async with tank(hub, token, session) as new:
                if end == "abandoned":
                    await old.socket.abandon()
                await trio.sleep(5.0)
                assert hub.edge.statistics()["connections"] == 1  # at once, not when a deadline has passed
                await trio.sleep(60.0)
                assert told == [("online", "hello"), ("online", "taken over")]
                current = hub.edge._desk.here["tank-1"]
                assert current is not stale
                assert hub.registry.outbox("tank-1") is current.outbox
                assert stale.outbox.closed
                assert not current.outbox.closed
                await new.rows(3)
                async with hub.operator("operator") as operator:
                    await operator.send_command("tank-1", "drain", {"percent": 1}, 10.0, wait=False)
                    assert isinstance(await new.hear(), Command)
            await trio.sleep(5.0)
            assert told[-1][0] == "offline"
        assert hub.ingest.credit.links == hub.ingest.credit.granted == 0
        seqs = [kept.seq for kept in hub.kept]
        assert seqs == list(range(1, len(seqs) + 1))


async def test_p5_what_an_old_link_says_late_is_not_kept(tmp_path: Path, autojump_clock: MockClock) -> None:
    """It comes in the very moment in which the new link takes over: too late to be sent, too early to be cancelled."""
    async with house(tmp_path) as hub:
        token = await hub.token()
        async with tank(hub, token) as old:
            await old.rows(2)
            late = [old.row() for _ in range(3)]  # numbered, and under way when the device comes back
            stream = hub.edge._desk.here["tank-1"]._link._tap._inner
            assert isinstance(stream, trio.StapledStream)

            def arrive(presence: Presence) -> None:
                if presence["reason"] == "taken over":
                    stream.receive_stream.put_data(b"".join(map(frame, late)))

            hub.registry.on_presence.append(arrive)
            session = DeviceSession(old.session.epoch, old.session.log, 2, 3, 6)
            async with tank(hub, token, session) as new:
                await wait_all_tasks_blocked()
                assert len(hub.kept) == 2
                for each in late:
                    await new.socket.send(each)
                    new.session.sent(new.session.expected, len(each))
                await new.acked()
                await new.rows(1)
            assert (await ended(old)).code == CloseCode.TAKEN_OVER
        assert [kept.seq for kept in hub.kept] == list(range(1, 7))


# --- peers that do not read ------------------------------------------------------------------------------------------


async def test_a_device_that_does_not_read_costs_no_more_than_its_outbox_and_its_window(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    limits = Limits(send=15.0)
    async with house(tmp_path, limits=limits) as hub, tank(hub, await hub.token()) as device:
        window = device.welcome.window if device.welcome else None
        assert window is not None
        conversation = hub.edge._desk.here["tank-1"]
        deafen(hub)
        advice = Reject(1, (Rejection(0, "range", 0, 1, "x" * 200),) * 32, 32)
        for seq in range(1, window.batches + 1):  # all that it may send; the acks of all of them coalesce
            await device.socket.send(encode(Row(seq, None, [1.0, None])))
            hub.edge.rejected("tank-1", advice)
            conversation.outbox.offer(Command(f"{seq}", "drain", {"text": "x" * 200}, 0))
        await trio.sleep(5.0)
        assert len(hub.kept) == window.batches
        assert len(conversation.outbox) <= MESSAGES
        assert conversation.outbox._bytes <= BYTES
        assert hub.ingest.credit.granted == cost(window)
        assert conversation._session.outstanding.batches <= window.batches
        assert hub.edge.links == 1
        await trio.sleep(limits.send)
        assert hub.edge.links == hub.edge.statistics()["connections"] == 0
        assert hub.ingest.credit.links == hub.ingest.credit.granted == 0
        assert hub.registry.info("tank-1")["state"] == "offline"
        device.socket._torn = True


@pytest.mark.parametrize("cut", [True, False])
async def test_a_link_leaves_nothing_for_the_garbage_collector(
    tmp_path: Path, autojump_clock: MockClock, cut: bool
) -> None:
    """The hub runs it rarely: what links leave in cycles would pile up."""
    async with house(tmp_path) as hub:
        token = await hub.token()
        gc.collect()
        gc.disable()
        try:
            with suppress(SocketClosed):
                async with hub.socket(token) as socket:
                    device = Tank(socket)
                    await device.hello()
                    await device.rows(3)
                    if cut:
                        await socket.abandon()
            await wait_all_tasks_blocked(0.1)
            assert hub.edge.statistics()["connections"] == 0
            of_hub = [each for each in gc.get_objects() if type(each) is FrameProtocol and not each.client]
            assert of_hub == []
        finally:
            gc.enable()
