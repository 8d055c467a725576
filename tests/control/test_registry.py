"""Devices, tokens, labels and presence."""

import pytest
import trio

from hub.control.errors import RegistryRefused
from hub.control.outbox import Closing, DeviceOutbox
from hub.control.tokens import Principal
from hub.wire.errors import CloseCode
from tests.control.making import METRICS, Room, birth

pytestmark = pytest.mark.trio


async def test_an_enrolled_device_is_known_by_its_token_also_after_a_restart(room: Room) -> None:
    token = await room.registry.enroll("pump-1", {"hall": "2"}, "ada")
    assert room.registry.authenticate(token) == Principal("device", "pump-1")
    room = await room.restart()
    assert room.registry.authenticate(token) == Principal("device", "pump-1")
    assert room.registry.info("pump-1")["labels"] == {"hall": "2"}
    assert room.registry.info("pump-1")["state"] == "never"


@pytest.mark.parametrize("token", ["", "x", "tlm_" + "A" * 43, "\ud800", "é" * 100, "x" * 100_000])
async def test_what_nobody_was_given_is_nobody(room: Room, token: str) -> None:
    await room.registry.enroll("pump-1", {}, "ada")
    assert room.registry.authenticate(token) is None


async def test_tokens_are_kept_as_hashes_only(room: Room) -> None:
    token = await room.registry.enroll("pump-1", {}, "ada")
    room.state.close()
    assert len(token) > 43
    assert all(token[4:].encode() not in file.read_bytes() for file in room.path.parent.iterdir())


async def test_enrolling_again_replaces_the_token_and_leaves_the_link(room: Room) -> None:
    first = await room.registry.enroll("pump-1", {"hall": "2"}, "ada")
    outbox = await room.connect()
    second = await room.registry.enroll("pump-1", {"row": "b"}, "ada")
    assert room.registry.authenticate(first) is None
    assert room.registry.authenticate(second) is not None
    assert not outbox.closed
    assert room.registry.info("pump-1")["labels"] == {"hall": "2", "row": "b"}
    room = await room.restart()
    assert room.registry.authenticate(first) is None


async def test_a_revoked_device_is_out_at_once(room: Room) -> None:
    token = await room.registry.enroll("pump-1", {}, "ada")
    outbox = await room.connect()
    await room.registry.revoke("pump-1", "ada")
    assert room.registry.authenticate(token) is None
    with pytest.raises(Closing) as closing:
        await outbox.take()
    assert closing.value.code is CloseCode.REVOKED
    room.registry.disconnected("pump-1", outbox, "revoked")
    assert room.registry.info("pump-1")["state"] == "revoked"
    room = await room.restart()
    assert room.registry.authenticate(token) is None
    assert room.registry.info("pump-1")["state"] == "revoked"
    again = await room.registry.enroll("pump-1", {}, "ada")
    assert room.registry.authenticate(again) is not None
    assert room.registry.info("pump-1")["state"] == "offline"


async def test_who_is_revoked_while_saying_hello_does_not_get_in(room: Room) -> None:
    await room.registry.enroll("pump-1", {}, "ada")
    await room.registry.revoke("pump-1", "ada")
    outbox = await room.connect()
    assert outbox.closed
    assert room.registry.outbox("pump-1") is None


async def test_a_takeover_gives_back_the_link_that_was_there(room: Room) -> None:
    old = await room.connect()
    new = DeviceOutbox()
    assert room.registry.connected("pump-1", new, birth(), 1, "10.0.0.8", 1, 0) is old
    room.registry.disconnected("pump-1", old, "taken over")  # too late: it is not the current one
    assert room.registry.outbox("pump-1") is new
    assert room.registry.online == 1
    room.registry.disconnected("pump-1", new, "bye")
    assert room.registry.info("pump-1")["state"] == "offline"
    assert room.registry.online == 0
    assert [(told["state"], told["reason"]) for told in room.told] == [
        ("never", "enrolled"), ("online", "hello"), ("online", "taken over"), ("offline", "bye"),
    ]  # fmt: skip


async def test_presence_lasts(room: Room, autojump_clock: trio.testing.MockClock) -> None:
    outbox = await room.connect(epoch=4, next=31, through=9)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(room.registry.run)
        await trio.sleep(2)
        room.clock.at += 5_000_000
        room.registry.disconnected("pump-1", outbox, "lost")
        await trio.sleep(2)
        nursery.cancel_scope.cancel()
    room = await room.restart()
    info = room.registry.info("pump-1")
    assert (info["state"], info["model"], info["last_seen"]) == ("offline", "pump", room.clock.at)
    assert room.registry.metrics("pump-1") == METRICS
    assert room.registry.position("pump-1") == (4, 9)
    assert room.registry.next("pump-1") == (4, 31), "what it has to send waits, also while it is away"


async def test_time_a_devices_clock_is_told_beside_the_hubs(room: Room) -> None:
    for said, told in ((room.clock.at - 3_000_000, -3_000_000), (room.clock.at + 5, 5), (None, None)):
        outbox = await room.connect()
        room.registry.connected("pump-1", outbox, birth(), 1, "10.0.0.9", 1, 0, time=said)
        assert room.registry.info("pump-1")["clock_offset"] == told
    room.registry.disconnected("pump-1", outbox, "lost")
    assert room.registry.info("pump-1")["clock_offset"] is None


