"""Seeded signals: every value is a pure function of (seed, time), so that a run can be repeated exactly.

Time is in seconds as a float or in whole steps; nothing here keeps state or knows what is measured.
"""

import math
from typing import Final

import numpy as np
import numpy.typing as npt

DAY: Final = 86_400.0  # seconds
_MASK: Final = (1 << 64) - 1
_GOLDEN: Final = 0x9E3779B97F4A7C15  # splitmix64: increments by the golden ratio, then mixes
_MIX_A: Final = 0xBF58476D1CE4E5B9
_MIX_B: Final = 0x94D049BB133111EB
_UNIT: Final = 2.0**-53

Floats = npt.NDArray[np.float64]


def seed_of(seed: int, *names: str) -> int:
    """A seed of 64 bits for what ``names`` names, so that each device and each metric goes its own way."""
    state = (seed * _GOLDEN + 0x1234567) & _MASK
    for name in names:
        for byte in name.encode():
            state = ((state ^ byte) * 0x100000001B3) & _MASK  # FNV-1a
        state = _mix(state)
    return state


def _mix(state: int) -> int:
    state = ((state ^ (state >> 30)) * _MIX_A) & _MASK
    state = ((state ^ (state >> 27)) * _MIX_B) & _MASK
    return state ^ (state >> 31)


def uniform(seed: int, index: int) -> float:
    """The ``index``-th number of [0, 1)."""
    return (_mix((seed + index * _GOLDEN) & _MASK) >> 11) * _UNIT


def uniforms(seed: int, first: int, count: int) -> Floats:
    """``count`` numbers from the ``first``-th on: the same as ``uniform`` gives one by one."""
    with np.errstate(over="ignore"):
        state = np.arange(first, first + count).astype(np.uint64) * np.uint64(_GOLDEN) + np.uint64(seed & _MASK)
        state = (state ^ (state >> np.uint64(30))) * np.uint64(_MIX_A)
        state = (state ^ (state >> np.uint64(27))) * np.uint64(_MIX_B)
        state = state ^ (state >> np.uint64(31))
    values: Floats = (state >> np.uint64(11)).astype(np.float64) * _UNIT
    return values


def noise(seed: int, index: int) -> float:
    """White noise of spread 1, near enough to normal and never beyond 3.5."""
    three = uniform(seed, 3 * index) + uniform(seed, 3 * index + 1) + uniform(seed, 3 * index + 2)
    return (three - 1.5) * 2.0


def noises(seed: int, first: int, count: int) -> Floats:
    """``count`` values of white noise from the ``first``-th on: the same as ``noise`` gives one by one."""
    values: Floats = (uniforms(seed, 3 * first, 3 * count).reshape(count, 3).sum(axis=1) - 1.5) * 2.0
    return values


def drift(seed: int, time: float, scale: float) -> float:
    """A smooth wander within [-1, 1] that forgets itself in about ``scale`` seconds."""
    place = time / scale
    index = math.floor(place)
    part = place - index
    part = part * part * (3.0 - 2.0 * part)
    before = uniform(seed, index)
    return 2.0 * (before + (uniform(seed, index + 1) - before) * part) - 1.0


def walk(seed: int, time: float, scale: float) -> float:
    """A bounded walk within [-1, 1]: wanders over ``scale`` seconds, with finer detail on top of it."""
    return (
        4.0 * drift(seed, time, scale)
        + 2.0 * drift(seed ^ 0xA5A5, time, scale / 3.7)
        + drift(seed ^ 0x5A5A, time, scale / 13.3)
    ) / 7.0


def diurnal(time: float, peak_hour: float = 15.0) -> float:
    """A sine of one day, 1 at ``peak_hour`` (UTC) and -1 twelve hours later."""
    return math.cos(2.0 * math.pi * (time / DAY - peak_hour / 24.0))


def burst(seed: int, time: float, every: float, length: float) -> float:
    """How far a burst has gone, in (0, 1], or 0 between bursts.

    One burst falls into each stretch of ``every`` seconds, at a place of its own, and lasts up to ``length`` seconds
    (half of that at least; ``length`` is at most ``every``).
    """
    slot = math.floor(time / every)
    lasts = length * (0.5 + 0.5 * uniform(seed, 2 * slot))
    begins = slot * every + (every - lasts) * uniform(seed, 2 * slot + 1)
    since = time - begins
    return min(1.0, since / lasts + 1e-9) if 0.0 <= since < lasts else 0.0


def on_duty(seed: int, time: float, period: float, share: float) -> bool:
    """Whether a machine that works ``share`` of each ``period`` (0.8 to 1.2 times that) is working now."""
    cycle = math.floor(time / period)
    return (time / period - cycle) < share * (0.8 + 0.4 * uniform(seed, cycle))
