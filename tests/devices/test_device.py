"""One device against a hub's end in memory: what it sends, in which order, after which mishap."""

from itertools import pairwise
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from devices.disk import DiskSpool
from hub.ports import InlineWorker
from hub.wire.messages import (
    Bye,
    Cancel,
    Command,
    Desired,
    DeviceMessage,
    Dropped,
    Event,
    Reported,
    Result,
    Row,
    Window,
)
from tests.devices.conftest import switched_on
from tests.devices.hubend import Close, HubEnd, TrioClock
from tests.simulation.files import SimulatedFiles

pytestmark = pytest.mark.trio


def rows(count: int) -> list[float]:
    return [float(number) for number in range(1, count + 1)]


async def test_rows_arrive_and_are_settled(autojump_clock: MockClock, hub: HubEnd) -> None:
    async with switched_on(hub) as on:
        await trio.sleep(10.5)
        assert hub.account().values() == rows(11)
        assert on.figures.acked == on.figures.sent == 11
        assert len(on.spool) == 0
        assert on.figures.acks.percentile(0.99) < 0.01


async def test_the_first_word_reports_the_properties(autojump_clock: MockClock, hub: HubEnd) -> None:
    async with switched_on(hub):
        await trio.sleep(0.5)
    assert isinstance(hub.account().kept[1, 1], Reported)


async def test_p1_p3_a_device_with_memory_only_asks_for_an_epoch_at_each_boot(
    autojump_clock: MockClock, hub: HubEnd
) -> None:
    for boot in (1, 2):
        async with switched_on(hub):
            await trio.sleep(2.5)
        hello = hub.account().hellos[-1]
        assert (hello.epoch, hello.log) == (None, None)
        assert hub.account().epoch == boot


async def test_p4_after_a_cut_it_resends_in_order_and_names_its_epoch(autojump_clock: MockClock, hub: HubEnd) -> None:
    hub.acking = False
    async with switched_on(hub) as on:
        await trio.sleep(5.5)
        hub.cut()
        hub.account().here.remove(4, 1_000)  # the hub died before these were durable
        hub.account().kept = {key: batch for key, batch in hub.account().kept.items() if key[1] < 4}
        hub.acking = True
        await trio.sleep(5)
        hello = hub.account().hellos[1]
        assert (hello.epoch, hello.log, hello.acked, hello.first) == (1, "log-a", 0, 1)
        assert hub.account().values() == rows(11)
        assert on.figures.reconnects == 1
        assert on.figures.acked == on.figures.produced == 11


async def test_rows_made_while_the_hub_is_away_come_later_with_their_own_time(
    autojump_clock: MockClock, hub: HubEnd
) -> None:
    hub.down = True
    async with switched_on(hub) as on:
        await trio.sleep(30.5)
        assert on.figures.produced == 31
        hub.down = False
        await trio.sleep(60)
        assert on.linkage.trouble is None
        kept = [batch for batch in hub.account().kept.values() if isinstance(batch, Row)]
        assert [row.values[0] for row in kept[:31]] == rows(31)
        assert all(after.time - before.time == 1_000_000 for before, after in pairwise(kept))


async def test_it_never_sends_beyond_the_window(autojump_clock: MockClock, hub: HubEnd) -> None:
    hub.window, hub.acking = Window(3, 1 << 20), False
    async with switched_on(hub) as on:
        await trio.sleep(20.3)
        assert hub.account().most == 3
        assert len(hub.account().kept) == 3
        hub.acking = True
        await hub.acknowledge()
        await trio.sleep(1)
        assert hub.account().values() == rows(on.source.count)
        assert hub.account().most == 3


async def test_a_closed_window_counts_into_the_latency_of_acks(autojump_clock: MockClock, hub: HubEnd) -> None:
    hub.window, hub.acking = Window(1, 1 << 20), False
    async with switched_on(hub) as on:
        await trio.sleep(10)
        hub.acking = True
        await hub.acknowledge()
        await trio.sleep(0.5)
        assert 8.0 < on.figures.acks.percentile(0.99) < 11.0  # from when it was meant to go, not from when it went