async def test_waiting_goes_down_as_batches_settle(room: Room) -> None:
    await room.connect(next=101, through=40)
    assert room.registry.info("pump-1")["waiting"] == 60
    room.registry.settled("pump-1", 90)
    assert room.registry.info("pump-1")["waiting"] == 10
    await room.connect(next=101, through=90, epoch=2)  # it numbers the ten from 1
    assert room.registry.info("pump-1")["waiting"] == 10
    room.registry.settled("pump-1", 12)
    assert room.registry.info("pump-1")["waiting"] == 0


async def test_waiting_in_a_fresh_epoch_counts_what_the_device_numbers_from_one(room: Room) -> None:
    await room.connect(epoch=1)
    await room.connect(epoch=2, first=31, next=101, through=40, held=((51, 60), (99, 100)))
    assert room.registry.info("pump-1")["waiting"] == 48
    assert room.registry.next("pump-1") == (2, 49)
    room.registry.settled("pump-1", 48)
    assert room.registry.info("pump-1")["waiting"] == 0
    await room.connect(epoch=3, first=301, next=401)  # hello named no epoch
    assert room.registry.info("pump-1")["waiting"] == 100


async def test_a_device_that_catches_up_shows_how_long_it_will_take(room: Room) -> None:
    await room.connect(next=1_001, through=200)
    assert room.registry.info("pump-1")["catch_up"] is None  # nothing is known of its pace
    room.clock.at += 10_000_000
    room.registry.settled("pump-1", 400)
    assert room.registry.info("pump-1")["waiting"] == 600
    assert room.registry.info("pump-1")["catch_up"] == 30.0
    room.clock.at += 10_000_000
    assert room.registry.info("pump-1")["catch_up"] == 60.0  # it has come to a stop
    room.registry.settled("pump-1", 1_000)
    assert room.registry.info("pump-1")["waiting"] == 0
    assert room.registry.info("pump-1")["catch_up"] is None
    room.registry.settled("pump-1", 1_100)
    assert room.registry.info("pump-1")["waiting"] == 0


async def test_devices_are_found_by_globs_and_labels(room: Room) -> None:
    for name, hall in (("pump-1", "a"), ("pump-2", "b"), ("freezer-1", "a")):
        await room.registry.enroll(name, {"hall": hall}, "ada")
    assert room.registry.resolve() == ["freezer-1", "pump-1", "pump-2"]
    assert room.registry.resolve(["pump-*"]) == ["pump-1", "pump-2"]
    assert room.registry.resolve(["pump-2", "nobody", "f*"]) == ["freezer-1", "pump-2"]
    assert room.registry.resolve(["nobody"]) == []
    assert room.registry.resolve(labels={"hall": "a"}) == ["freezer-1", "pump-1"]
    assert [info["device"] for info in room.registry.list(["pump-*"], {"hall": "b"})] == ["pump-2"]


async def test_labels_are_put_and_taken_away(room: Room) -> None:
    await room.registry.enroll("pump-1", {"hall": "a"}, "ada")
    info = await room.registry.label("pump-1", {"hall": None, "row": "7"}, "ada")
    assert info["labels"] == {"row": "7"}
    assert (await room.restart()).registry.info("pump-1")["labels"] == {"row": "7"}


@pytest.mark.parametrize("name", ["", ".", "-a", "a b", "a/b", "x" * 65, "é", "a\n"])
async def test_names_that_some_store_or_file_could_not_bear(room: Room, name: str) -> None:
    with pytest.raises(RegistryRefused) as refused:
        await room.registry.enroll(name, {}, "ada")
    assert refused.value.code == "bad_argument"


async def test_unknown_devices_and_roles_are_refused(room: Room) -> None:
    with pytest.raises(RegistryRefused) as refused:
        await room.registry.revoke("nobody", "ada")
    assert refused.value.code == "unknown_device"
    with pytest.raises(RegistryRefused, match="viewer"):
        await room.registry.create_token("king", "arthur", "ada")
    token = await room.registry.create_token("viewer", "wall", "ada")
    assert room.registry.authenticate(token) == Principal("viewer", "wall")


async def test_who_did_what_is_on_record(room: Room) -> None:
    await room.registry.enroll("pump-1", {}, "ada")
    await room.registry.revoke("pump-1", "bob")
    assert [(deed.by, deed.action, deed.subject) for deed in room.state.audit.list()] == [
        ("bob", "device.revoke", "pump-1"), ("ada", "device.enroll", "pump-1"),
    ]  # fmt: skip


async def test_p5_what_a_device_did_and_must_not_do_is_on_record(room: Room) -> None:
    await room.registry.enroll("pump-1", {}, "ada")
    room.registry.note("pump-1", "device.seq_conflict", "seq 7")
    await room.registry.flush()
    await room.registry.flush()
    deed, _ = room.state.audit.list()
    assert (deed.by, deed.action, deed.subject, deed.detail) == ("pump-1", "device.seq_conflict", "pump-1", "seq 7")


async def test_what_is_settled_goes_on_over_what_welcome_said_is_held(room: Room) -> None:
    await room.connect(next=20, through=4, held=((6, 8), (10, 12)))
    assert room.registry.position("pump-1") == (1, 4)
    assert room.registry.position("pump-1", 5) == (1, 8)
    assert room.registry.position("pump-1", 9) == (1, 12)
    await room.connect(next=20, through=4, held=((6, 8),), epoch=2)
    assert room.registry.position("pump-1", 5) == (2, 5), "in a fresh epoch nothing is held"
