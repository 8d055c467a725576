"""Does something grow? The slope of a process's figures over its lives, apart from what a start and the links cost."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

#: After a start: rings, caches and pools fill up to their bounds, and the C library's heap reaches the level that the
#: coming and going of links, with TLS each, leaves it at (measured: 157 MB after one minute, 175 after four, 178 after
#: six, while the blocks of Python's allocator are 540,000 all the time).
WARM_UP_SECONDS = 240.0
LEAST_SECONDS = 120.0  # of lives after that, in all: below it a slope is told, but says nothing yet
#: What may be growth in an hour: one descriptor or task for each cut link are some 15,000, a list that gets an entry of
#: 100 bytes a frame is some 100 MB and 900,000 blocks.
TOLERANCES = {"rss_mb": 30.0, "blocks": 100_000.0, "descriptors": 120.0, "tasks": 120.0}
#: And what a life may still grow by after its start, once: a checkpoint, an archive, the allocator. The longer the
#: lives, the less it hides.
ONCE = {"rss_mb": 6.0, "blocks": 20_000.0, "descriptors": 2.0, "tasks": 2.0}

CORRELATED = 10  # looks in a row that say much the same: links that were lost come back over some 20 s


@dataclass(frozen=True, eq=False)
class Look:
    """One look at a process: which of its lives, seconds since that began, its figures and how many links it has."""

    life: int
    uptime: float
    figures: dict[str, float]
    links: float


def judged(looks: Sequence[Look]) -> list[Look]:
    """Those that are not of a start."""
    return [look for look in looks if look.uptime >= WARM_UP_SECONDS]


def seconds(looks: Sequence[Look]) -> float:
    """How long the lives were, as far as they are judged."""
    lives: dict[int, list[float]] = {}
    for look in judged(looks):
        lives.setdefault(look.life, []).append(look.uptime)
    return sum(max(times) - min(times) for times in lives.values())


def tolerated(looks: Sequence[Look]) -> dict[str, float]:
    """What each figure may grow by in an hour, with lives as long as these were."""
    lives = {look.life for look in judged(looks)}
    hours = seconds(looks) / 3600 / max(1, len(lives))
    return {name: TOLERANCES[name] + ONCE[name] / max(hours, 1e-3) for name in TOLERANCES}


def slope(looks: Sequence[Look], name: str) -> tuple[float, float]:
    """By how much the figure grows in an hour, and twice the standard error of that.

    Least squares of the figure on time, number of links, and the most links so far (their memory is not given back),
    with a level of its own for each life.
    """
    chosen = judged(looks)
    lives = sorted({look.life for look in chosen})
    most: dict[int, float] = {}
    highest: dict[Look, float] = {}
    for look in looks:
        most[look.life] = highest[look] = max(most.get(look.life, 0.0), look.links)
    columns = [[look.uptime / 3600 for look in chosen], [look.links for look in chosen]]
    columns.append([highest[look] for look in chosen])
    columns += [[float(look.life == life) for look in chosen] for life in lives]
    matrix = np.array(columns).T
    wanted = np.array([look.figures[name] for look in chosen])
    if len(chosen) <= len(columns):
        return 0.0, float("inf")
    found, *_ = np.linalg.lstsq(matrix, wanted, rcond=None)
    left = wanted - matrix @ found
    variance = CORRELATED * float(left @ left) / (len(chosen) - len(columns))
    spread = np.linalg.pinv(matrix.T @ matrix)[0, 0]
    return float(found[0]), 2 * float(np.sqrt(variance * spread))


def growth(looks: Sequence[Look]) -> dict[str, float]:
    """The figures that grow by more than is tolerated, beyond what chance explains; in an hour."""
    if seconds(looks) < LEAST_SECONDS:
        return {}
    slopes = {name: slope(looks, name) for name in TOLERANCES}
    most = tolerated(looks)
    return {name: round(found, 1) for name, (found, error) in slopes.items() if found - error > most[name]}
