"""Of the stores that were set aside, only those are named that may have what the journal lacks."""

from pathlib import Path

import pytest
from trio.testing import MockClock

from hub.store.base import StoreError
from hub.store.duck import DuckStore
from hub.store.mending import ASKED
from tests.simulation.files import SimulatedFiles
from tests.upkeep.keeping import flip_record
from tests.upkeep.living import Life, life, written

pytestmark = pytest.mark.trio

BATCH = 3  # the first: after the marks and a birth


async def caution(life: Life) -> str:
    await life.rooms.settled()
    await life.watch.look()
    (told,) = life.watch.cautions()
    return told


async def made_again(life: Life, why: str = "its file was cut") -> str:
    """Have the store set aside and filled again; the name of the old one."""
    await life.rooms.settled()
    before = set(life.set_aside())
    life.mender.condemn(why)
    await life.renewed()
    (name,) = set(life.set_aside()) - before
    return name


async def test_one_that_was_made_from_the_damaged_journal_is_not_named(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    files = SimulatedFiles()
    await written(files, tmp_path)
    flip_record(files, BATCH)
    async with life(files, tmp_path) as second:
        has = await made_again(second)
        assert f"the only copy may be in a store that was set aside ({has}): keep it" in await caution(second)
        lacks = [await made_again(second)]
        await second.mender.renew(accept_loss=False)  # asks it before
        await second.renewed()
        assert second.store.kept is not None
        lacks.append(second.store.kept.name)
        assert second.set_aside() == [has, *lacks]
        told = await caution(second)
        assert f"({has}): keep it" in told
        assert not [name for name in lacks if name in told]
    async with life(files, tmp_path) as third:
        assert await caution(third) == told, "a restart forgets nothing of it"


async def test_one_that_was_set_aside_before_the_record_was_there_is_not_named(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    files = SimulatedFiles()
    async with life(files, tmp_path) as first:
        first.rooms.ink.keep(1)
        earlier = await made_again(first, ASKED)
        late = first.rooms.ink.keep(2)
        first.rooms.ink.keep(3)
        await first.rooms.settled()
    flip_record(files, late.lsn)
    async with life(files, tmp_path) as second:
        has = await made_again(second)
        assert second.set_aside() == [earlier, has]
        assert f"({has}): keep it" in await caution(second)


async def test_of_one_that_was_damaged_before_it_was_asked_that_is_not_known(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    files = SimulatedFiles()
    await written(files, tmp_path)
    flip_record(files, BATCH)
    async with life(files, tmp_path) as second:
        has = await made_again(second)
    (tmp_path / "store.duckdb").write_bytes(b"no database" * 1000)
    async with life(files, tmp_path) as third:
        told = await caution(third)
        unknown = third.set_aside()[1]
        assert f"in one of the stores that were set aside, it is not known which ({has}, {unknown}): keep them" in told


async def test_one_that_somebody_put_in_the_stores_place_is_not_taken_for_it(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    files, path = SimulatedFiles(), tmp_path / "store.duckdb"
    await written(files, tmp_path)
    flip_record(files, BATCH)
    async with life(files, tmp_path) as second:
        has = await made_again(second)
        assert has in await caution(second), "and so the store is known to lack it"
        path.rename(tmp_path / "elsewhere")
        path.with_name("store.duckdb.wal").unlink(missing_ok=True)
        (tmp_path / has).rename(path)
        assert second.store.check() == "its file was replaced by another"
        name = await made_again(second)
        assert f"({name}): keep it" in await caution(second)
        kept = DuckStore(tmp_path / name)
    kept.open()
    assert kept.batches(BATCH, BATCH) == [("pump-1", 1, 1, 2)]
    kept.close()


async def test_one_that_was_in_use_again_is_named(autojump_clock: MockClock, tmp_path: Path) -> None:
    files, path = SimulatedFiles(), tmp_path / "store.duckdb"
    async with life(files, tmp_path) as first:
        first.rooms.ink.keep(1)
        kept = tmp_path / await made_again(first)
    path.rename(tmp_path / "second")
    kept.rename(path)
    async with life(files, tmp_path) as second:  # it takes more, and is put away by hand
        late = second.rooms.ink.keep(2)
        second.rooms.ink.keep(3)
        await second.rooms.settled()
    path.rename(kept)
    flip_record(files, late.lsn)
    async with life(files, tmp_path) as third:
        assert f"({kept.name}): keep it" in await caution(third)


async def test_the_ledger_is_quoted_as_it_is(autojump_clock: MockClock, tmp_path: Path) -> None:
    files = SimulatedFiles()
    await written(files, tmp_path)
    flip_record(files, BATCH - 1)  # a birth: there is a copy of it nowhere, and no reading in it
    async with life(files, tmp_path) as second:
        told = await caution(second)
        assert told.endswith(
            "the store has no readings of that; 'telemetrio ledger' showed no loss when this was last looked at"
        )
        second.watch._ledger = Lost()  # type: ignore[assignment]
        second.watch._asked = None
        assert (await caution(second)).endswith("; 'telemetrio ledger' tells which batches were lost at the hub")


async def test_a_store_that_cannot_say_what_it_has_makes_no_other_one_worthless(
    autojump_clock: MockClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise StoreError("a block cannot be read")

    files = SimulatedFiles()
    await written(files, tmp_path)
    flip_record(files, BATCH)
    async with life(files, tmp_path) as second:
        has = await made_again(second)
        monkeypatch.setattr(DuckStore, "batches", fails)
        told = await caution(second)
        assert (
            "the store cannot say what it has of them (a block cannot be read); a copy of what was in them may" in told
        )
        assert f"({has}): keep it" in told


class Lost:
    """A ledger with two batches that were lost, and are in its equations."""

    async def entries(self) -> list[dict[str, object]]:
        return [
            {
                "lost": [[4, 5]], "received": 6, "stored": 6, "pending": 0, "rejected": {}, "expired": 0, "removed": {},
            }
        ]  # fmt: skip
