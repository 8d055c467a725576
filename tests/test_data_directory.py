"""What a start makes of what is on disk."""

from pathlib import Path

import pytest
import trio.testing

from hub.data_directory import pass_cursors
from hub.ports import InlineWorker
from hub.state import State
from hub.store.memory import MemoryStore
from tests.journal.driving import running
from tests.simulation.files import SimulatedFiles


@pytest.mark.trio
@pytest.mark.parametrize("name", ["account", "control", "influx"])
async def test_p10_no_lsn_is_given_again_that_anybody_has_taken_in(
    name: str, autojump_clock: trio.testing.MockClock, tmp_path: Path
) -> None:
    state, store = State(tmp_path / "state.sqlite"), MemoryStore()
    state.open()
    store.open()
    with state.transaction():
        for each in ("account", "control", "influx"):
            state.cursors.set(each, 1)
        state.cursors.set(name, 70)
    async with running(SimulatedFiles()) as (journal, _):
        await pass_cursors(journal, state, InlineWorker(), store)
        assert journal.append(b"next", None) == 71
    state.close()
