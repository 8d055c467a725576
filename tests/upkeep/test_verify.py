"""The proof over the files of a hub that was killed: its ledger had not come to the end of its journal."""

from pathlib import Path

import pytest

from hub.upkeep.verify import Claims, Recount, verify
from hub.wire.shapes import LedgerEntry
from tests.journal.driving import DIRECTORY
from tests.simulation.files import SimulatedFiles
from tests.upkeep.keeping import Keeping, keeping

pytestmark = [pytest.mark.trio, pytest.mark.usefixtures("autojump_clock")]


async def killed(rooms: Keeping, *, booked: int | None = None, received: int = 0) -> Recount:
    """What is found when the account was killed before it took in the last two of five batches."""
    for seq in range(1, 4):
        rooms.ink.keep(seq)
    await rooms.settled()
    at, said = rooms.journal.durable, await rooms.ledger.entries()
    entries: list[LedgerEntry] = [{**entry, "received": entry["received"] + received} for entry in said]  # type: ignore[typeddict-item]
    rooms.ink.keep(4)
    rooms.ink.keep(5)
    await rooms.settled()
    stored, cursor = dict(rooms.store.stored(1 << 62)), rooms.store.counts()[0]
    claims = Claims(DIRECTORY, rooms.journal.durable, entries, stored, cursor, True, at if booked is None else booked)
    return verify(claims, rooms.files)


async def test_what_the_account_had_not_come_to_is_no_difference(tmp_path: Path) -> None:
    async with keeping(SimulatedFiles(), tmp_path) as rooms:
        recount = await killed(rooms)
        assert recount.problems == []
        (entry,) = recount.entries
        assert (entry["kept"], entry["balanced"]) == ([[1, 5]], True)


async def test_what_it_had_come_to_must_agree_to_the_last_reading(tmp_path: Path) -> None:
    async with keeping(SimulatedFiles(), tmp_path) as rooms:
        (problem,) = (await killed(rooms, received=1)).problems
        assert "received is" in problem


async def test_an_account_that_says_it_is_at_the_end_is_held_to_it(tmp_path: Path) -> None:
    async with keeping(SimulatedFiles(), tmp_path) as rooms:
        assert (await killed(rooms, booked=1 << 40)).problems
