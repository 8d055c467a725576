"""The judge of the soak sees what grows, and nothing else."""

import random
from math import exp

import pytest

from tests.faults.slopes import Look, growth, seconds, slope


def looks(rss_per_hour: float = 0.0, tasks_per_hour: float = 0.0, blocks_per_hour: float = 0.0) -> list[Look]:
    """Two lives of a quarter of an hour, with noise, a steep start that levels out, and links that come and go."""
    chance = random.Random(5)
    found = []
    for life in range(2):
        most = 0.0
        for uptime in range(0, 900, 5):
            links = chance.uniform(400, 500)
            most = max(most, links)
            start = 60 * (1 - exp(-uptime / 60))
            hours = uptime / 3600
            figures = {
                "rss_mb": 100 + start + 0.05 * most + 3 * life + rss_per_hour * hours + chance.gauss(0, 0.3),
                "blocks": 100_000 + 500 * links + blocks_per_hour * hours + chance.gauss(0, 5_000),
                "descriptors": 30 + links + chance.gauss(0, 0.3),
                "tasks": 20 + 4 * links + tasks_per_hour * hours + chance.gauss(0, 0.5),
            }
            found.append(Look(life, float(uptime), figures, links))
    return found


def test_starts_and_links_are_no_growth() -> None:
    assert growth(looks()) == {}
    assert seconds(looks()) == 2 * 655


def test_a_slope_is_that_of_the_leak() -> None:
    found, error = slope(looks(rss_per_hour=90.0), "rss_mb")
    assert found == pytest.approx(90.0, abs=error)
    assert error < 15


def test_leaks_are_growth() -> None:
    assert list(growth(looks(rss_per_hour=120.0))) == ["rss_mb"]
    assert list(growth(looks(tasks_per_hour=1_000.0))) == ["tasks"]
    assert list(growth(looks(blocks_per_hour=500_000.0))) == ["blocks"]


def test_a_short_soak_judges_nothing() -> None:
    assert growth([look for look in looks(rss_per_hour=9_000.0) if look.uptime < 300]) == {}
