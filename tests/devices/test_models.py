"""The physics: names and units as in the models, values within their limits, runs that repeat, commands that act."""

import numpy as np
import pytest
import trio
from trio.testing import MockClock

from devices.models import PHYSICS, Simulated, physics_of
from devices.models.air import AirQuality
from devices.models.freezer import Freezer
from devices.models.meter import PowerMeter
from devices.models.pump import Pump
from devices.models.simulated import pack
from devices.models.weather import WeatherStation
from devices.source import CommandFailed
from devices.spool import Numbered
from hub.model import ModelError, check_arguments, load_models, parse_model
from hub.wire.codec import decode_device, encode
from hub.wire.messages import MAX_FRAME, Columns, Event, Offsets, Regular, Row

MODELS = load_models(None)
START = 1_750_000_000  # seconds


def nothing(value: object) -> None:
    """Progress that nobody reads."""


async def sampled(name: str, seconds: int, seed: int = 1, batch: int = 1) -> list[Numbered]:
    source = Simulated(physics_of(MODELS[name], seed), MODELS[name], batch=batch)
    messages: list[Numbered] = []
    for second in range(seconds):
        messages += await source.sample((START + second) * 1_000_000)
    return messages


@pytest.mark.trio
@pytest.mark.parametrize("name", sorted(PHYSICS))
async def test_one_seed_gives_one_run(name: str) -> None:
    first, again, other = [await sampled(name, 30, seed) for seed in (1, 1, 2)]
    assert [encode(message) for message in first] == [encode(message) for message in again]
    assert [encode(message) for message in first] != [encode(message) for message in other]


@pytest.mark.parametrize("name", sorted(PHYSICS))
def test_a_year_stays_within_the_limits_of_the_model(name: str) -> None:
    model = MODELS[name]
    for seed in range(4):
        for step in range(400):
            physics = physics_of(model, seed)  # each time anew: there is no need to live through the year
            time = START + step * 78_901.0
            for metric, value in physics.measure(time).items():
                limits = model.metrics[metric]
                if isinstance(value, bool) or not isinstance(value, int | float):
                    continue
                assert limits.min is None or value >= limits.min, f"{metric} = {value} at {time}"
                assert limits.max is None or value <= limits.max, f"{metric} = {value} at {time}"


@pytest.mark.trio
@pytest.mark.parametrize("name", sorted(PHYSICS))
async def test_every_metric_of_the_model_is_measured(name: str) -> None:
    seen: set[int] = set()
    for message in await sampled(name, 3):
        if isinstance(message, Row):
            seen |= {at for at, value in enumerate(message.values) if value is not None}
        elif isinstance(message, Columns):
            seen |= {at for at, _ in message.columns}
    assert seen == set(range(len(MODELS[name].metrics)))


@pytest.mark.parametrize("name", sorted(PHYSICS))
def test_every_command_of_the_model_has_a_handler(name: str) -> None:
    source = Simulated(physics_of(MODELS[name], 1), MODELS[name])
    assert set(source.handlers) == set(MODELS[name].commands)


def test_a_model_that_lacks_what_is_measured_is_named() -> None:
    model = parse_model('[metrics.voltage]\nunit = "V"\n', "power-meter")
    with pytest.raises(ModelError, match="current, power"):
        Simulated(PowerMeter(1), model)


def test_a_model_without_physics_is_named() -> None:
    with pytest.raises(ModelError, match="no simulation for the model 'host'"):
        physics_of(MODELS["host"], 1)


@pytest.mark.trio
async def test_rows_can_travel_as_columns_and_mean_the_same() -> None:
    rows = [message for message in await sampled("power-meter", 20) if isinstance(message, Row)]
    [columns] = [message for message in await sampled("power-meter", 20, batch=20) if isinstance(message, Columns)]
    assert isinstance(columns.times, Offsets)
    assert columns.times.base is not None
    assert [columns.times.base + int(offset) for offset in columns.times.offsets] == [row.time for row in rows]
    for at, values in columns.columns:
        expected = [row.values[at] for row in rows]
        np.testing.assert_allclose(np.asarray(values, dtype=float), np.array(expected, dtype=float), rtol=1e-6)
    assert decode_device(encode(columns._replace(seq=1)))


