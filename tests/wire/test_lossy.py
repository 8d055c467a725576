"""Two session machines over a network that loses, a hub that is killed, a device that forgets or is rewound."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.wire.world import World

STEADY = [
    "make",
    "make",
    "speak",
    "speak",
    "carry_up",
    "carry_up",
    "carry_down",
    "carry_down",
    "sync",
    "ack",
    "connect",
]
ROUGH = ["cut", "cut", "kill", "damage", "give_up", "bye", "reboot", "photograph", "rewind"]
steps = st.lists(st.tuples(st.sampled_from([*STEADY, *STEADY, *ROUGH]), st.integers(0, 400)), max_size=120)


def _live(world: World, script: list[tuple[str, int]]) -> None:
    for name, count in script:
        getattr(world, name)(count)
        world.check()


@settings(max_examples=200, deadline=None)
@given(steps)
def test_p1_to_p7_what_is_settled_is_here_once(script: list[tuple[str, int]]) -> None:
    """No machine ever refuses what the other says, nothing settled is missing, nothing is here twice; and when the
    network is good again, everything arrives that was not given up."""
    _live_and_heal(script)


@pytest.mark.parametrize("seed", range(0, 300, 100))
def test_p1_to_p7_hold_over_long_lives(seed: int) -> None:
    for life in range(seed, seed + 100):
        chance = random.Random(life)
        names = [*STEADY * 9, *ROUGH]
        _live_and_heal([(chance.choice(names), chance.randrange(400)) for _ in range(250)])


def _live_and_heal(script: list[tuple[str, int]]) -> None:
    world = World()
    _live(world, script)
    world.heal()
    everything = {float(number) for number in range(world.made)}
    assert everything <= set(world.kept()) | world.forgotten | world.damaged
    epoch = world.hub.epochs[world.hub.current]
    assert epoch.here.pairs() == ([(1, world.device.next - 1)] if world.device.next > 1 else [])


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 30), st.integers(0, 400), st.integers(0, 30))
def test_p7_a_lost_ack_costs_a_reconnect_and_nothing_else(batches: int, count: int, carried: int) -> None:
    world = World()
    world.connect(0)
    _live(world, [("carry_up", 6), ("carry_down", 0)])
    for _ in range(batches):
        _live(world, [("make", 0), ("speak", 0), ("carry_up", 0), ("sync", 0), ("ack", count)])
        if carried:
            world.carry_down(0)
    world.cut(0)
    world.heal()
    assert sorted(world.kept()) == [float(number) for number in range(batches)]
