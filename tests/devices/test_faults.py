"""Faults on purpose: what they do to values and to links."""

import math
from itertools import pairwise

import pytest
import trio
from trio.testing import MockClock, memory_stream_pair

from devices.faults import BEYOND, Distortion, FaultyStream, FaultyStreams, LinkFaults, SensorFaults
from hub.wire.messages import Value
from tests.devices.conftest import switched_on
from tests.devices.hubend import HubEnd, Middle

pytestmark = pytest.mark.trio


def distorted(faults: SensorFaults, seconds: int = 3_600, seed: int = 1) -> list[Value]:
    distort = Distortion(faults, seed)
    values: list[Value] = []
    for second in range(seconds):
        row: dict[str, Value] = {"temperature": float(second), "door": True, "state": "idle"}
        distort(float(second), row)
        assert (row["door"], row["state"]) == (True, "idle")
        values.append(row["temperature"])
    return values


async def test_without_faults_nothing_is_distorted() -> None:
    assert not SensorFaults()
    assert distorted(SensorFaults()) == [float(second) for second in range(3_600)]


async def test_each_kind_of_fault_shows_and_repeats() -> None:
    stuck = distorted(SensorFaults(stuck=1.0))
    assert any(before == after for before, after in pairwise(stuck))
    assert any(isinstance(value, float) and math.isnan(value) for value in distorted(SensorFaults(nan=1.0)))
    assert BEYOND in distorted(SensorFaults(out_of_range=1.0))
    assert None in distorted(SensorFaults(missing=1.0))
    assert distorted(SensorFaults(spike=1.0)) == distorted(SensorFaults(spike=1.0))
    assert distorted(SensorFaults(spike=1.0)) != distorted(SensorFaults(spike=1.0), seed=2)


async def test_the_share_says_in_how_many_minutes() -> None:
    spells = sum(value == BEYOND for value in distorted(SensorFaults(out_of_range=0.25), 60 * 400))
    always = sum(value == BEYOND for value in distorted(SensorFaults(out_of_range=1.0), 60 * 400))
    assert 0.18 < spells / always < 0.32


async def test_a_link_is_cut_in_the_middle_of_what_goes_on(autojump_clock: MockClock) -> None:
    near, far = memory_stream_pair()
    stream = FaultyStream(near, trio.current_time() + 5.0, 0.0)
    with pytest.raises(trio.BrokenResourceError):
        await stream.receive_some()
    assert trio.current_time() == pytest.approx(5.0)
    with pytest.raises(trio.BrokenResourceError):
        await stream.send_all(b"more")
    assert await far.receive_some() == b""


async def test_a_delay_holds_up_both_ways(autojump_clock: MockClock) -> None:
    near, far = memory_stream_pair()
    stream = FaultyStream(near, math.inf, 0.5)
    await stream.send_all(b"ping")
    assert trio.current_time() == pytest.approx(0.5)
    assert await far.receive_some() == b"ping"
    await far.send_all(b"pong")
    assert await stream.receive_some() == b"pong"
    assert trio.current_time() == pytest.approx(1.0)


async def test_a_device_whose_link_is_cut_again_and_again_loses_nothing(autojump_clock: MockClock, hub: HubEnd) -> None:
    streams = FaultyStreams(hub, LinkFaults(cut=15.0), Middle())
    async with switched_on(hub, streams=streams) as on:
        await trio.sleep(150.5)
        assert on.figures.reconnects > 8
        on.stop_measuring()
        await on.device.emptied()
        assert hub.account().values() == [float(number) for number in range(1, on.source.count + 1)]