@pytest.mark.trio
async def test_texts_and_bools_travel_as_lists() -> None:
    columns = next(message for message in await sampled("cold-chain-freezer", 10, batch=10) if type(message) is Columns)
    kinds = {at: type(values) for at, values in columns.columns}
    assert kinds[3] is list
    assert kinds[6] is list
    assert kinds[0] is np.ndarray


def test_rows_with_a_hole_are_not_packed() -> None:
    metrics = list(MODELS["power-meter"].metrics.values())
    full = [Row(0, time, [1, 1, 1.0, 1.0, 1, 1]) for time in (1, 2)]
    assert pack(full, metrics) is not None
    assert pack([full[0], Row(0, 2, [1, None, 1.0, 1.0, 1, 1])], metrics) is None
    assert pack([full[0], Row(0, None, [1, 1, 1.0, 1.0, 1, 1])], metrics) is None


@pytest.mark.trio
async def test_vibration_comes_in_columns_without_holes_or_repeats() -> None:
    columns = [message for message in await sampled("pump", 10) if isinstance(message, Columns)]
    expected: int | None = None
    for message in columns:
        assert isinstance(message.times, Regular)
        start, step, count = message.times
        assert expected is None or start == expected
        assert start is not None
        expected = start + step * count
        assert count == 1_000_000 // step == 200
        assert [array.dtype for _, array in message.columns] == [np.dtype(np.float32)] * 3  # type: ignore[union-attr]


def test_after_a_long_pause_vibration_still_fits_a_frame() -> None:
    pump = Pump(1, rate=1_000)
    pump.measure(START)
    pump.bulk(START * 1_000_000, (START + 1) * 1_000_000)
    columns = pump.bulk(0, (START + 3_600) * 1_000_000)
    assert columns is not None
    assert len(encode(columns._replace(seq=1))) < MAX_FRAME


@pytest.mark.trio
async def test_the_freezer_keeps_its_setpoint_and_defrosts_when_told() -> None:
    freezer = Freezer(3)
    inside = [float(freezer.measure(START + second)["temperature"] or 0) for second in range(3_000)]
    assert abs(np.mean(inside[600:]) - freezer.setpoint) < 1.5
    assert {freezer.measure(START + 3_000)["state"]} <= {"idle", "cooling"}
    args = check_arguments(MODELS["cold-chain-freezer"].commands["defrost"], {"minutes": 5})
    assert await freezer.handlers["defrost"](args, nothing) == {"seconds": 300}
    during = freezer.measure(START + 3_200)
    assert (during["state"], during["compressor"]) == ("defrosting", False)
    assert float(during["evaporator_temperature"] or 0) > float(during["temperature"] or 0)
    after = [freezer.measure(START + 3_400 + second) for second in range(0, 4_000, 100)]
    assert after[0]["state"] == "cooling"
    assert abs(float(after[-1]["temperature"] or 0) - freezer.setpoint) < 2.0


@pytest.mark.trio
async def test_a_new_setpoint_is_reached() -> None:
    freezer = Freezer(3)
    freezer.measure(START)
    before = freezer.setpoint
    answer = await freezer.handlers["set_setpoint"]({"temperature": -25.0}, nothing)
    assert answer == {"before": before, "now": -25.0}
    for second in range(3_000):
        values = freezer.measure(START + second)
    assert abs(float(values["temperature"] or 0) + 25.0) < 1.5
    assert values["setpoint"] == -25.0


def test_people_open_the_door_and_the_freezer_says_so() -> None:
    freezer = Freezer(5)
    for second in range(4_000):
        freezer.measure(START + second)
    assert ("info", "door opened") in freezer.events


@pytest.mark.trio
async def test_energy_only_rises_until_it_is_reset() -> None:
    meter = PowerMeter(2)
    readings = [float(meter.measure(START + 60 * minute)["energy"] or 0) for minute in range(200)]
    assert readings == sorted(readings)
    assert readings[-1] > readings[0]
    answer = await meter.handlers["reset_energy"]({}, nothing)
    assert answer == {"before": round(readings[-1], 3)}
    assert meter.measure(START + 12_000)["energy"] == pytest.approx(0.0, abs=0.3)


def test_power_is_voltage_times_current_times_factor() -> None:
    values = PowerMeter(2).measure(START)
    numbers = {name: float(value or 0) for name, value in values.items()}
    apparent = numbers["voltage"] * numbers["current"] * numbers["power_factor"]
    assert abs(apparent) == pytest.approx(abs(numbers["power"]), rel=0.01)


