"""Every store, empty and open."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from hub.store.base import Store
from hub.store.duck import DuckStore
from hub.store.memory import MemoryStore
from tests.simulation.files import SimulatedFiles
from tests.simulation.store import SimulatedStore


@pytest.fixture(params=["duck", "memory", "simulated"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    made: Store
    if request.param == "duck":
        made = DuckStore(tmp_path / "store.duckdb", memory_mb=64)
    elif request.param == "memory":
        made = MemoryStore()
    else:
        made = SimulatedStore(tmp_path / "log", SimulatedFiles())
    assert made.open() == 0
    yield made
    made.close()
