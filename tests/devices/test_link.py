"""When a device dials again, after how long, and when it gives up."""

from collections.abc import Callable
from itertools import pairwise

import pytest
import trio
from trio.testing import MockClock

from devices.link import Backoff, Stopped
from devices.spool import Held, MemorySpool
from hub.ports import SystemRandomness
from hub.wire.messages import DeviceMessage, Goaway, Hello, Row, Window
from tests.devices.conftest import switched_on
from tests.devices.hubend import Close, HubEnd, Middle

pytestmark = pytest.mark.trio


async def test_backoff_doubles_to_a_minute_with_full_jitter() -> None:
    backoff = Backoff(Middle())
    assert [backoff.next() for _ in range(9)] == [0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]
    backoff.reset()
    assert backoff.next(at_least=20.0) == 20.25
    drawn = [Backoff(SystemRandomness()).next() for _ in range(200)]
    assert 0.0 <= min(drawn) < 0.1
    assert 0.4 < max(drawn) < 0.5


def closing(*codes: int) -> Callable[[HubEnd, str, DeviceMessage], None]:
    """A hook that closes at each hello, with one code after the other."""
    left = list(codes)

    def hook(hub: HubEnd, name: str, message: DeviceMessage) -> None:
        if isinstance(message, Hello) and left:
            raise Close(left.pop(0), "because")

    return hook


def gaps(hub: HubEnd) -> list[float]:
    return [round(after - before, 2) for before, after in pairwise(hub.dials)]


async def test_a_hub_that_is_down_is_dialled_ever_less_often(autojump_clock: MockClock, hub: HubEnd) -> None:
    hub.down = True
    async with switched_on(hub) as on:
        await trio.sleep(70)
        assert gaps(hub) == [0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0]
        assert on.linkage.trouble is not None
        assert "localhost:1" in on.linkage.trouble


@pytest.mark.parametrize("code", [1000, 1001, 1008, 1011, 1012, 1013, 3008, 4001, 4008, 4009, 4010])
async def test_other_codes_are_dialled_again(autojump_clock: MockClock, hub: HubEnd, code: int) -> None:
    hub.hook = closing(code)
    async with switched_on(hub) as on:
        await trio.sleep(5)
        assert len(hub.dials) == 2
        assert on.errors == []
        assert hub.account().values()


@pytest.mark.parametrize(("code", "words"), [
    (3000, "does not know its token"), (3003, "is not one for devices"),
    (4002, "has been revoked"), (4004, "refuses the model"),
])  # fmt: skip
async def test_hopeless_codes_stop_it_with_words(autojump_clock: MockClock, hub: HubEnd, code: int, words: str) -> None:
    hub.hook = closing(code, code)
    async with switched_on(hub) as on:
        await trio.sleep(500)
        assert len(hub.dials) == 1
        [error] = on.errors
        assert isinstance(error, Stopped)
        assert error.code == code
        assert words in str(error)
        assert "because" in str(error)


@pytest.mark.parametrize(("status", "code"), [(401, 3000), (403, 3003)])
async def test_a_token_refused_before_the_upgrade_stops_it(
    autojump_clock: MockClock, hub: HubEnd, status: int, code: int
) -> None:
    hub.status = status
    async with switched_on(hub) as on:
        await trio.sleep(500)
        [error] = on.errors
        assert isinstance(error, Stopped)
        assert error.code == code
        assert len(hub.dials) == 1


async def test_a_proxy_in_trouble_is_tried_again(autojump_clock: MockClock, hub: HubEnd) -> None:
    hub.status = 503
    async with switched_on(hub) as on:
        await trio.sleep(3)
        assert len(hub.dials) > 2
        assert on.errors == []


async def test_flapping_is_a_pause_of_five_minutes(autojump_clock: MockClock, hub: HubEnd) -> None:
    hub.hook = closing(4003)
    async with switched_on(hub):
        await trio.sleep(400)
        assert gaps(hub) == [300.25]


async def test_goaway_says_how_long_to_stay_away(autojump_clock: MockClock, hub: HubEnd) -> None:
    async def send_away() -> None:
        await hub.say(Goaway(17.0, "drain"))
        await hub.links["dev-01"].aclose(1012, "drain")

    async with switched_on(hub), trio.open_nursery() as nursery:
        await trio.sleep(2.5)
        nursery.start_soon(send_away)
        await trio.sleep(60)
        nursery.cancel_scope.cancel()
        assert gaps(hub) == [2.5 + 17.25]
        assert hub.account().hellos[1].epoch == 1


