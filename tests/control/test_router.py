"""Commands on their way: every state of DELIVERY, and that `sent` is durable before anything leaves."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from hub.control.errors import CommandRefused
from hub.control.follower import ControlFollower
from hub.control.outbox import MESSAGES, DeviceOutbox
from hub.state import StateError
from hub.wire.errors import CloseCode
from hub.wire.kept import NOTHING, Kept
from hub.wire.messages import Batch, Cancel, Command, Event, Plain, Reported, Result
from tests.control.making import Room, birth

pytestmark = pytest.mark.trio


@asynccontextmanager
async def routing(room: Room) -> AsyncIterator[None]:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(room.router.run)
        yield
        nursery.cancel_scope.cancel()


async def settle() -> None:
    await trio.testing.wait_all_tasks_blocked()


def says(id: str, state: str, value: Plain = None, seq: int | None = None) -> Result:
    return Result(seq, id, state, value)


async def journaled(
    room: Room, *bodies: Batch, first: int = 1, device: str = "pump-1", received: int | None = None
) -> None:
    """These have come to the control follower; ``received`` now, or before."""
    at = room.clock.at if received is None else received
    follower = ControlFollower(room.state, room.worker, room.clock, room.router)
    await follower.start()
    kepts = [
        Kept(first + n, birth(device), 1, first + n, at, 0, 0, NOTHING, body, 60, 0) for n, body in enumerate(bodies)
    ]
    await follower.take(kepts, kepts[-1].lsn)


async def test_a_command_is_sent_acknowledged_and_succeeds(autojump_clock: MockClock, room: Room) -> None:
    watched: list[str] = []
    async with routing(room):
        outbox = await room.connect()
        info = await room.router.send(
            "pump-1", "spin", {"speed": 20}, 10, "ada", lambda changed: watched.append(changed["state"])
        )
        assert (info["state"], info["args"], info["by"]) == ("queued", {"speed": 20}, "ada")
        await settle()
        assert await outbox.take() == [Command(info["id"], "spin", {"speed": 20}, room.clock.at + 10_000_000)]
        room.router.progress("pump-1", says(info["id"], "acknowledged", "turning"))
        await settle()
        await journaled(room, says(info["id"], "succeeded", {"speed": 20}, seq=1))
    assert room.states(info["id"]) == ["queued", "sent", "acknowledged", "succeeded"]
    assert watched == ["sent", "acknowledged", "succeeded"]
    assert (await room.router.show(info["id"]))["value"] == {"speed": 20}


async def test_commands_sent_is_durable_before_the_command_can_leave(autojump_clock: MockClock, room: Room) -> None:
    async with routing(room):
        outbox = await room.connect()
        before: list[str] = []
        offer = outbox.offer

        class Watched(DeviceOutbox):
            def offer(self, message: Any) -> bool:
                before.append(room.state.commands.get(message.id)["state"])  # type: ignore[index]
                return offer(message)

        room.registry.connected("pump-1", Watched(), birth(), 1, "", 1, 0)
        await room.router.send("pump-1", "stop", {}, 10, "ada")
        await settle()
    assert before == ["sent"]


@pytest.mark.parametrize("leap", [-3600_000_000, 3600_000_000])
async def test_commands_expiry_is_told_by_the_hub_time_of_welcome(
    autojump_clock: MockClock, room: Room, leap: int
) -> None:
    async with routing(room):
        outbox, welcomed = await room.connect(), room.clock.at
        await trio.sleep(5)
        room.clock.at += 5_000_000 + leap  # set under the open link
        await room.router.send("pump-1", "spin", {"speed": 20}, 30, "ada")
        await settle()
        [command] = await outbox.take()
    assert isinstance(command, Command)
    assert command.expiry == welcomed + 35_000_000


async def test_commands_an_absent_device_is_unreachable_at_once(autojump_clock: MockClock, room: Room) -> None:
    outbox = await room.connect()
    room.registry.disconnected("pump-1", outbox, "lost")
    info = await room.router.send("pump-1", "stop", {}, 10, "ada")
    assert info["state"] == "unreachable"
    assert (await room.router.show(info["id"]))["state"] == "unreachable"
    assert room.states(info["id"]) == ["unreachable"]


async def test_commands_no_answer_is_timed_out_and_a_late_one_overwrites(autojump_clock: MockClock, room: Room) -> None:
    async with routing(room):
        outbox = await room.connect()
        info = await room.router.send("pump-1", "stop", {}, 10, "ada")
        await settle()
        await outbox.take()
        room.registry.disconnected("pump-1", outbox, "lost")  # sent is sent: it waits for its deadline
        await trio.sleep(9.9)
        assert room.states(info["id"]) == ["queued", "sent"]
        await trio.sleep(0.2)
        assert room.states(info["id"])[-1] == "timed_out"
        await journaled(room, says(info["id"], "failed", "stuck", seq=4))
    late = await room.router.show(info["id"])
    assert (late["state"], late["late"], late["value"]) == ("failed", True, "stuck")
    assert room.shown[-1] == late


async def test_commands_an_answer_that_came_in_time_is_not_late_however_late_it_is_taken(
    autojump_clock: MockClock, room: Room
) -> None:
    async with routing(room):
        await room.connect()
        info = await room.router.send("pump-1", "stop", {}, 10, "ada")
        await settle()
    received = room.clock.at + 1_000_000  # in the journal, and the hub is killed before it is taken
    room.clock.at += 60_000_000
    room = await room.restart()
    async with routing(room):
        await settle()
        assert room.states(info["id"]) == ["timed_out"]
        await journaled(room, says(info["id"], "succeeded", 1, seq=1), received=received)
    taken = await room.router.show(info["id"])
    assert (taken["state"], taken["late"], taken["changed"]) == ("succeeded", False, room.clock.at)


async def test_commands_no_deadline_falls_due_before_what_had_come_is_taken(
    autojump_clock: MockClock, room: Room
) -> None:
    async with routing(room):
        await room.connect()
        info = await room.router.send("pump-1", "stop", {}, 10, "ada")
        await settle()
    received = room.clock.at + 1_000_000
    room.clock.at += 60_000_000
    room = await room.restart()
    taken = trio.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(room.router.run, taken.wait)
        await settle()
        await journaled(room, says(info["id"], "succeeded", 1, seq=1), received=received)
        taken.set()
        await settle()
        nursery.cancel_scope.cancel()
    assert room.states(info["id"]) == ["succeeded"]


async def test_commands_a_late_answer_is_late_also_where_the_clock_was_set_back(
    autojump_clock: MockClock, room: Room
) -> None:
    async with routing(room):
        await room.connect()
        info = await room.router.send("pump-1", "stop", {}, 10, "ada")
        room.clock.at -= 3600_000_000
        await trio.sleep(11)
        room.clock.at += 11_000_000
        await journaled(room, says(info["id"], "succeeded", 1, seq=1))
    assert (await room.router.show(info["id"]))["late"]


async def test_p12_the_numbered_copy_of_a_result_changes_nothing(autojump_clock: MockClock, room: Room) -> None:
    async with routing(room):
        outbox = await room.connect()
        info = await room.router.send("pump-1", "stop", {}, 10, "ada")
        await settle()
        await outbox.take()
        room.router.progress("pump-1", says(info["id"], "acknowledged"))
        room.router.progress("pump-1", says(info["id"], "succeeded", 1))
        room.router.progress("pump-1", says(info["id"], "acknowledged"))
        await settle()
        shown = len(room.shown)
        await journaled(room, says(info["id"], "succeeded", 1, seq=1))
    assert room.states(info["id"]) == ["queued", "sent", "succeeded"]
    assert len(room.shown) == shown


async def test_a_full_outbox_leaves_it_queued_until_it_expires(autojump_clock: MockClock, room: Room) -> None:
    async with routing(room):
        outbox = await room.connect()
        while outbox.offer(Cancel("x")):
            pass
        first = await room.router.send("pump-1", "stop", {}, 1, "ada")
        second = await room.router.send("pump-1", "stop", {}, 10, "ada")
        await trio.sleep(2)
        assert room.states(first["id"]) == ["queued", "expired"]
        assert len(await outbox.take()) == MESSAGES
        await trio.sleep(1)
        assert room.states(second["id"]) == ["queued", "sent"]
        assert [type(message) for message in await outbox.take()] == [Command]


async def test_commands_go_in_order_and_only_once(autojump_clock: MockClock, room: Room) -> None:
    async with routing(room):
        outbox = await room.connect()
        infos = [await room.router.send("pump-1", "spin", {"speed": n}, 60, "ada") for n in range(40)]
        await trio.sleep(5)
        taken = await outbox.take()
        await trio.sleep(5)
        assert len(outbox) == 0
    assert [message.id for message in taken] == [info["id"] for info in infos]  # type: ignore[union-attr]


async def test_a_queued_command_of_a_device_that_leaves_is_unreachable(autojump_clock: MockClock, room: Room) -> None:
    async with routing(room):
        outbox = await room.connect()
        while outbox.offer(Cancel("x")):
            pass
        info = await room.router.send("pump-1", "stop", {}, 10, "ada")
        await settle()
        room.registry.disconnected("pump-1", outbox, "lost")
        await settle()
    assert room.states(info["id"]) == ["queued", "unreachable"]


async def test_a_link_that_closes_while_sent_is_written_gets_nothing(autojump_clock: MockClock, room: Room) -> None:
    async with routing(room):
        outbox = await room.connect()
        closes = lambda info: info["state"] == "sent" and outbox.close(CloseCode.DRAIN, "")  # noqa: E731
        info = await room.router.send("pump-1", "stop", {}, 10, "ada", closes)
        await settle()
    assert room.states(info["id"]) == ["queued", "sent", "unreachable"]


async def test_after_a_restart_queued_is_unreachable_and_sent_waits(autojump_clock: MockClock, room: Room) -> None:
    async with routing(room):
        outbox = await room.connect()
        sent = await room.router.send("pump-1", "stop", {}, 10, "ada")
        await settle()
        while outbox.offer(Cancel("x")):
            pass
        queued = await room.router.send("pump-1", "stop", {}, 10, "ada")
        await settle()
    room.clock.at += 4_000_000
    room = await room.restart()
    async with routing(room):
        outbox = await room.connect()
        await settle()
        assert room.states(queued["id"]) == ["unreachable"]
        assert len(outbox) == 0  # an id is never sent twice
        await trio.sleep(5.9)
        assert room.states(sent["id"]) == []
        await trio.sleep(0.2)
        assert room.states(sent["id"]) == ["timed_out"]


async def test_commands_a_deadline_over_a_restart_is_no_further_than_it_was(
    autojump_clock: MockClock, room: Room
) -> None:
    async with routing(room):
        await room.connect()
        info = await room.router.send("pump-1", "stop", {}, 10, "ada")
        await settle()
    room.clock.at = 5_000_000  # the machine came up with a clock that was never set
    room = await room.restart()
    async with routing(room):
        await trio.sleep(9.9)
        assert room.states(info["id"]) == []
        await trio.sleep(0.2)
        assert room.states(info["id"]) == ["timed_out"]


async def test_cancelling(autojump_clock: MockClock, room: Room) -> None:
    async with routing(room):
        outbox = await room.connect()
        sent = await room.router.send("pump-1", "stop", {}, 10, "ada")
        await settle()
        await outbox.take()
        assert (await room.router.cancel(sent["id"], "bob"))["state"] == "sent"  # the device has the last word
        assert await outbox.take() == [Cancel(sent["id"])]
        room.router.progress("pump-1", says(sent["id"], "cancelled"))
        await settle()
        with pytest.raises(CommandRefused) as refused:
            await room.router.cancel(sent["id"], "bob")
        assert refused.value.code == "conflict"
        while outbox.offer(Cancel("x")):
            pass
        queued = await room.router.send("pump-1", "stop", {}, 10, "ada")
        assert (await room.router.cancel(queued["id"], "bob"))["state"] == "cancelled"
        with pytest.raises(CommandRefused, match="commands ls"):
            await room.router.cancel("nonsense", "bob")
    assert room.states(sent["id"]) == ["queued", "sent", "cancelled"]
    assert [deed.by for deed in room.state.audit.list() if deed.action == "command.cancel"] == ["bob"] * 3


@pytest.mark.parametrize(
    ("ask", "code", "text"),
    [
        (lambda router: router.send("nobody", "stop", {}, 10, "ada"), "unknown_device", "nobody"),
        (lambda router: router.send("pump-1", "fly", {}, 10, "ada"), "unknown_command", "spin, stop"),
        (lambda router: router.send("pump-1", "spin", {"speed": 101}, 10, "ada"), "bad_argument", "speed"),
        (lambda router: router.send("pump-1", "spin", {"speed": "fast"}, 10, "ada"), "bad_argument", "speed"),
        (lambda router: router.send("pump-1", "stop", {}, 0, "ada"), "bad_argument", "timeout"),
        (lambda router: router.send("pump-1", "stop", {}, float("nan"), "ada"), "bad_argument", "timeout"),
        (lambda router: router.list(states=["gone"]), "bad_argument", "queued"),
        (lambda router: router.show("nonsense"), "unknown", "nonsense"),
    ],
)
async def test_what_cannot_be_asked(
    autojump_clock: MockClock, room: Room, ask: Callable[[Any], Any], code: str, text: str
) -> None:
    await room.connect()
    with pytest.raises(CommandRefused, match=text) as refused:
        await ask(room.router)
    assert refused.value.code == code
    assert await room.router.list() == []


async def test_a_device_has_at_most_so_many_open_commands(autojump_clock: MockClock, room: Room) -> None:
    await room.connect()
    for _ in range(64):
        await room.router.send("pump-1", "stop", {}, 10, "ada")
    with pytest.raises(CommandRefused, match="not over"):
        await room.router.send("pump-1", "stop", {}, 10, "ada")


async def test_words_about_other_commands_are_ignored(autojump_clock: MockClock, room: Room) -> None:
    async with routing(room):
        outbox = await room.connect()
        await room.connect("pump-2")
        info = await room.router.send("pump-1", "stop", {}, 10, "ada")
        await settle()
        await outbox.take()
        room.router.progress("pump-2", says(info["id"], "succeeded"))
        room.router.progress("pump-1", says("nonsense", "succeeded"))
        room.router.progress("pump-1", says(info["id"], "queued"))
        await settle()
        await journaled(room, says(info["id"], "succeeded", seq=1), device="pump-2")
    assert room.router.ignored == 3
    assert room.states(info["id"]) == ["queued", "sent"]


async def test_lists_are_by_glob_and_state(autojump_clock: MockClock, room: Room) -> None:
    async with routing(room):
        await room.connect()
        await room.connect("freezer-1")
        first = await room.router.send("pump-1", "stop", {}, 10, "ada")
        await settle()
        room.clock.at += 1
        second = await room.router.send("freezer-1", "stop", {}, 10, "ada")
        await settle()
        assert [info["id"] for info in await room.router.list()] == [second["id"], first["id"]]
        assert [info["id"] for info in await room.router.list(["pump*"], ["sent"])] == [first["id"]]
        assert await room.router.list(["nobody"]) == []


async def test_a_state_file_that_refuses_is_tried_again_and_nothing_is_lost(
    autojump_clock: MockClock, room: Room
) -> None:
    async with routing(room):
        outbox = await room.connect()
        info = await room.router.send("pump-1", "stop", {}, 1, "ada")
        await settle()
        await outbox.take()
        advance = room.state.commands.advance

        def refuse(changes: Any) -> Any:
            raise StateError("the disk is full")

        room.state.commands.advance = refuse  # type: ignore[method-assign]
        room.router.progress("pump-1", says(info["id"], "succeeded", 7))
        other = await room.router.send("pump-1", "stop", {}, 1, "ada")
        await trio.sleep(3)
        assert room.router.problem is not None
        assert "disk is full" in room.router.problem
        assert len(outbox) == 0
        room.state.commands.advance = advance  # type: ignore[method-assign]
        await trio.sleep(10)
        assert room.router.problem is None
    assert room.states(info["id"]) == ["queued", "sent", "succeeded"]
    assert room.states(other["id"]) == ["queued", "expired"]


async def test_control_writes_reported_properties_and_events_with_its_cursor(
    autojump_clock: MockClock, room: Room
) -> None:
    await room.connect()
    await journaled(room, Reported(1, {"speed": 3}), Event(2, 5, "warning", "hot"), Reported(3, {"speed": None}))
    assert room.state.twins.get("pump-1").reported == {}
    assert [event["text"] for event in room.state.events.list()] == ["hot"]
    assert room.state.cursors.get("control") == 3


async def test_a_watcher_that_left_hears_nothing_more(autojump_clock: MockClock, room: Room) -> None:
    heard: list[str] = []

    def watch(info: Any) -> None:
        heard.append(info["state"])

    async with routing(room):
        await room.connect()
        await room.router.send("pump-1", "stop", {}, 1, "ada", watch)
        await settle()
        room.router.unwatch(watch)
        await trio.sleep(2)
    assert heard == ["sent"]
