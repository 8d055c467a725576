"""Many devices in one process, and the door that the command line uses."""

from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from devices.faults import LinkFaults
from devices.report import FleetReport, Latencies
from devices.run import Options, host_name, load_scenario, run_device, run_fleet, run_host
from devices.scenario import parse_scenario
from hub.model import ModelError
from hub.wire.messages import Columns, DeviceMessage, Hello, Row
from tests.devices.hubend import TARGET, Close, HubEnd

pytestmark = pytest.mark.trio

PAIR = parse_scenario('ramp = 1.0\n[[group]]\nmodel = "pump"\ncount = 2\n', "pair")


def options(hub: HubEnd, folder: Path, names: list[str], seconds: float | None = 10.0, **more: object) -> Options:
    """Options for devices whose token is their name, which is how the hub's end knows them."""
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / f"{name}.token").write_text(name)
    return Options(tokens=folder, seconds=seconds, signals=False, ports=hub.ports(), **more)  # type: ignore[arg-type]


async def test_a_fleet_runs_drains_and_says_bye(autojump_clock: MockClock, hub: HubEnd, tmp_path: Path) -> None:
    scenario = load_scenario("demo")
    names = [name for group in scenario.groups for name in group.names()]
    report = await run_fleet(TARGET, scenario, options(hub, tmp_path, names))
    assert report.devices == report.devices_online == 25
    assert report.produced == report.sent == report.acked > 25 * 8
    assert report.waiting == report.dropped == report.reconnects == 0
    assert report.problems == ()
    assert 10.0 <= report.seconds < 11.0
    assert {name for name, account in hub.accounts.items() if account.byes == 1} == set(names)
    assert {account.closed[0] for account in hub.accounts.values()} == {1000}
    models = {account.hellos[0].model for account in hub.accounts.values()}
    assert len(models) == 5


async def test_the_ramp_spreads_the_dials(autojump_clock: MockClock, hub: HubEnd, tmp_path: Path) -> None:
    scenario = parse_scenario('ramp = 8.0\n[[group]]\nmodel = "pump"\ncount = 4\n', "slow")
    names = [name for group in scenario.groups for name in group.names()]
    await run_fleet(TARGET, scenario, options(hub, tmp_path, names))
    assert hub.dials == [0.0, 2.0, 4.0, 6.0]


async def test_stopping_during_the_ramp_ends_at_once(autojump_clock: MockClock, hub: HubEnd, tmp_path: Path) -> None:
    scenario = parse_scenario('ramp = 3600.0\n[[group]]\nmodel = "pump"\ncount = 2\n', "slow")
    report = await run_fleet(TARGET, scenario, options(hub, tmp_path, ["pump-01", "pump-02"]))
    assert (report.devices, report.devices_online) == (2, 1)
    assert report.seconds < 11.0


async def test_the_drain_waits_for_acks_up_to_its_deadline(
    autojump_clock: MockClock, hub: HubEnd, tmp_path: Path
) -> None:
    hub.acking = False
    report = await run_fleet(TARGET, PAIR, options(hub, tmp_path, ["pump-01", "pump-02"], drain=5.0))
    assert report.acked == 0
    assert report.waiting > 10
    assert 15.0 <= report.seconds < 18.0


async def test_one_that_is_turned_away_does_not_stop_the_others(
    autojump_clock: MockClock, hub: HubEnd, tmp_path: Path
) -> None:
    def hook(end: HubEnd, name: str, message: DeviceMessage) -> None:
        if isinstance(message, Hello) and name == "pump-01":
            raise Close(4002)

    hub.hook = hook
    report = await run_fleet(TARGET, PAIR, options(hub, tmp_path, ["pump-01", "pump-02"]))
    assert report.devices_online == 1
    assert report.acked > 0
    assert len(report.problems) == 1
    assert "pump-01: its token has been revoked" in report.problems[0]


async def test_when_all_are_turned_away_the_run_ends(autojump_clock: MockClock, hub: HubEnd, tmp_path: Path) -> None:
    hub.status = 401
    report = await run_fleet(TARGET, PAIR, options(hub, tmp_path, ["pump-01", "pump-02"], seconds=None))
    assert len(report.problems) == 2
    assert report.seconds < 5.0


async def test_an_unreachable_hub_is_among_the_problems(autojump_clock: MockClock, hub: HubEnd, tmp_path: Path) -> None:
    hub.down = True
    report = await run_device(TARGET, "dev-01", "pump", options(hub, tmp_path, ["dev-01"], drain=1.0))
    assert (report.devices_online, report.acked) == (0, 0)
    assert "dev-01: " in report.problems[0]
    assert report.waiting > 5