def shaking(pump: Pump, until: int) -> float:
    """How far the bearing swings in the second before."""
    columns = pump.bulk((until - 1) * 1_000_000, until * 1_000_000)
    assert columns is not None
    return float(np.ptp(np.asarray(columns.columns[0][1], dtype=float)[-200:]))


@pytest.mark.trio
async def test_the_pump_ramps_down_and_up_and_tells_how_far(autojump_clock: MockClock) -> None:
    pump = Pump(1)
    before = pump.measure(START)
    said: list[object] = []
    async with trio.open_nursery() as nursery:

        async def run() -> None:
            for second in range(20):
                pump.measure(START + second)
                await trio.sleep(1)

        nursery.start_soon(run)
        assert await pump.handlers["stop"]({}, said.append) == {"speed": 0.0}
        assert said[-1] == {"percent": 100}
        assert len(said) >= 3
    stopped = pump.measure(START + 20)
    assert (stopped["state"], stopped["flow"]) == ("stopped", 0.0)
    assert shaking(pump, START + 20) < 1.0
    await pump.handlers["set_speed"]({"speed": 2_000.0}, nothing)
    await pump.handlers["start"]({}, nothing)
    for second in range(21, 40):
        running = pump.measure(START + second)
    assert running["state"] == "running"
    assert float(running["speed"] or 0) == pytest.approx(2_000.0, rel=0.01)
    assert float(running["pressure"] or 0) > float(before["pressure"] or 0)
    assert shaking(pump, START + 40) > 5.0


@pytest.mark.trio
async def test_air_is_calibrated_to_a_reference_unless_the_fan_is_off(autojump_clock: MockClock) -> None:
    air = AirQuality(4)
    air.measure(START)
    await air.handlers["calibrate"]({"reference": 500}, nothing)
    assert float(air.measure(START + 1)["co2"] or 0) == pytest.approx(500, abs=15)
    await air.handlers["set_fan"]({"mode": "off"}, nothing)
    still = {air.measure(START + second)["pm2_5"] for second in range(2, 20)}
    assert len(still) == 1
    with pytest.raises(CommandFailed, match="fan is off"):
        await air.handlers["calibrate"]({"reference": 500}, nothing)


def test_rooms_fill_with_carbon_dioxide_by_day() -> None:
    air = AirQuality(4)
    monday = 1_749_427_200  # 2025-06-09 00:00 UTC
    night = float(air.measure(monday + 3 * 3_600)["co2"] or 0)
    noon = 0.0
    for minute in range(0, 9 * 60, 5):
        noon = float(air.measure(monday + 3 * 3_600 + 60 * minute)["co2"] or 0)
    assert noon > night + 50


@pytest.mark.trio
async def test_a_sensor_of_the_weather_station_is_calibrated() -> None:
    station = WeatherStation(1)
    before = float(station.measure(START)["pressure"] or 0)
    await station.handlers["calibrate"]({"metric": "pressure", "offset": -2.5}, nothing)
    assert float(station.measure(START)["pressure"] or 0) == pytest.approx(before - 2.5)
    assert station.properties == {"offset_pressure": -2.5}


def test_the_sun_sets() -> None:
    station = WeatherStation(1)
    day = [float(station.measure(START + 600 * step)["irradiance"] or 0) for step in range(144)]
    assert min(day) == 0.0
    assert max(day) > 100.0


@pytest.mark.trio
async def test_the_interval_changes_and_identify_is_an_event() -> None:
    model = MODELS["weather-station"]
    source = Simulated(physics_of(model, 1), model)
    assert await source.handlers["set_interval"]({"seconds": 5.0}, nothing) == {"before": 1.0, "now": 5.0}
    assert source.period == 5.0
    assert source.properties["interval"] == 5.0
    await source.handlers["identify"]({"seconds": 3}, nothing)
    events = [message for message in await source.sample(START * 1_000_000) if isinstance(message, Event)]
    assert [event.text for event in events] == ["here I am, for 3 s"]
    assert source.set_property("interval", 2)
    assert not source.set_property("interval", 0)
    assert not source.set_property("colour", "red")


def test_a_clock_that_goes_back_stops_the_physics_only_for_a_while() -> None:
    meter = PowerMeter(2)
    later = float(meter.measure(START + 100)["energy"] or 0)
    assert float(meter.measure(START)["energy"] or 0) == later
    assert float(meter.measure(START + 200)["energy"] or 0) > later
