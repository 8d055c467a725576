"""What operators see: snapshots, conflation, and that nobody is waited for."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import trio
from trio.testing import MockClock

from hub.control.errors import ControlRefused
from hub.control.live import VIEWERS, Live
from hub.control.tracks import Stored
from hub.control.viewer import EVENTS, Viewer
from hub.wire.kept import Birth, Kept, Verdict
from hub.wire.messages import GOOD, TIME_UNKNOWN, Columns, Declared, Event, Offsets, Regular, Rejection, Row
from hub.wire.operator import Subscribe, Update
from hub.wire.shapes import CommandInfo, Presence
from tests.control.making import METRICS, birth, models

pytestmark = pytest.mark.trio
T0 = 1_790_000_000_000_000
DAY = 86_400_000_000
PUMP = birth()
PUMP_2 = birth("pump-2")


def kept(
    seq: int,
    body: Any,
    *,
    of: Birth = PUMP,
    received: int = T0 + 10**9,
    rejections: tuple[Rejection, ...] = (),
    quality: int = GOOD,
    epoch: int = 1,
) -> Kept:
    return Kept(seq, of, epoch, seq, received, 0, 0, Verdict(2, rejections, quality), body, 60, seq)


def row(seq: int, time: int, flow: Any, pressure: Any = 200, **more: Any) -> Kept:
    return kept(seq, Row(seq, T0 + time, [flow, pressure]), **more)


def live() -> Live:
    return Live(models)


def watch(live: Live, *kinds: str, devices: tuple[str, ...] = ("*",), metrics: tuple[str, ...] = ("*",)) -> Viewer:
    viewer = live.viewer()
    viewer.subscribe(Subscribe(1, kinds or ("readings",), devices, metrics))
    return viewer


async def taken(viewer: Viewer) -> list[Update]:
    """What comes within a second and a half."""
    updates: list[Update] = []
    with trio.move_on_after(1.5):
        while True:
            updates += await viewer.take()
    return updates


def readings(updates: list[Update]) -> list[Any]:
    return sorted(reading for update in updates if update.kind == "readings" for reading in update.body)  # type: ignore


async def test_the_latest_of_each_series_and_a_decimal_in_its_unit(autojump_clock: MockClock) -> None:
    hub = live()
    hub.publish([row(1, 1, 1.5, 200), row(2, 2, 2.5, None), row(3, 3, None, 250)])
    assert hub.latest("pump-1") == [["flow", T0 + 2, 2.5, GOOD], ["pressure", T0 + 3, 2.5, GOOD]]
    assert hub.latest("nobody") == []


@pytest.mark.parametrize(
    "later",
    [
        row(1, 4, 9.0),  # an older number at the same time
        row(9, 3, 9.0),  # a late row
        kept(9, Row(9, None, [9.0, 1]), quality=TIME_UNKNOWN),
        row(9, 5, 9.0, rejections=(Rejection(-1, "future_time", 0, 2, ""),)),
    ],
)
async def test_what_is_never_latest(autojump_clock: MockClock, later: Kept) -> None:
    hub = live()
    hub.publish([row(2, 4, 1.0, 100), later])
    assert hub.latest("pump-1") == [["flow", T0 + 4, 1.0, GOOD], ["pressure", T0 + 4, 1.0, GOOD]]


async def test_a_clock_ahead_does_not_hold_the_latest_for_long(autojump_clock: MockClock) -> None:
    hub = live()
    hub.publish([row(1, 50, 1.0, received=T0), row(2, 20, 2.0, received=T0 + 20)])
    assert hub.latest("pump-1")[0] == ["flow", T0 + 20, 2.0, GOOD]


async def test_columns_show_their_last_accepted_row(autojump_clock: MockClock) -> None:
    hub = live()
    flow = np.array([1.0, 2.0, 3.0])
    body = Columns(1, Regular(T0, 10, 3), [(0, flow), (1, np.array([100, 200, 300]))])
    hub.publish([kept(1, body, rejections=(Rejection(1, "out_of_range", 2, 1, ""),))])
    assert hub.latest("pump-1") == [["flow", T0 + 20, 3.0, GOOD], ["pressure", T0 + 10, 2.0, GOOD]]
    body = Columns(2, Offsets(T0, np.array([900, 100, 500], dtype="<u4")), [(0, flow)])
    hub.publish([kept(2, body)])
    assert hub.latest("pump-1")[0] == ["flow", T0 + 900, 1.0, GOOD]


async def test_series_go_on_by_name_through_a_new_birth(autojump_clock: MockClock) -> None:
    hub = live()
    hub.publish([row(1, 1, 1.5, 200)])
    reborn = birth(metrics=(METRICS[1], Declared("heat", "Cel", "float64")))
    hub.publish([kept(2, Row(2, T0 + 2, [None, 60.5]), of=reborn)])
    assert hub.latest("pump-1") == [["pressure", T0 + 1, 2.0, GOOD], ["heat", T0 + 2, 60.5, GOOD]]


def stored(metric: str, time: int, value: float | str, unit: str = "m3/s") -> Stored:
    return Stored(metric, unit, T0 + time, T0 + time, value, GOOD)


async def test_time_a_late_row_after_the_start_moves_nothing_and_does_not_alert(autojump_clock: MockClock) -> None:
    hub = live()
    hub.seed("pump-1", "pump", METRICS, [stored("flow", 0, 4.5), stored("pressure", 0, 2.0, "Pa")])
    assert await warned(hub, [row(1, -DAY, 9.0)]) == []
    assert hub.latest("pump-1") == [["flow", T0, 4.5, GOOD], ["pressure", T0, 2.0, GOOD]]
    assert await warned(hub, [row(2, 1, 9.0)]) == [("warn_max", "9 m3/s is above 5", 1)]


async def test_what_the_store_tells_late_takes_nothing_back_and_is_shown(autojump_clock: MockClock) -> None:
    hub = live()
    viewer = watch(hub)
    hub.publish([row(1, 5, 1.0, None)])
    await taken(viewer)
    hub.seed("pump-1", "pump", METRICS, [stored("flow", 0, 4.5), stored("pressure", 0, 2.0, "Pa")])
    assert readings(await taken(viewer)) == [["pump-1", "pressure", T0, 2.0, GOOD]]
    assert hub.latest("pump-1") == [["flow", T0 + 5, 1.0, GOOD], ["pressure", T0, 2.0, GOOD]]


async def test_what_the_store_knew_is_shown_in_the_type_of_its_metric(autojump_clock: MockClock) -> None:
    metrics = (Declared("on", "/", "bool"), Declared("n", "/", "int"), Declared("x", "/", "decimal(1)"))
    hub = live()
    hub.seed("a", "", metrics, [stored("on", 0, 1.0, "/"), stored("n", 0, 7.0, "/"), stored("x", 0, 0.5, "/")])
    assert [repr(reading[2]) for reading in hub.latest("a")] == ["True", "7", "0.5"]


async def test_a_new_hub_shows_what_the_store_knew(autojump_clock: MockClock) -> None:
    hub = live()
    hub.seed("pump-1", "pump", METRICS, [stored("flow", 0, 4.5), stored("gone", 0, 1.0), stored("flow", 9, 1.0, "l/s")])
    viewer = watch(hub)
    assert readings(await taken(viewer)) == [["pump-1", "flow", T0, 4.5, GOOD]]
    hub.publish([row(1, 0, 5.5)])
    assert hub.latest("pump-1") == [["flow", T0, 5.5, GOOD], ["pressure", T0, 2.0, GOOD]]


async def test_a_subscription_begins_with_a_snapshot(autojump_clock: MockClock) -> None:
    hub = live()
    online = Presence(device="pump-1", model="pump", state="online", at=1, reason="hello")
    hub.presence(online)
    hub.publish([row(1, 1, 1.5, 200), row(2, 2, 2.5, 300)])
    viewer = watch(hub, "readings", "presence")
    updates = await taken(viewer)
    assert Update(1, "presence", online) in updates  # type: ignore[arg-type]
    assert readings(updates) == [["pump-1", "flow", T0 + 2, 2.5, GOOD], ["pump-1", "pressure", T0 + 2, 3.0, GOOD]]
    assert not [update for update in updates if update.kind == "skipped"]


async def test_readings_conflate_and_what_was_left_out_is_said(autojump_clock: MockClock) -> None:
    hub = live()
    viewer = watch(hub)
    hub.publish([row(n, n, float(n)) for n in range(1, 101)])
    updates = await taken(viewer)
    assert readings(updates) == [["pump-1", "flow", T0 + 100, 100.0, GOOD], ["pump-1", "pressure", T0 + 100, 2.0, GOOD]]
    assert [update.body for update in updates if update.kind == "skipped"] == [{"count": 198}]
    hub.publish([row(101, 101, 1.0, None)])
    assert await taken(viewer) == [Update(1, "readings", [["pump-1", "flow", T0 + 101, 1.0, GOOD]])]


async def test_a_viewer_gets_readings_ten_times_a_second_at_most(autojump_clock: MockClock) -> None:
    hub = live()
    viewer = watch(hub)
    times = []
    with trio.move_on_after(2):
        async with trio.open_nursery() as nursery:

            @nursery.start_soon
            async def show() -> None:
                while True:
                    await viewer.take()
                    times.append(trio.current_time())

            for n in range(1, 1000):
                hub.publish([row(n, n, float(n))])
                await trio.sleep(0.005)
    assert all(after - before >= 0.099 for before, after in pairwise(times))
    assert len(times) >= 19


async def test_only_what_was_asked_for_is_shown(autojump_clock: MockClock) -> None:
    hub = live()
    viewer = watch(hub, devices=("pump-1",), metrics=("pres*",))
    hub.publish([row(1, 1, 1.5), row(1, 1, 1.5, of=PUMP_2)])
    hub.presence(Presence(device="pump-1", model="pump", state="online", at=1, reason=""))
    assert await taken(viewer) == [Update(1, "readings", [["pump-1", "pressure", T0 + 1, 2.0, GOOD]])]
    viewer.unsubscribe(1)
    hub.publish([row(2, 2, 1.5)])
    assert await taken(viewer) == []


async def test_commands_show_at_once_and_conflate_by_id(autojump_clock: MockClock) -> None:
    hub = live()
    viewer = watch(hub, "command")
    for state in ("queued", "sent", "succeeded"):
        hub.command(CommandInfo(id="a", device="pump-1", state=state))  # type: ignore[typeddict-item]
    [first, *rest] = await viewer.take()
    assert (first.kind, first.body["state"]) == ("command", "succeeded")  # type: ignore[index, call-overload]
    assert rest == []


async def test_events_are_shown_in_order_and_bounded(autojump_clock: MockClock) -> None:
    hub = live()
    viewer = watch(hub, "event")
    hub.publish([kept(n, Event(n, T0 + n, "info", str(n))) for n in range(EVENTS + 10)])
    updates = await viewer.take()
    texts = [update.body["text"] for update in updates]  # type: ignore[index, call-overload]
    assert texts == [str(n) for n in range(10, EVENTS + 10)]


async def warned(hub: Live, *groups: list[Kept]) -> list[tuple[str, str, int]]:
    """Publish these groups; code, text and count of what is warned of."""
    viewer = watch(hub, "violation")
    for group in groups:
        hub.publish(group)
    told: list[Any] = [update.body for update in await taken(viewer)]
    viewer.close()
    return sorted((body["code"], body["text"], body["count"]) for body in told)


async def test_time_a_late_row_beside_a_fresh_one_does_not_alert(autojump_clock: MockClock) -> None:
    high, low = row(3, -DAY, 9.0), row(4, 1, 1.0)
    assert await warned(live(), [row(1, 0, 1.0)], [high, low]) == []
    assert await warned(live(), [row(1, 0, 1.0), high, low]) == []
    assert await warned(live(), [row(1, 0, 9.0), row(2, 1, 1.0)]) == [("warn_max", "9 m3/s is above 5", 1)]


async def test_time_what_is_late_is_told_for_each_metric(autojump_clock: MockClock) -> None:
    """Of one row flow may be late, and pressure not."""
    partial = row(2, 5, 1.0, None)
    assert await warned(live(), [row(1, 0, 1.0)], [partial, row(3, 3, 9.0, 50)]) == [
        ("warn_min", "0.5 Pa is below 1", 1)
    ]


async def test_time_late_rows_of_a_batch_of_columns_do_not_alert(autojump_clock: MockClock) -> None:
    flow = np.array([9.0, 8.0, 7.0, 6.0])
    offsets = Offsets(T0, np.array([-20, 10, 5, 15]))
    assert await warned(live(), [row(1, 0, 1.0)], [kept(2, Columns(2, offsets, [(0, flow)]))]) == [
        ("warn_max", "6 m3/s is above 5", 2)
    ]


async def test_violations_are_counted_up_not_repeated(autojump_clock: MockClock) -> None:
    hub = live()
    viewer = watch(hub, "violation")
    high = Rejection(0, "out_of_range", 0, 1, "7000 m3/s is above 100")
    hub.publish([row(1, 1, 7000.0, rejections=(high,))])
    [update] = await viewer.take()
    assert (update.kind, update.body["code"], update.body["count"]) == ("violation", "out_of_range", 1)  # type: ignore
    for n in range(2, 102):
        hub.publish([row(n, n, 7000.0, rejections=(high,))])
    [update] = await taken(viewer)
    assert (update.body["metric"], update.body["count"], update.body["text"]) == ("flow", 100, high.text)  # type: ignore


async def test_warning_limits_are_seen_in_rows_and_columns_but_not_in_late_rows(autojump_clock: MockClock) -> None:
    hub = live()
    viewer = watch(hub, "violation")
    hub.publish([row(1, 100, 5.5, 200), row(2, 100, 4.0, 50)])
    found = {(body["code"], body["count"], body["text"]) for body in [update.body for update in await taken(viewer)]}  # type: ignore
    assert found == {("warn_max", 1, "5.5 m3/s is above 5"), ("warn_min", 1, "0.5 Pa is below 1")}
    hub.publish([row(3, 50, 9.0)])
    assert await taken(viewer) == []
    columns = Columns(4, Regular(T0 + 200, 1, 4), [(0, np.array([5.0, 6.0, 7.0, 4.0]))])
    hub.publish([kept(4, columns)])
    [update] = await taken(viewer)
    assert (update.body["count"], update.body["text"]) == (2, "7 m3/s is above 5")  # type: ignore[index, call-overload]


async def test_viewers_are_bounded_and_leave(autojump_clock: MockClock) -> None:
    hub = live()
    viewers = [hub.viewer() for _ in range(VIEWERS)]
    with pytest.raises(ControlRefused):
        hub.viewer()
    viewers[0].close()
    with pytest.raises(trio.ClosedResourceError):
        await viewers[0].take()
    hub.viewer()
    with pytest.raises(ControlRefused, match="readings"):
        viewers[1].subscribe(Subscribe(1, ("gossip",), (), ()))