async def test_p2_another_log_renumbers_what_is_held_from_one(autojump_clock: MockClock, hub: HubEnd) -> None:
    async with switched_on(hub) as on:
        await trio.sleep(5.5)
        hub.acking = False
        await trio.sleep(3)
        hub.cut()
        hub.log, hub.acking = "log-b", True
        await trio.sleep(5)
        account = hub.account()
        assert (account.hellos[1].epoch, account.hellos[1].log) == (1, "log-a")
        assert account.epoch == 2
        moved = [batch for (epoch, _), batch in account.kept.items() if epoch == 2]
        assert [batch.seq for batch in moved] == list(range(1, len(moved) + 1))
        assert {row.values[0] for row in moved if isinstance(row, Row)} >= {7.0, 8.0, 9.0}
        assert (on.spool.epoch, on.spool.log) == (2, "log-b")


async def test_p2_what_the_hub_holds_is_not_sent_again(autojump_clock: MockClock, hub: HubEnd) -> None:
    hub.acking = False
    async with switched_on(hub) as on:
        await trio.sleep(6.5)
        hub.cut()
        account = hub.account()
        account.here.remove(2, 3)  # lost at the hub: 1 and 4 to 8 are here
        lost = [account.kept.pop((1, seq)) for seq in (2, 3)]
        account.heard.clear()
        hub.acking = True
        await trio.sleep(3)
        assert [account.kept[1, seq] for seq in (2, 3)] == lost
        assert [message.seq for message in account.heard[:3] if isinstance(message, Row)][:2] == [2, 3]
        assert min(message.seq for message in account.heard[2:] if isinstance(message, Row)) == 9
        assert account.values() == rows(on.source.count)


async def test_full_memory_drops_the_oldest_and_says_so(autojump_clock: MockClock, hub: HubEnd) -> None:
    hub.down = True
    async with switched_on(hub, memory=10_000) as on:
        await trio.sleep(100.5)
        hub.down = False
        await trio.sleep(70)
        account = hub.account()
        epoch, dropped = account.gaps[0]
        assert (epoch, dropped.first, dropped.reason) == (1, 1, "memory full")
        assert dropped.readings is not None
        assert account.gaps[1:] == []
        assert account.values() == rows(on.source.count)[dropped.readings :]
        assert on.spool.dropped == dropped.readings
        assert on.figures.produced == on.figures.acked + on.spool.dropped


async def test_p4_overflow_behind_a_closed_window_never_declares_what_was_sent(
    autojump_clock: MockClock, hub: HubEnd
) -> None:
    hub.window, hub.acking = Window(5, 1 << 20), False
    async with switched_on(hub, memory=5_000) as on:
        await trio.sleep(60.5)
        hub.acking = True
        await hub.acknowledge()
        await trio.sleep(2)
        account = hub.account()
        assert [hub.sessions["dev-01"].state.name] == ["OPEN"]
        assert len(account.hellos) == 1
        sent = {batch.values[0] for batch in account.kept.values() if isinstance(batch, Row)}
        dropped = sum(gap.readings or 0 for _, gap in account.gaps)
        assert len(sent) + dropped == on.source.count
        assert account.gaps[0][1].first == 6


@pytest.mark.parametrize("code", [1002, 1007, 1009])
async def test_p11_the_batch_that_closes_the_link_twice_is_set_aside(
    autojump_clock: MockClock, hub: HubEnd, code: int
) -> None:
    def refuse(end: HubEnd, name: str, message: DeviceMessage) -> None:
        if isinstance(message, Row) and message.values[0] == 5.0:
            raise Close(code)

    hub.hook = refuse
    async with switched_on(hub) as on:
        await trio.sleep(20.5)
        account = hub.account()
        assert account.gaps == [(1, Dropped(6, 6, 1, "poison"))]
        assert len(account.hellos) == 3
        assert account.values() == [value for value in rows(on.source.count) if value != 5.0]