async def test_goaway_before_welcome_counts_as_well(autojump_clock: MockClock, hub: HubEnd) -> None:
    away = [1]

    def hook(end: HubEnd, name: str, message: DeviceMessage) -> None:
        if isinstance(message, Hello) and away:
            away.clear()
            raise Close(1013, "overload", retry_after=9.0)

    hub.hook = hook
    async with switched_on(hub):
        await trio.sleep(10)
        assert gaps(hub) == [9.25]


async def test_only_a_stable_link_makes_the_backoff_small_again(autojump_clock: MockClock, hub: HubEnd) -> None:
    lasting = 1.0

    def cut_when_old(end: HubEnd, name: str, message: DeviceMessage) -> None:
        if isinstance(message, Row) and trio.current_time() - hub.dials[-1] >= lasting:
            raise Close(1011)

    hub.hook = cut_when_old
    async with switched_on(hub, period=0.1):
        await trio.sleep(8)
        assert gaps(hub)[:3] == [pytest.approx(lasting + wait, abs=0.2) for wait in (0.25, 0.5, 1.0)]
        lasting = 20.0
        await trio.sleep(90)
        assert gaps(hub)[-1] == pytest.approx(20.25, abs=0.2)


async def test_a_device_about_to_leave_does_not_wait_out_its_backoff(autojump_clock: MockClock, hub: HubEnd) -> None:
    hub.down = True
    async with switched_on(hub) as on:
        await trio.sleep(40)
        hub.down = False
        dials = len(hub.dials)
        on.linkage.hurry()
        await trio.sleep(2)
        assert len(hub.dials) == dials + 1
        assert on.device.linked


async def test_leaving_in_a_hurry_still_obeys_the_hub(autojump_clock: MockClock, hub: HubEnd) -> None:
    away = [1]

    def hook(end: HubEnd, name: str, message: DeviceMessage) -> None:
        if isinstance(message, Hello) and away:
            away.clear()
            raise Close(1013, "overload", retry_after=30.0)

    hub.hook = hook
    async with switched_on(hub) as on:
        await trio.sleep(1)
        on.linkage.hurry()
        await trio.sleep(60)
        assert gaps(hub) == [30.25]


async def test_a_backlog_leaves_in_few_writes_and_whole(autojump_clock: MockClock, hub: HubEnd) -> None:
    writes: list[int] = []
    hub.down = True
    hub.window = Window(10_000, 1 << 20)
    async with switched_on(hub, period=0.01) as on:
        await trio.sleep(20)
        on.stop_measuring()
        behind = hub.dial

        async def dial(host: str, port: int) -> trio.abc.Stream:
            stream = await behind(host, port)
            send = stream.send_all

            async def counted(data: bytes | bytearray | memoryview) -> None:
                writes.append(len(data))
                await send(data)

            stream.send_all = counted  # type: ignore[method-assign]
            return stream

        hub.dial = dial  # type: ignore[method-assign]
        hub.down = False
        await on.device.emptied()
    assert hub.account().values() == [float(number) for number in range(1, on.source.count + 1)]
    assert on.source.count > 1900
    assert len(writes) < 30


async def test_a_window_smaller_than_a_record_does_not_hold_a_backlog_back(
    autojump_clock: MockClock, hub: HubEnd
) -> None:
    hub.down = True
    hub.window = Window(16, 1 << 20)
    async with switched_on(hub, period=0.1) as on:
        await trio.sleep(20)
        on.stop_measuring()
        hub.down = False
        with trio.fail_after(60):
            await on.device.emptied()
    assert hub.account().values() == [float(number) for number in range(1, on.source.count + 1)]
    assert hub.account().most <= 16


class Reserved(MemorySpool):
    """Its disk takes no number above 10."""

    @property
    def ready(self) -> bool:
        held = self.peek()
        return held is not None and held.last <= 10

    async def spend(self, held: Held) -> None:
        if held.last > 10:
            await trio.sleep_forever()


async def test_what_may_leave_does_not_wait_for_what_may_not(autojump_clock: MockClock, hub: HubEnd) -> None:
    hub.down = True
    async with switched_on(hub) as on:
        on.spool.__class__ = Reserved
        await trio.sleep(20)
        hub.down = False
        await trio.sleep(20)  # it dials after 12 s, and pings after 50 s of silence
        assert hub.account().through == 10
