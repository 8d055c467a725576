"""Every store, empty and open."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from hub.store.base import Store
from hub.store.duck import DuckStore
from hub.store.memory import MemoryStore


@pytest.fixture(params=["duck", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    made: Store = DuckStore(tmp_path / "store.duckdb", memory_mb=64) if request.param == "duck" else MemoryStore()
    assert made.open() == 0
    yield made
    made.close()