async def test_p11_a_device_that_was_killed_in_between_counts_on(autojump_clock: MockClock, hub: HubEnd) -> None:
    refused, declared = trio.Event(), trio.Event()

    def refuse(end: HubEnd, name: str, message: DeviceMessage) -> None:
        if isinstance(message, Dropped):
            declared.set()
        if isinstance(message, Row) and message.values[0] == 5.0:
            refused.set()
            raise Close(1007)

    hub.hook, files = refuse, SimulatedFiles()
    async with switched_on(hub, disk=DiskSpool(Path("/spool"), files, InlineWorker())):
        await refused.wait()
        await trio.sleep(0.1)  # on its disk by then, and it has not dialled again
    files.unlock()
    async with switched_on(hub, disk=DiskSpool(Path("/spool"), files, InlineWorker())) as on:
        on.stop_measuring()
        await declared.wait()
    assert (1, Dropped(6, 6, 1, "poison")) in hub.account().gaps
    assert len(hub.account().hellos) == 3


async def test_p11_other_codes_and_lost_links_set_nothing_aside(autojump_clock: MockClock, hub: HubEnd) -> None:
    closes = [1011, 1012, 1002, 1013]

    def refuse(end: HubEnd, name: str, message: DeviceMessage) -> None:
        if isinstance(message, Row) and message.values[0] == 5.0 and closes:
            raise Close(closes.pop())

    hub.hook = refuse
    async with switched_on(hub) as on:
        await trio.sleep(60.5)
        assert hub.account().gaps == []
        assert hub.account().values() == rows(on.source.count)


async def test_after_a_conflict_it_asks_for_a_fresh_epoch(autojump_clock: MockClock, hub: HubEnd) -> None:
    conflicts = [4010]

    def refuse(end: HubEnd, name: str, message: DeviceMessage) -> None:
        if isinstance(message, Row) and message.values[0] == 5.0 and conflicts:
            raise Close(conflicts.pop())

    hub.hook = refuse
    async with switched_on(hub) as on:
        await trio.sleep(20.5)
        assert hub.account().hellos[1].epoch is None
        assert hub.account().epoch == 2
        assert hub.account().values() == rows(on.source.count)


async def test_what_is_larger_than_a_frame_of_this_hub_is_declared(autojump_clock: MockClock, hub: HubEnd) -> None:
    hub.frame = 100
    async with switched_on(hub) as on:
        await trio.sleep(1.5)
        on.device.offer(Event(0, None, "info", "x" * 200), trio.current_time())
        await trio.sleep(2)
        assert [gap.reason for _, gap in hub.account().gaps] == ["larger than the hub's largest frame"]
        assert hub.account().values() == rows(on.source.count)


async def test_leaving_waits_for_the_last_ack_and_says_bye(autojump_clock: MockClock, hub: HubEnd) -> None:
    async with switched_on(hub) as on:
        await trio.sleep(5.5)
        hub.acking = False
        await trio.sleep(1)
        on.stop_measuring()
        with trio.move_on_after(1) as waited:
            await on.device.emptied()
        assert waited.cancelled_caught
        hub.acking = True
        await hub.acknowledge()
        await on.device.emptied()
        on.device.leaving = True
        on.device.wake()
        await trio.sleep(1)
        assert hub.account().byes == 1
        assert hub.account().closed == [1000]
        assert isinstance(hub.account().heard[-1], Bye)


async def test_a_hub_that_goes_silent_is_noticed(autojump_clock: MockClock, hub: HubEnd) -> None:
    async with switched_on(hub, period=1000.0):
        await trio.sleep(1)
        hub.mute()
        await trio.sleep(100)
        assert len(hub.dials) == 2


async def send(hub: HubEnd, id: str, name: str, expiry: int | None = None, **args: int) -> None:
    await hub.say(Command(id, name, args, TrioClock().now() + 60_000_000 if expiry is None else expiry))


def finals(hub: HubEnd) -> list[tuple[str, str, object]]:
    return [(b.id, b.state, b.value) for b in hub.account().kept.values() if isinstance(b, Result)]


async def test_a_command_is_acknowledged_and_then_answered(autojump_clock: MockClock, hub: HubEnd) -> None:
    async with switched_on(hub) as on:
        await trio.sleep(2.5)
        await send(hub, "a", "add", amount=3)
        await trio.sleep(0.2)
        assert hub.account().words == [Result(None, "a", "acknowledged", None)]
        assert finals(hub) == [("a", "succeeded", 6)]
        assert (on.figures.commands_run, on.figures.commands_ok) == (1, 1)