async def test_links_that_are_cut_lose_nothing(autojump_clock: MockClock, hub: HubEnd, tmp_path: Path) -> None:
    given = options(hub, tmp_path, ["dev-01"], seconds=60.0, link=LinkFaults(cut=5.0), drain=60.0)
    report = await run_device(TARGET, "dev-01", "weather-station", given, period=0.5)
    assert report.reconnects > 5
    assert report.produced == report.acked
    kept = hub.account("dev-01").kept
    assert len({row.time for row in kept.values() if isinstance(row, Row)}) * 8 == report.acked


async def test_rows_may_travel_together(autojump_clock: MockClock, hub: HubEnd, tmp_path: Path) -> None:
    given = options(hub, tmp_path, ["dev-01"], seconds=30.0)
    report = await run_device(TARGET, "dev-01", "power-meter", given, batch=10)
    batches = [batch for batch in hub.account("dev-01").kept.values() if isinstance(batch, Columns)]
    assert report.acked == len(batches) * 60
    assert len(batches) == 3


async def test_status_is_told_every_second(autojump_clock: MockClock, hub: HubEnd, tmp_path: Path) -> None:
    seen: list[FleetReport] = []
    await run_fleet(TARGET, PAIR, options(hub, tmp_path, ["pump-01", "pump-02"], on_status=seen.append))
    assert len(seen) >= 9
    assert seen[-1].devices_online == 2


async def test_stop_can_come_from_outside(autojump_clock: MockClock, hub: HubEnd, tmp_path: Path) -> None:
    stop = trio.Event()
    async with trio.open_nursery() as nursery:

        async def later() -> None:
            await trio.sleep(3)
            stop.set()

        nursery.start_soon(later)
        given = options(hub, tmp_path, ["pump-01", "pump-02"], seconds=None)
        report = await run_fleet(TARGET, PAIR, given, stop=stop)
    assert 3.0 <= report.seconds < 5.0


async def test_an_unknown_model_is_named(hub: HubEnd, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no model 'toaster'; there are air-quality"):
        await run_device(TARGET, "dev-01", "toaster", options(hub, tmp_path, ["dev-01"]))


async def test_this_machine_reports_itself(hub: HubEnd, tmp_path: Path) -> None:
    name = host_name()
    report = await run_host(TARGET, options(hub, tmp_path, [name], seconds=1.0), period=0.2)
    account = hub.account(name)
    names = [metric.name for metric in account.hellos[0].metrics]
    assert {"cpu_percent", "memory_percent", "load1", "disk_percent"} <= set(names)
    rows = [batch for batch in account.kept.values() if isinstance(batch, Row)]
    assert len(rows) >= 4
    for row in rows:
        values = dict(zip(names, row.values, strict=True))
        assert 0.0 <= float(values["cpu_percent"] or 0) <= 100.0
        assert 0.0 < float(values["memory_percent"] or 0) < 100.0
    assert report.acked == sum(len(row.values) - row.values.count(None) for row in rows)


async def test_a_report_is_plain(autojump_clock: MockClock, hub: HubEnd, tmp_path: Path) -> None:
    plain = (await run_fleet(TARGET, PAIR, options(hub, tmp_path, ["pump-01", "pump-02"]))).to_plain()
    assert plain["problems"] == []
    assert {"devices_online", "sent", "acked", "ack_p99_ms", "reconnects", "commands_run", "rejected"} <= set(plain)


async def test_percentiles_are_right_within_a_bucket() -> None:
    latencies = Latencies()
    for milliseconds in range(1, 1_001):
        latencies.add(milliseconds / 1e3)
    assert latencies.percentile(0.5) == pytest.approx(0.5, rel=0.06)
    assert latencies.percentile(0.99) == pytest.approx(0.99, rel=0.06)
    latencies.add(-1.0)
    assert latencies.percentile(0.0001) == pytest.approx(1e-4)


async def test_a_whole_fleet_comes_back_through_the_doorway(
    autojump_clock: MockClock, hub: HubEnd, tmp_path: Path
) -> None:
    scenario = parse_scenario('ramp = 0\n[[group]]\nmodel = "weather-station"\ncount = 60\n', "crowd")
    names = [name for group in scenario.groups for name in group.names()]
    at_once, most = 0, 0
    dial = hub.dial

    async def slow_dial(host: str, port: int) -> trio.abc.Stream:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        await trio.sleep(0.1)
        at_once -= 1
        return await dial(host, port)

    hub.dial = slow_dial  # type: ignore[method-assign]
    report = await run_fleet(TARGET, scenario, options(hub, tmp_path, names))
    assert report.devices_online == 60
    assert most == 16
