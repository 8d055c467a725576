"""The conversation with a device, over real rooms in memory and a clock that jumps."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from hub.client.errors import Refused, SocketClosed
from hub.edge.listener import Limits
from hub.ingest.ingest import Opening
from hub.wire.codec import decode_hub, encode
from hub.wire.errors import CloseCode, RemoteProtocolError
from hub.wire.messages import (
    OPERATOR_PATH,
    Bye,
    Command,
    Declared,
    Dropped,
    Goaway,
    Hello,
    HubMessage,
    Reject,
    Rejection,
    Row,
)
from hub.wire.session import DeviceSession
from tests.control.making import StillClock
from tests.edge.house import METRICS, House, Tank, house, tank

pytestmark = pytest.mark.trio


async def never(_: object) -> None:
    await trio.sleep_forever()


async def ended(tank: Tank) -> SocketClosed:
    """How the hub ended it."""
    try:
        while True:
            await tank.socket.receive()
    except SocketClosed as closed:
        return closed


async def test_rows_are_kept_and_acked(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with house(tmp_path) as hub, tank(hub, await hub.token()) as device:
        await device.rows(500)
        assert device.session.through == 500
        assert [kept.seq for kept in hub.kept] == list(range(1, 501))
        assert hub.registry.info("tank-1")["state"] == "online"
        assert hub.edge.status()["received"] == 1_000


async def test_p4_a_reconnect_goes_on_above_what_is_here(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with house(tmp_path) as hub:
        token = await hub.token()
        async with tank(hub, token) as first:
            await first.rows(10)
            epoch, log = first.session.epoch, first.session.log
        async with tank(hub, token, DeviceSession(epoch, log, 10, 11, 11)) as again:
            await again.rows(5)
        assert [kept.seq for kept in hub.kept] == list(range(1, 16))


async def test_p4_a_device_may_send_again_what_is_here_and_has_no_room_in_welcome(
    tmp_path: Path, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hub.ingest.opening.MAX_HELD", 2)
    async with house(tmp_path) as hub:
        token = await hub.token()
        async with tank(hub, token) as first:
            frames = [first.row() for _ in range(9)]
            for frame in frames:
                await first.socket.send(frame)
            await first.acked()
            epoch, log = first.session.epoch, first.session.log
        numbering = hub.ingest.marks.of("tank-1").current
        assert numbering is not None
        numbering.prefix = 0  # as after damage of every other record
        for seq in (2, 4, 6, 8):
            numbering.settle(seq, seq)
        async with tank(hub, token, DeviceSession(epoch, log, 0, 1, 10)) as again:
            assert again.welcome is not None
            assert again.welcome.held == ((2, 2), (4, 4))
            acks = []
            for seq in (1, 3, 5, 6, 7, 8, 9):
                again.session.sent(seq, len(frames[seq - 1]))
                await again.socket.send(frames[seq - 1])
                await again.hear()
                acks.append(again.session.through)
        assert acks == [2, 4, 5, 6, 7, 8, 9], "no ack covers what the device has neither sent nor been told"
        assert [kept.seq for kept in hub.kept[9:]] == [1, 3, 5, 7, 9]
        assert hub.ingest.duplicates == 2


async def test_p4_a_device_with_very_many_gaps_comes_back_for_a_fresh_epoch(
    tmp_path: Path, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hub.ingest.numbering.MAX_GAPS", 2)
    async with house(tmp_path) as hub:
        token = await hub.token()
        async with tank(hub, token) as first:
            epoch, log = first.session.epoch, first.session.log
            for seq in (1, 3, 5):
                await first.say(Row(seq, None, [1.0, 2.0]))
                await first.say(Dropped(seq + 1, seq + 1, 1, "full"))
            closed = await ended(first)
            assert (closed.code, closed.reason) == (1013, "epoch 1 has too many gaps: say hello again")
        async with tank(hub, token, DeviceSession(epoch, log, 5, 6, 8)) as again:  # it holds 6 and 7
            assert (again.session.epoch, again.session.through) == (2, 0)
            await again.rows(2)
        assert [(kept.epoch, kept.seq) for kept in hub.kept] == [(1, 1), (1, 3), (1, 5), (2, 1), (2, 2)]


async def test_p4_duplicates_are_counted_and_dropped_numbers_are_a_gap(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with house(tmp_path) as hub:
        token = await hub.token()
        async with tank(hub, token) as first:
            await first.rows(3)
            epoch, log = first.session.epoch, first.session.log
        session = DeviceSession(epoch, log, 1, 2, 4)
        async with tank(hub, token, session) as again:
            assert again.welcome is not None
            assert again.welcome.through == 3
            await again.say(Dropped(4, 6, 6, "spool full"))
            await again.socket.send(encode(Row(7, None, [1.0, 2.0])))
            session.next = 8
            await again.acked()
        assert [kept.seq for kept in hub.kept] == [1, 2, 3, 7]


async def test_bye_ends_with_1000(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with house(tmp_path) as hub, tank(hub, await hub.token()) as device:
        await device.socket.send(device.row())
        await device.say(Bye("off"))
        closed = await ended(device)
        assert closed.code == CloseCode.NORMAL
        await trio.sleep(1)  # the journal's group
        assert len(hub.kept) == 1
        assert hub.registry.info("tank-1")["state"] == "offline"


async def test_commands_a_clock_that_is_set_under_an_open_link_moves_no_deadline(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    clock = StillClock()
    async with house(tmp_path, clock=clock) as hub, tank(hub, await hub.token()) as device:
        assert device.welcome is not None
        clock.at -= 3600_000_000
        await hub.rooms.router.send("tank-1", "drain", {"percent": 5}, 30, "ada")
        command = await device.hear()
        assert isinstance(command, Command)
        assert 30_000_000 <= command.expiry - device.welcome.time < 31_000_000


def hello(**changed: object) -> Hello:
    fields: dict[str, object] = {
        "model": "tank", "epoch": None, "log": None, "acked": 0, "first": 1, "next": 1, "metrics": METRICS,
        "time": None, "uptime": None, "software": "test", "token": None,
    }  # fmt: skip
    return Hello(**{**fields, **changed})  # type: ignore[arg-type]


async def jump(device: Tank) -> None:
    await device.say(Row(7, None, [1.0, 2.0]))


async def text(device: Tank) -> None:
    await device.socket._link.send_message("text")


async def garbled(device: Tank) -> None:
    await device.socket.send(b"\xff\xff")


async def unknown(device: Tank) -> None:
    await device.socket.send(b"\x82\x18\x63\x01")


async def hello_again(device: Tank) -> None:
    await device.say(hello())


async def oversized(device: Tank) -> None:
    await device.socket.send(bytes(65_537))


@pytest.mark.parametrize(
    ("offence", "code"),
    [
        (jump, CloseCode.SEQ_JUMP),
        (text, CloseCode.TEXT),
        (garbled, CloseCode.GARBLED),
        (unknown, CloseCode.PROTOCOL),
        (hello_again, CloseCode.PROTOCOL),
        (oversized, CloseCode.TOO_BIG),
    ],
)
async def test_offences_are_told_by_their_code(
    tmp_path: Path, autojump_clock: MockClock, offence: Callable[[Tank], Awaitable[None]], code: CloseCode
) -> None:
    async with house(tmp_path) as hub, tank(hub, await hub.token()) as device:
        await device.rows(3)
        await offence(device)
        closed = await ended(device)
        assert closed.code == code
        assert closed.reason
        await wait_all_tasks_blocked()
        assert len(hub.kept) == 3


async def test_ledger_refused_frames_are_counted_by_their_code(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with house(tmp_path) as hub:
        offences = (jump, garbled, garbled, oversized, text)
        for number, offence in enumerate(offences):
            async with tank(hub, await hub.token(f"tank-{number}")) as device:
                await device.rows(1)
                await offence(device)
                await ended(device)
        await wait_all_tasks_blocked()
        assert hub.edge.status()["refused"] == {"1003": 1, "1007": 2, "1009": 1, "4009": 1}
        assert hub.edge.statistics()["refused_1007"] == 2
        assert hub.edge.status()["duplicate"] == 0
        assert hub.ingest.frames == len(offences)


async def test_a_frame_as_large_as_welcome_says_is_taken_and_no_larger_one(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    def frame(seq: int, size: int) -> bytes:
        made = encode(Row(seq, None, ["x" * (size - 9), None]))
        assert len(made) == size
        return made

    async with house(tmp_path) as hub, tank(hub, await hub.token()) as device:
        assert device.welcome is not None
        largest = device.welcome.frame
        device.session.next = 2
        device.session.sent(1, largest)
        await device.socket.send(frame(1, largest))
        await device.acked()
        await device.socket.send(frame(2, largest + 1))
        assert (await ended(device)).code == CloseCode.TOO_BIG


async def test_who_overruns_the_window_is_closed_1008(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with house(tmp_path) as hub, tank(hub, await hub.token()) as device:
        hub.edge.acked = lambda *_: None  # type: ignore[method-assign]  # no ack
        batches = device.welcome.window.batches if device.welcome else 0
        await trio.sleep(1)
        async with trio.open_nursery() as nursery:

            async def overrun() -> None:
                with suppress(SocketClosed):
                    for seq in range(1, batches + 100):
                        await device.say(Row(seq, None, [1.0, None]))

            nursery.start_soon(overrun)
            assert (await ended(device)).code == CloseCode.POLICY
        await trio.sleep(1)
        assert len(hub.kept) == batches


async def test_a_wrong_first_word_is_1002(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with house(tmp_path) as hub, hub.socket(await hub.token()) as socket:
        await socket.send(encode(Row(1, None, [1.0])))
        with pytest.raises(SocketClosed) as closed:
            await socket.receive()
        assert closed.value.code == CloseCode.PROTOCOL


async def test_no_hello_is_4008(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with house(tmp_path) as hub, hub.socket(await hub.token()) as socket:
        with pytest.raises(SocketClosed) as closed:
            await socket.receive()
        assert closed.value.code == CloseCode.HELLO_LATE


@pytest.mark.parametrize(
    ("said", "code"),
    [
        (hello(model="kettle"), CloseCode.MODEL_REFUSED),
        (hello(metrics=(Declared("level", "ft", "float64"),)), CloseCode.MODEL_REFUSED),
    ],
)
async def test_unknown_models_and_units_are_4004(
    tmp_path: Path, autojump_clock: MockClock, said: Hello, code: CloseCode
) -> None:
    async with house(tmp_path) as hub, hub.socket(await hub.token()) as socket:
        await socket.send(encode(said))
        with pytest.raises(SocketClosed) as closed:
            await socket.receive()
        assert closed.value.code == code
        assert "kettle" in closed.value.reason or "level" in closed.value.reason


# --- who may ---------------------------------------------------------------------------------------------------------


async def test_credentials_in_the_header(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with house(tmp_path) as hub:
        device = await hub.token()
        viewer = await hub.registry.create_token("viewer", "wall", "test")
        for token, path, status in [
            ("nobody", "/v1/device", 401),
            ("nobody", OPERATOR_PATH, 401),
            (None, OPERATOR_PATH, 401),
            (viewer, "/v1/device", 403),
            (device, OPERATOR_PATH, 403),
            (device, "/v2/device", 404),
        ]:
            with pytest.raises(Refused) as refused:
                async with hub.socket(token, path):
                    raise AssertionError
            assert refused.value.status == status


async def test_credentials_in_hello(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with house(tmp_path) as hub:
        good = await hub.token()
        viewer = await hub.registry.create_token("viewer", "wall", "test")
        for token, code in [(None, 3000), ("nobody", 3000), (viewer, 3003)]:
            async with hub.socket(None) as socket:
                await socket.send(encode(hello(token=token)))
                with pytest.raises(SocketClosed) as closed:
                    await socket.receive()
                assert closed.value.code == code
        async with hub.socket(None) as socket:
            assert (await Tank(socket).hello(good)).epoch == 1


async def test_a_revoked_device_is_dropped_at_once(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with house(tmp_path) as hub, tank(hub, await hub.token()) as device:
        began = trio.current_time()
        await hub.registry.revoke("tank-1", "test")
        assert (await ended(device)).code == CloseCode.REVOKED
        assert trio.current_time() - began < 1.0
        with pytest.raises(Refused):
            async with hub.socket(device.session.log):
                raise AssertionError


async def test_a_revoked_device_that_reads_nothing_is_dropped_within_a_second(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with house(tmp_path) as hub, tank(hub, await hub.token()) as device:
        conversation = hub.edge._desk.here["tank-1"]
        conversation._link._tap._inner.send_all = never  # type: ignore[method-assign]
        await device.socket.send(device.row())
        await trio.sleep(0.1)  # its ack is on its way, for ever
        await hub.registry.revoke("tank-1", "test")
        await trio.sleep(1.0)
        assert hub.edge.links == 0
        assert hub.edge.statistics()["connections"] == 0


async def test_p5_another_link_takes_over(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with house(tmp_path) as hub:
        token = await hub.token()
        async with tank(hub, token) as old:
            await old.rows(4)
            epoch, log = old.session.epoch, old.session.log
            async with tank(hub, token, DeviceSession(epoch, log, 4, 5, 5)) as new:
                assert (await ended(old)).code == CloseCode.TAKEN_OVER
                await new.rows(4)
                assert hub.registry.info("tank-1")["state"] == "online"
        assert [kept.seq for kept in hub.kept] == list(range(1, 9))


async def test_p5_a_hello_that_comes_late_takes_nothing_over(tmp_path: Path, autojump_clock: MockClock) -> None:
    """The device has given that link up and dialled anew; what it said on it was still on its way."""
    async with house(tmp_path) as hub:
        token = await hub.token()
        async with hub.socket(token) as given_up, tank(hub, token) as new:
            await new.rows(4)
            await given_up.send(encode(hello()))
            with pytest.raises(SocketClosed) as closed:
                await given_up.receive()
            assert closed.value.code == CloseCode.TAKEN_OVER
            await new.rows(4)
            assert new.session.epoch == 1
        assert [kept.seq for kept in hub.kept] == list(range(1, 9))


@pytest.mark.parametrize(("flaps", "pause"), [(15, 300.0), (3, 20.0)])
async def test_flapping_devices_are_paused(tmp_path: Path, autojump_clock: MockClock, flaps: int, pause: float) -> None:
    async with house(tmp_path, limits=Limits(flaps=flaps, flap_pause=pause)) as hub:
        token = await hub.token()
        for _ in range(flaps):
            async with tank(hub, token):
                pass
        async with hub.socket(token) as socket:
            await socket.send(encode(hello()))
            goaway = decode_hub(await socket.receive())
            assert isinstance(goaway, Goaway)
            assert goaway.retry_after == pause
            with pytest.raises(SocketClosed) as closed:
                await socket.receive()
            assert closed.value.code == CloseCode.FLAPPING
        await trio.sleep(pause + 1)
        async with tank(hub, token):
            pass


async def test_a_device_that_the_hub_has_no_room_for_does_not_flap(tmp_path: Path, autojump_clock: MockClock) -> None:
    """However often it is sent away with 1013 before it is welcomed."""

    def full(device: str, said: Hello) -> Opening:
        raise RemoteProtocolError(CloseCode.OVERLOAD, "no room")

    async with house(tmp_path) as hub:
        token, ingest_open = await hub.token(), hub.ingest.open
        hub.ingest.open = full  # type: ignore[method-assign]
        for _ in range(20):
            async with hub.socket(token) as socket:
                await socket.send(encode(hello()))
                assert isinstance(decode_hub(await socket.receive()), Goaway)
                with pytest.raises(SocketClosed) as closed:
                    await socket.receive()
                assert closed.value.code == CloseCode.OVERLOAD
        hub.ingest.open = ingest_open  # type: ignore[method-assign]
        async with tank(hub, token) as device:
            await device.rows(1)


# --- silence, and the end --------------------------------------------------------------------------------------------


async def test_a_silent_device_that_answers_pings_stays(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with house(tmp_path) as hub, tank(hub, await hub.token()) as device:
        await trio.sleep(600)
        await device.rows(1)


async def test_a_device_that_answers_no_pings_is_let_go(tmp_path: Path, autojump_clock: MockClock) -> None:
    """It answers the first ping, 20 s after its last word, and no other: 50 s after that answer it is gone."""
    gone = trio.Event()
    async with house(tmp_path) as hub, tank(hub, await hub.token()) as device:
        await wait_all_tasks_blocked()  # its reader waits for what comes next, and will answer that
        began = trio.current_time()
        hub.registry.on_presence.append(lambda _: gone.set())
        device.socket._stream.receive_some = trio.sleep_forever  # type: ignore
        await gone.wait()
        assert 69 < trio.current_time() - began < 74
        assert hub.registry.info("tank-1")["state"] == "offline"
        device.socket._torn = True


async def test_a_drained_hub_says_goaway_and_1012(tmp_path: Path, autojump_clock: MockClock) -> None:
    hub: House
    async with house(tmp_path) as hub, tank(hub, await hub.token()) as device:
        await device.rows(2)
        hub.edge.drain()
        assert isinstance(await device.hear(), Goaway)
        assert (await ended(device)).code == CloseCode.DRAIN


async def test_a_device_that_says_hello_after_the_drain_began_is_sent_away_with_goaway_and_1012(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with house(tmp_path) as hub:
        token = await hub.token()
        async with hub.socket(token) as socket, tank(hub, await hub.token("tank-2")):
            hub.edge.drain()
            began = trio.current_time()
            await socket.send(encode(hello()))
            told = decode_hub(await socket.receive())
            assert isinstance(told, Goaway)
            assert told.retry_after > 2.0, "another time than the one before it"
            with pytest.raises(SocketClosed) as closed:
                await socket.receive()
            assert closed.value.code == CloseCode.DRAIN
            assert trio.current_time() - began < 1.0
        assert hub.registry.info("tank-1")["state"] == "never"


async def test_a_drained_hub_acks_what_is_under_way_and_spreads_its_devices(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    waits: list[float] = []
    async with house(tmp_path, limits=Limits(dials_per_second=10.0)) as hub, trio.open_nursery() as nursery:

        async def leave(name: str) -> None:
            async with tank(hub, await hub.token(name)) as device:
                for _ in range(20):
                    await device.socket.send(device.row())
                ready.release()
                heard: list[HubMessage] = []
                with pytest.raises(SocketClosed) as closed:
                    await listen(device, heard)
                assert closed.value.code == CloseCode.DRAIN
                assert device.session.through == 21
                waits.extend(each.retry_after for each in heard if isinstance(each, Goaway))

        async def listen(device: Tank, heard: list[HubMessage]) -> None:
            while True:
                heard.append(await device.hear())
                if isinstance(heard[-1], Goaway):  # a frame that crosses it on the way is acked too
                    await device.socket.send(device.row())

        ready = trio.Semaphore(0)
        for number in range(5):
            nursery.start_soon(leave, f"tank-{number}")
        for _ in range(5):
            await ready.acquire()
        began = trio.current_time()
        hub.edge.drain()
        while hub.edge.links:  # noqa: ASYNC110
            await trio.sleep(0.01)
        assert trio.current_time() - began < 2.0, "nobody waits for the deadline when all is acked"
    assert sorted(waits) == pytest.approx([2.0, 2.1, 2.2, 2.3, 2.4])


async def test_a_device_that_never_stops_does_not_hold_up_the_drain(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with house(tmp_path) as hub, tank(hub, await hub.token()) as device:
        conversation = hub.edge._desk.here["tank-1"]
        conversation.settled = lambda through: None  # type: ignore[method-assign]  # its acks do not get through
        await device.socket.send(device.row())
        await wait_all_tasks_blocked()
        began = trio.current_time()
        hub.edge.drain()
        assert isinstance(await device.hear(), Goaway)
        assert (await ended(device)).code == CloseCode.DRAIN
        assert 1.9 < trio.current_time() - began < 3.0


async def test_all_links_taken_is_503(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with house(tmp_path, limits=Limits(links=1)) as hub, tank(hub, await hub.token("one")):
        other = await hub.token("two")
        with pytest.raises(Refused) as refused:
            async with hub.socket(other):
                raise AssertionError
        assert refused.value.status == 503


# --- what the hub says ------------------------------------------------------------------------------------------------


async def test_p7_reject_is_advice_and_acks_name_the_prefix(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with house(tmp_path) as hub, tank(hub, await hub.token()) as device:
        hub.edge.rejected("tank-1", Reject(1, (Rejection(0, "out_of_range", 0, 1, "11 is above 10"),), 1))
        hub.edge.rejected("nobody", Reject(1, (), 0))
        assert isinstance(await device.hear(), Reject)
        await device.rows(2)
        hub.edge.acked("tank-1", device.session.epoch or 0, 1)  # an old ack is not said again
        hub.edge.acked("tank-1", 99, 5)
        await device.rows(1)
        assert device.session.through == 3


async def test_p2_welcome_leaves_when_its_records_are_durable(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with house(tmp_path) as hub:
        token = await hub.token()
        waited: list[int] = []
        wait_durable = hub.journal.wait_durable

        async def watch(lsn: int) -> None:
            waited.append(lsn)
            await wait_durable(lsn)

        hub.journal.wait_durable = watch  # type: ignore[method-assign]
        async with tank(hub, token):
            assert waited
            assert hub.journal.durable >= waited[0]


async def test_a_journal_that_does_not_get_durable_is_goaway_and_1013(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with house(tmp_path) as hub, hub.socket(await hub.token()) as socket:
        hub.journal.wait_durable = never  # type: ignore[method-assign]
        await socket.send(encode(hello()))
        assert isinstance(decode_hub(await socket.receive()), Goaway)
        with pytest.raises(SocketClosed) as closed:
            await socket.receive()
        assert closed.value.code == CloseCode.OVERLOAD