async def test_progress_is_told_while_it_runs(autojump_clock: MockClock, hub: HubEnd) -> None:
    async with switched_on(hub):
        await trio.sleep(1.3)
        await send(hub, "a", "slow")
        await trio.sleep(40)
        assert [word.value for word in hub.account().words[1:]] == [{"percent": p} for p in (25, 50, 75)]
        assert finals(hub) == [("a", "succeeded", "done")]


async def test_a_command_can_be_taken_back(autojump_clock: MockClock, hub: HubEnd) -> None:
    async with switched_on(hub):
        await trio.sleep(1)
        await send(hub, "a", "slow")
        await trio.sleep(5)
        await hub.say(Cancel("a"))
        await trio.sleep(1)
        assert finals(hub) == [("a", "cancelled", None)]


async def test_refused_commands_say_why(autojump_clock: MockClock, hub: HubEnd) -> None:
    async with switched_on(hub) as on:
        await trio.sleep(1)
        await send(hub, "unknown", "explode")
        await send(hub, "bad", "add", amount=11)
        await send(hub, "late", "add", expiry=TrioClock().now() - 1, amount=1)
        await send(hub, "stuck", "fail")
        await trio.sleep(1)
        said = {id: (state, str(value)) for id, state, value in finals(hub)}
        assert said["unknown"] == ("rejected", "unknown command 'explode'; this device knows add, fail, slow")
        assert said["bad"][0] == "rejected"
        assert "amount" in said["bad"][1]
        assert said["late"][0] == "expired"
        assert said["stuck"] == ("failed", "it is stuck")
        assert on.source.ran == []


async def test_an_id_runs_once_and_is_answered_again(autojump_clock: MockClock, hub: HubEnd) -> None:
    async with switched_on(hub) as on:
        await trio.sleep(1)
        for _ in range(3):
            await send(hub, "a", "add", amount=1)
            await trio.sleep(0.1)
        assert on.source.ran == ["add"]
        # The first answer goes ahead of its numbered copy: a row was still on its way to be acked (P12).
        assert [word.state for word in hub.account().words] == ["acknowledged", *["succeeded"] * 3]


async def test_a_command_outlives_its_link(autojump_clock: MockClock, hub: HubEnd) -> None:
    async with switched_on(hub):
        await trio.sleep(1)
        await send(hub, "a", "slow")
        await trio.sleep(5)
        hub.cut()
        await trio.sleep(40)
        assert len(hub.account().hellos) == 2
        assert finals(hub) == [("a", "succeeded", "done")]


async def test_p12_a_closed_window_does_not_hold_up_an_answer(autojump_clock: MockClock, hub: HubEnd) -> None:
    hub.window, hub.acking = Window(2, 1 << 20), False
    async with switched_on(hub):
        await trio.sleep(10)
        await send(hub, "a", "add", amount=1)
        await trio.sleep(0.2)
        assert [(word.state, word.value) for word in hub.account().words] == [("acknowledged", None), ("succeeded", 12)]
        assert finals(hub) == []
        hub.acking = True
        await hub.acknowledge()
        await trio.sleep(1)
        assert finals(hub) == [("a", "succeeded", 12)]


async def test_desired_properties_are_taken_over_and_reported(autojump_clock: MockClock, hub: HubEnd) -> None:
    async with switched_on(hub):
        await trio.sleep(1)
        await hub.say(Desired(4, {"wanted": 7}))
        await trio.sleep(1)
        reported = [dict(b.properties) for b in hub.account().kept.values() if isinstance(b, Reported)]
        assert reported[-1] == {"wanted": 7, "desired_version": 4}


async def test_an_outage_counts_into_the_latency_of_acks_but_the_first_dial_does_not(
    autojump_clock: MockClock, hub: HubEnd
) -> None:
    hub.down = True
    async with switched_on(hub) as on:
        await trio.sleep(20.5)
        hub.down = False
        await trio.sleep(60)
        assert on.figures.acks.percentile(1.0) < 0.01
        hub.down = True
        hub.cut()
        await trio.sleep(20)
        hub.down = False
        await trio.sleep(60)
        assert on.figures.acks.percentile(1.0) > 20.0
