from pathlib import Path

import pytest

from hub.journal import IdentityError, log_id
from hub.ports import InlineWorker, SystemRandomness
from tests.simulation.files import SimulatedFiles

pytestmark = pytest.mark.trio
DATA = Path("/data")


async def identity(files: SimulatedFiles) -> str:
    return await log_id(DATA, files, InlineWorker(), SystemRandomness())


async def test_p1_a_log_has_one_id_for_good() -> None:
    files = SimulatedFiles()
    first = await identity(files)
    assert len(first) == 32
    files.power_cut(0)
    assert await identity(files) == first
    assert await identity(SimulatedFiles()) != first


@pytest.mark.parametrize("what", ["append", "sync", "rename", "sync_directory"])
async def test_an_id_that_could_not_be_written_is_not_given(what: str) -> None:
    files = SimulatedFiles()
    files.fail(what)
    with pytest.raises(OSError, match="EIO"):
        await identity(files)
    files.power_cut(0)
    assert await identity(files) == await identity(files)


async def test_a_damaged_id_is_told_and_not_replaced() -> None:
    files = SimulatedFiles()
    await identity(files)
    files.content(DATA / "log")[3] = 0
    with pytest.raises(IdentityError, match="backup"):
        await identity(files)
