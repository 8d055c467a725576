"""Signals are pure functions of seed and time, and stay within their bounds."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from devices import signals

SEEDS = st.integers(0, 2**64 - 1)
TIMES = st.floats(0, 4e9)


@given(SEEDS, st.integers(0, 2**40))
@settings(max_examples=50, deadline=None)
def test_arrays_hold_what_single_calls_give(seed: int, first: int) -> None:
    assert signals.uniforms(seed, first, 20).tolist() == [signals.uniform(seed, first + at) for at in range(20)]
    expected = [signals.noise(seed, first + at) for at in range(20)]
    np.testing.assert_allclose(signals.noises(seed, first, 20), expected, rtol=0, atol=1e-12)


@given(SEEDS, TIMES, st.floats(1.0, 1e5))
@settings(max_examples=100, deadline=None)
def test_wanders_stay_bounded_and_repeat(seed: int, time: float, scale: float) -> None:
    for signal in (signals.drift, signals.walk):
        value = signal(seed, time, scale)
        assert -1.0 <= value <= 1.0
        assert value == signal(seed, time, scale)
    assert -1.0 <= signals.diurnal(time) <= 1.0


@given(SEEDS, TIMES)
@settings(max_examples=100, deadline=None)
def test_a_walk_does_not_jump(seed: int, time: float) -> None:
    assert abs(signals.walk(seed, time + 0.01, 10.0) - signals.walk(seed, time, 10.0)) < 0.02


def test_uniforms_are_uniform_and_noise_has_spread_one() -> None:
    values = signals.uniforms(7, 0, 20_000)
    assert abs(values.mean() - 0.5) < 0.01
    assert abs(np.quantile(values, 0.9) - 0.9) < 0.01
    noise = signals.noises(7, 0, 20_000)
    assert abs(noise.mean()) < 0.03
    assert abs(noise.std() - 1.0) < 0.03


def test_one_burst_falls_into_each_stretch() -> None:
    on = [signals.burst(3, second, 600.0, 60.0) > 0 for second in range(6_000)]
    starts = sum(after and not before for before, after in zip([False, *on], on, strict=False))
    assert starts == 10
    assert 300 <= sum(on) <= 600


def test_a_duty_cycle_works_its_share() -> None:
    on = sum(signals.on_duty(5, second, 100.0, 0.3) for second in range(100_000))
    assert 0.27 < on / 100_000 < 0.33


def test_the_peak_of_the_day_is_where_it_was_asked_for() -> None:
    assert signals.diurnal(15 * 3600.0, 15.0) == 1.0
    assert signals.diurnal(3 * 3600.0, 15.0) == -1.0


def test_names_give_seeds_of_their_own() -> None:
    seeds = {signals.seed_of(seed, f"device-{number}") for seed in range(10) for number in range(100)}
    assert len(seeds) == 1_000
