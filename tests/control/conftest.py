from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.control.making import Room


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    room = Room(tmp_path / "state.sqlite")
    yield room
    room.state.close()
