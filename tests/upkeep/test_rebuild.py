"""A rebuild by hand, over a journal that has nothing to give: the hub can start afterwards as it could before."""

from pathlib import Path

import pytest

from hub.disk import DiskFiles
from hub.ingest.marks import Marks
from hub.journal import Journal
from hub.journal.segments import segment_path
from hub.ports import InlineWorker, Ports
from hub.store.duck import DuckStore
from hub.upkeep.rebuild import RebuildError, rebuild
from hub.wire.records import pack_marks

pytestmark = pytest.mark.trio


async def test_a_journal_without_a_segment_is_left_as_it_is(tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    journal.mkdir()
    with pytest.raises(RebuildError, match="no segment"):
        await rebuild(tmp_path, 64, Ports(), lambda progress: None)
    assert list(journal.iterdir()) == []


async def test_where_a_restore_was_cut_short_nothing_is_rebuilt(tmp_path: Path) -> None:
    """It would stand in the way of the restore that is made again."""
    path = segment_path(tmp_path / "journal", 1)
    for made in (path, tmp_path / "restoring" / "state.sqlite"):
        made.parent.mkdir()
        made.touch()
    with pytest.raises(RebuildError, match="did not come to its end: 'telemetrio hub restore BACKUP' begins it"):
        await rebuild(tmp_path, 64, Ports(), lambda progress: None)
    assert DiskFiles().list(tmp_path) == ["journal", "lock", "restoring"]


async def test_after_a_rebuild_over_a_journal_that_is_all_damage_the_hub_can_start(tmp_path: Path) -> None:
    path = segment_path(tmp_path / "journal", 1)
    path.parent.mkdir()
    path.write_bytes(bytes(range(256)) * 16)
    rebuilt = await rebuild(tmp_path, 64, Ports(), lambda progress: None)
    assert (rebuilt.progress.readings, rebuilt.kept) == (0, None)
    journal = Journal(path.parent, DiskFiles(), InlineWorker(), snapshot=lambda: b"")
    try:
        assert Marks().recover(await journal.open()) == []
    finally:
        await journal.close()


async def segment(path: Path) -> None:
    """A journal with its first marks."""
    (path / "journal").mkdir()
    journal = Journal(path / "journal", DiskFiles(), InlineWorker(), snapshot=lambda: pack_marks(Marks().snapshot()))
    await journal.open()
    await journal.close()


@pytest.mark.parametrize(("content", "word"), [(None, "replaced"), (b"no database" * 1000, "damaged")])
async def test_only_a_store_that_can_be_read_is_called_replaced(
    tmp_path: Path, content: bytes | None, word: str
) -> None:
    await segment(tmp_path)
    store = DuckStore(tmp_path / "store.duckdb")
    if content is None:
        store.open()
        store.close()
    else:
        (tmp_path / "store.duckdb").write_bytes(content)
    rebuilt = await rebuild(tmp_path, 64, Ports(), lambda progress: None)
    assert rebuilt.kept is not None
    assert rebuilt.kept.name.startswith(f"store.duckdb.{word}-")
    assert rebuilt.kept.with_name(f"{rebuilt.kept.name}.note").exists() is (content is None), "it was asked"
