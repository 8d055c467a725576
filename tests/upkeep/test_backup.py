"""Backups: all of them whole or not there at all, and what is put back of one is what was backed up."""

import errno
import json
import os
import shutil
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import pytest
import trio

from hub.disk import DiskFiles
from hub.journal import Journal
from hub.journal.archive import archive_path
from hub.journal.archiving import archive_segment
from hub.journal.segments import segment_path, segments
from hub.ports import InlineWorker
from hub.state import State, StateDamaged, StateError, copy_state
from hub.upkeep import making
from hub.upkeep import restore as putting
from hub.upkeep.backup import back_up, back_up_by_hand
from hub.upkeep.collected import Collected, write_collected
from hub.upkeep.making import Made
from hub.upkeep.manifest import NAME, BackupError, Manifest, read_manifest, write_manifest
from hub.upkeep.restore import Restored, half_restored, restore_all, restore_state
from tests.state.filled import content, filled

DISK: Final = DiskFiles()
NOW: Final = 1_700_000_000_000_000
LOG: Final = "0123456789abcdef" * 2


def append(data: Path, records: int, segments: int = 1, *, roll: bool = True) -> None:
    """A hub's life: so many records in each of some segments, the last of which it closes."""

    async def live() -> None:
        journal = Journal(data / "journal", DISK, InlineWorker(), snapshot=lambda: b"marks")
        await journal.open()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(journal.run)
            for _ in range(segments):
                for number in range(records):
                    journal.append(b"%d" % number * 50, None)
                if roll:
                    journal.roll()
                await journal.wait_durable(journal.appended)
            nursery.cancel_scope.cancel()
        await journal.close()

    trio.run(live)


def archive(data: Path) -> None:
    """All closed segments, as the keeper does."""
    firsts = segments(data / "journal", DISK)
    for first, following in pairwise(firsts):
        if segment_path(data / "journal", first).exists():
            for _ in archive_segment(data / "journal", DISK, first, following):
                pass


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data directory: a state file, two archived segments, two plain ones."""
    data = tmp_path / "data"
    data.mkdir()
    (data / "log").write_text(f"{LOG}\n")
    filled(data / "state.sqlite")
    append(data, 20, 2)
    archive(data)
    append(data, 20)
    return data


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "backup"


def backed_up(data: Path, folder: Path, now: int = NOW) -> Made:
    return back_up(data, folder, "1.0", now, lambda done, of: None)


def contents(data: Path) -> dict[str, bytes]:
    """All that is in a backup, by name; of the state file what is read of it."""
    names = [path for path in sorted(data.rglob("*")) if path.is_file() and "state." not in path.name]
    found = {
        str(path.relative_to(data)): path.read_bytes()
        for path in names
        if path.name not in ("lock", "reserve", "restores")
    }
    return found | {"state": repr(content(data / "state.sqlite")[:2] + content(data / "state.sqlite")[4:-1]).encode()}


def restored(folder: Path, at: Path) -> dict[str, bytes]:
    restore_all(at, folder, NOW + 9)
    return contents(at)


def test_what_is_put_back_is_what_was_backed_up(data: Path, folder: Path, tmp_path: Path) -> None:
    made = backed_up(data, folder)
    assert made.copied == made.size == sum(each.size for each in made.manifest.files.values())
    assert made.manifest.lsn == segments(data / "journal", DISK)[-1]
    assert restored(folder, tmp_path / "elsewhere") == contents(data)
    assert {path.stat().st_mode & 0o077 for path in folder.rglob("*")} == {0}, "it has the hashes of tokens"


def test_made_again_only_what_is_new_is_copied(data: Path, folder: Path, tmp_path: Path) -> None:
    first = backed_up(data, folder)
    append(data, 5)
    archive(data)
    again = backed_up(data, folder, NOW - 5)  # by a clock that was set back
    assert again.manifest.made > first.manifest.made
    kept = {name for name, each in again.manifest.files.items() if first.manifest.files.get(name) == each}
    assert kept == {f"journal/{archive_path(data, first).name}" for first in segments(data / "journal", DISK)[:2]}
    assert restored(folder, tmp_path / "elsewhere") == contents(data)
    names = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert names == {each.file for each in again.manifest.files.values()} | {NAME, "lock"}, "nothing is left behind"


def test_what_was_collected_leaves_the_backup(data: Path, folder: Path, tmp_path: Path) -> None:
    backed_up(data, folder)
    archive_path(data / "journal", 1).unlink()
    write_collected(data / "journal", DISK, Collected(segments(data / "journal", DISK)[0] - 1))
    backed_up(data, folder)
    assert not archive_path(folder / "journal", 1).exists()
    assert restored(folder, tmp_path / "elsewhere") == contents(data)


Call = Callable[[Callable[..., Any]], Callable[..., Any]]
MAKING: Final = ("copy_file", "copy_state", "write_manifest")


class Killed(BaseException):
    """The process ends here."""


def steps(monkeypatch: pytest.MonkeyPatch, at: int, module: ModuleType, *names: str) -> Call:
    """Die at the ``at``-th call of these functions; what makes a further one count."""
    calls = 0

    def counted(call: Callable[..., Any]) -> Callable[..., Any]:
        def made(*args: Any, **kwargs: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls == at:
                raise Killed
            return call(*args, **kwargs)

        return made

    for name in names:
        monkeypatch.setattr(module, name, counted(getattr(module, name)))
    return counted


def test_whoever_dies_in_the_middle_leaves_the_backup_that_was_there(
    data: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backed_up(data, folder)
    before = restored(folder, tmp_path / "before")
    append(data, 5, roll=False)  # the newest segment grows
    archive(data)
    after, at, found = contents(data), 0, []
    while True:
        at += 1
        copy = tmp_path / f"copy-{at}"
        shutil.copytree(folder, copy)
        with monkeypatch.context() as patched:
            patched.setattr(Path, "unlink", steps(patched, at, making, *MAKING)(Path.unlink))
            try:
                backed_up(data, copy)
                break
            except Killed:
                pass
        found.append(restored(copy, tmp_path / f"killed-{at}"))
        assert found[-1] in (before, after)
        backed_up(data, copy)
        assert restored(copy, tmp_path / f"again-{at}") == after
    assert before in found
    assert after in found
    assert at > 8


def test_a_first_backup_that_was_killed_is_gone_on_with(
    data: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        steps(patched, 5, making, *MAKING)
        with pytest.raises(Killed):
            backed_up(data, folder)
    with pytest.raises(BackupError, match="has no backup; 'telemetrio hub backup' makes one"):
        restore_all(tmp_path / "elsewhere", folder, NOW)
    backed_up(data, folder)
    assert restored(folder, tmp_path / "elsewhere") == contents(data)


def test_damage_of_the_journal_is_told_and_costs_no_earlier_copy(data: Path, folder: Path, tmp_path: Path) -> None:
    backed_up(data, folder)
    before = restored(folder, tmp_path / "before")
    newest = segments(data / "journal", DISK)[-2]
    path = segment_path(data / "journal", newest)
    flipped = bytearray(path.read_bytes())
    flipped[400] ^= 1
    path.write_bytes(flipped)
    with pytest.raises(
        BackupError, match=r"records (\d+)-\1 of the journal are damaged now, and the backup .* has more"
    ):
        backed_up(data, folder)
    assert restored(folder, tmp_path / "after") == before
    made = backed_up(data, tmp_path / "other")
    ((first, last),) = made.manifest.missing
    assert first == last > newest
    again = backed_up(data, tmp_path / "other").manifest
    assert again.missing == made.manifest.missing, "told again, and no reason to refuse"


def cut_the_newest(data: Path) -> None:
    newest = segment_path(data / "journal", segments(data / "journal", DISK)[-2])
    segment_path(data / "journal", segments(data / "journal", DISK)[-1]).unlink()
    newest.write_bytes(newest.read_bytes()[:600])


def lose_the_newest(data: Path) -> None:
    for first in segments(data / "journal", DISK)[-2:]:
        segment_path(data / "journal", first).unlink()


def lose_the_first(data: Path) -> None:
    archive_path(data / "journal", 1).unlink()


def lose_one_between(data: Path) -> None:
    archive_path(data / "journal", segments(data / "journal", DISK)[1]).unlink()


def lose_the_count(data: Path) -> None:
    (data / "journal" / "collected").unlink()


def flip_the_count(data: Path) -> None:
    path = data / "journal" / "collected"
    path.write_bytes(path.read_bytes().replace(b"1", b"2"))


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (cut_the_newest, True), (lose_the_newest, True), (lose_the_first, True), (lose_one_between, True),
        (lose_the_count, False), (flip_the_count, False),
    ],
)  # fmt: skip
def test_a_backup_is_not_replaced_by_one_that_has_less(
    data: Path, folder: Path, tmp_path: Path, damage: Callable[[Path], None], told: bool
) -> None:
    if not told:
        write_collected(data / "journal", DISK, Collected(segments(data / "journal", DISK)[1] - 1))
        archive_path(data / "journal", 1).unlink()
    state = State(data / "state.sqlite")
    state.open()
    state.cursors.set("account", segments(data / "journal", DISK)[-1])  # as a hub has that has taken in all
    state.close()
    backed_up(data, folder)
    before = restored(folder, tmp_path / "before")
    damage(data)
    with pytest.raises(BackupError, match=r"has more: it is left as it was|collected is damaged"):
        backed_up(data, folder)
    assert restored(folder, tmp_path / "after") == before
    if told:
        assert backed_up(data, tmp_path / "fresh").manifest.missing, "and a fresh one says what it lacks"


def test_a_hub_that_was_restored_does_not_replace_the_backups_of_before(
    data: Path, folder: Path, tmp_path: Path
) -> None:
    backed_up(data, folder)
    append(data, 5)
    newer = tmp_path / "newer"
    backed_up(data, newer)
    other = tmp_path / "other"
    restore_all(other, folder, NOW)
    append(other, 50)
    for old in (folder, newer):
        wrong(partial(backed_up, other, old), "was restored since the backup .* was made.*: name another folder")
    backed_up(other, tmp_path / "fresh")
    backed_up(other, tmp_path / "fresh")
    assert restored(tmp_path / "fresh", tmp_path / "again") == contents(other)


def test_a_damaged_copy_in_a_backup_is_made_again(data: Path, folder: Path, tmp_path: Path) -> None:
    path = archive_path(folder / "journal", 1)
    backed_up(data, folder)
    path.write_bytes(path.read_bytes()[:-9] + b"#" * 9)
    backed_up(data, folder)
    assert restored(folder, tmp_path / "elsewhere") == contents(data)


def test_a_backup_that_fails_leaves_nothing_behind(
    data: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backed_up(data, folder)
    names = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
    append(data, 5)
    monkeypatch.setattr(making, "write_manifest", no_space)
    wrong(lambda: backed_up(data, folder), "No space left on device; the backup that was there is as it was")
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()} == names
    monkeypatch.setattr(making, "SPARE", 1 << 60)
    wrong(
        lambda: backed_up(data, folder), r"MB are wanted, some of them to stay free, and \d+ MB are there: make space"
    )


def test_a_manifest_that_is_there_but_not_sure_to_last_keeps_its_files(
    data: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sync of the folder fails, after the manifest has its name: whichever one is there must be whole."""
    backed_up(data, folder)
    before = restored(folder, tmp_path / "before")
    append(data, 5)

    def written(folder: Path, manifest: Manifest) -> None:
        write_manifest(folder, manifest)
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(making, "write_manifest", written)
    earlier = (folder / NAME).read_bytes()
    wrong(
        lambda: backed_up(data, folder), "Input/output error; the new backup is there, but may not outlast a power cut"
    )
    assert restored(folder, tmp_path / "new") == contents(data)
    newer = (folder / NAME).read_bytes()
    (folder / NAME).write_bytes(earlier)  # as a power cut leaves it
    assert restored(folder, tmp_path / "old") == before
    (folder / NAME).write_bytes(newer)
    monkeypatch.undo()
    backed_up(data, folder)
    assert restored(folder, tmp_path / "again") == contents(data)


def no_space(folder: Path, manifest: Manifest) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("share", [0.0, 0.3, 0.6, 0.99])
def test_a_flipped_bit_in_a_backup_is_found_before_anything_is_changed(
    data: Path, folder: Path, tmp_path: Path, share: float
) -> None:
    made = backed_up(data, folder)
    for name in [*(each.file for each in made.manifest.files.values()), NAME]:
        path = folder / name
        good = path.read_bytes()
        flipped = bytearray(good)
        flipped[int(len(good) * share)] ^= 16
        path.write_bytes(flipped)
        with pytest.raises(BackupError, match="use another backup"):
            restore_all(tmp_path / "elsewhere", folder, NOW)
        path.unlink()
        with pytest.raises(BackupError, match="another backup" if name != NAME else "no backup"):
            restore_all(tmp_path / "elsewhere", folder, NOW)
        path.write_bytes(good)
    assert not (tmp_path / "elsewhere").exists()


def test_only_a_place_without_anything_of_worth_is_restored_into(data: Path, folder: Path, tmp_path: Path) -> None:
    backed_up(data, folder)
    before = contents(data)
    with pytest.raises(BackupError, match=r"something in it already \(journal, log, .*restore --state"):
        restore_all(data, folder, NOW)
    assert contents(data) == before
    other = tmp_path / "other"
    other.mkdir()
    for name in ("lock", "reserve"):
        (other / name).write_bytes(b"")
    assert restored(folder, other) == before


def test_a_restore_that_was_killed_is_made_again(
    data: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backed_up(data, folder)
    want, at, unfinished = contents(data), 0, 0
    while True:
        at += 1
        place = tmp_path / f"place-{at}"
        with monkeypatch.context() as patched:
            calls = steps(patched, at, putting, "copy_file", "_begin_again")
            patched.setattr(DiskFiles, "rename", calls(DiskFiles.rename))
            patched.setattr(Path, "rmdir", calls(Path.rmdir))
            try:
                restore_all(place, folder, NOW)
                break
            except Killed:
                pass
        assert (half_restored(place, DISK) is None) == (place / "state.sqlite").exists()
        if (place / "state.sqlite").exists():
            assert contents(place) == want, "a hub that starts here has all"
            wrong(partial(restore_all, place, folder, NOW), "something in it already")
        else:
            unfinished += 1
            if (place / "journal").exists():
                wrong(
                    partial(restore_state, place, folder, NOW), "did not come to its end: .* restore BACKUP' begins it"
                )
            assert restored(folder, place) == want
            assert not (place / "restoring").exists()
    assert contents(place) == want
    assert (unfinished, at) == (11, 13), "of twelve calls the eleventh has the state file come out"


def test_a_journal_that_no_restore_put_there_is_never_removed(data: Path, folder: Path, tmp_path: Path) -> None:
    """A restore was killed, the rest of it forgotten, and a hub has run there since."""
    backed_up(data, folder)
    place = tmp_path / "place"
    restore_all(place, folder, NOW)
    shutil.copytree(place, tmp_path / "restoring")
    (tmp_path / "restoring").rename(place / "restoring")
    (place / "state.sqlite").unlink()
    before = {path: path.read_bytes() for path in (place / "journal").iterdir()}
    wrong(partial(restore_all, place, folder, NOW), r"something in it already \(journal, log, restores\)")
    shutil.rmtree(place / "restoring" / "journal")
    wrong(partial(restore_all, place, folder, NOW), r"something in it already \(journal, log, restores\)")
    assert {path: path.read_bytes() for path in (place / "journal").iterdir()} == before


def test_what_a_restore_leaves_that_had_put_back_all_is_in_nobodys_way(
    data: Path, folder: Path, tmp_path: Path
) -> None:
    """It was killed before it removed its empty folder; later the state file is lost."""
    backed_up(data, folder)
    place = tmp_path / "place"
    restore_all(place, folder, NOW)
    (place / "restoring").mkdir()
    assert half_restored(place, DISK) is None
    (place / "state.sqlite").unlink()
    assert half_restored(place, DISK) is None
    restore_state(place, folder, NOW)
    assert contents(place) == contents(data)


def test_what_is_put_back_by_root_is_of_whom_the_directory_is(data: Path, folder: Path, tmp_path: Path) -> None:
    backed_up(data, folder)
    place = tmp_path / "place"
    place.mkdir()
    owner = 65_534 if os.geteuid() == 0 else os.geteuid()
    if os.geteuid() == 0:
        os.chown(place, owner, -1)
    restore_all(place, folder, NOW)
    assert {path.stat().st_uid for path in (place, *place.rglob("*"))} == {owner}


@pytest.mark.parametrize("names", [("journal",), ("journal", "lock")])
def test_somebodys_copy_of_a_journal_is_no_backup_and_is_left_as_it_is(
    data: Path, tmp_path: Path, names: tuple[str, ...]
) -> None:
    other = tmp_path / "by-hand"
    other.mkdir()
    shutil.copytree(data / "journal", other / "journal")
    if "lock" in names:
        (other / "lock").touch()
    before = {path: path.read_bytes() for path in (other / "journal").iterdir()}
    wrong(lambda: backed_up(data, other), "is no backup, but has journal")
    assert {path: path.read_bytes() for path in (other / "journal").iterdir()} == before


@pytest.fixture
def copied(data: Path, folder: Path) -> Path:
    """A backup, and a state file that has changed since then."""
    backed_up(data, folder)
    state = State(data / "state.sqlite")
    state.open()
    state.tokens.remove("device", "pump-3")
    state.close()
    return folder


def test_a_state_file_is_put_back_and_the_other_one_kept(data: Path, copied: Path) -> None:
    lately = content(data / "state.sqlite")
    done = restore_state(data, copied, NOW)
    assert (done.devices, done.tokens, done.doubted, done.made) == (8, 8, 8, NOW)
    assert done.kept is not None
    assert content(done.kept) == lately
    state = State(data / "state.sqlite")
    state.open()
    assert {info["state"] for info in state.commands.list(None, None, 99)} == {"sent"}, "none is sent a second time"
    assert state.audit.list(1)[0].action == "state.restore"
    state.close()
    assert restore_state(data, copied, NOW).kept != done.kept


def test_a_state_file_that_is_damaged_is_kept_with_what_is_beside_it(data: Path, copied: Path) -> None:
    for name, bytes_ in (("state.sqlite", b"no database"), ("state.sqlite-wal", b"no log")):
        (data / name).write_bytes(bytes_)
    kept = restore_state(data, copied, NOW).kept
    assert kept is not None
    assert kept.read_bytes() == b"no database"
    assert kept.with_name(f"{kept.name}-wal").read_bytes() == b"no log"
    assert len(content(data / "state.sqlite")[1]) == 8  # type: ignore[arg-type]


def wrong(call: Callable[[], "Made | Restored"], said: str) -> None:
    with pytest.raises((BackupError, StateError), match=said):
        call()


def test_wrong_places_are_told(data: Path, copied: Path, tmp_path: Path) -> None:
    other, file = tmp_path / "letters", tmp_path / "file"
    other.mkdir()
    (other / "to-my-aunt.txt").touch()
    file.touch()
    wrong(lambda: backed_up(data, other), "is no backup, but has to-my-aunt.txt: name an empty folder")
    wrong(lambda: backed_up(data, file), "file is no folder: name one")
    wrong(lambda: backed_up(data, data / "backup"), "name a folder elsewhere")
    wrong(lambda: backed_up(tmp_path / "nowhere", tmp_path / "new"), "no hub has run here; name its settings")
    wrong(lambda: restore_all(tmp_path / "new", other, NOW), "has no backup; 'telemetrio hub backup' makes one")
    wrong(
        lambda: restore_state(data, None, NOW), "state.copy is not there: name a backup, telemetrio hub restore --state"
    )
    wrong(lambda: restore_state(tmp_path / "nowhere", copied, NOW), "no hub has run here")
    (data / "log").write_text("f" * 32 + "\n")
    wrong(lambda: backed_up(data, copied), "has the backup of another hub: name another folder")
    wrong(lambda: restore_state(data, copied, NOW), "has the backup of another hub than the one in")
    (data / "log").write_text("a word")
    wrong(lambda: backed_up(data, copied), "log is damaged")
    wrong(lambda: restore_state(data, copied, NOW), "log is damaged")
    assert not (tmp_path / "new").exists()


def test_a_journal_without_a_segment_is_told(data: Path, folder: Path) -> None:
    for path in (data / "journal").iterdir():
        path.unlink()
    wrong(lambda: backed_up(data, folder), "has no segment: there is nothing that a hub could be restored from")


def test_a_backup_in_the_place_that_is_restored_is_not_touched(data: Path, tmp_path: Path) -> None:
    place = tmp_path / "place"
    backed_up(data, place / "restoring")
    wrong(lambda: restore_all(place, place / "restoring", NOW), "is in .*place, which is to be made anew: move it")
    assert restored(place / "restoring", tmp_path / "elsewhere") == contents(data)


def test_an_empty_file_is_no_state_file(data: Path, copied: Path, tmp_path: Path) -> None:
    before = restored(copied, tmp_path / "before")
    (data / "state.copy").touch()
    wrong(lambda: restore_state(data, None, NOW), "state.copy is damaged: it is empty: use another backup")
    (data / "state.sqlite").write_bytes(b"")
    wrong(lambda: backed_up(data, copied), "state.sqlite is damaged: it is empty")
    wrong(lambda: back_up_by_hand(data, copied, "1.0", NOW, lambda done, of: None), "is gone, and with it all tokens")
    assert restored(copied, tmp_path / "after") == before


def test_the_hubs_own_copy_does_not_stand_against_an_older_state_file_that_is_put_back(
    data: Path, copied: Path
) -> None:
    copy_state(data / "state.sqlite", data / "state.copy")
    restore_state(data, copied, NOW)
    assert not (data / "state.copy").exists()
    assert len(list(data.glob("state.sqlite.replaced-*.copy"))) == 1


def test_nobody_is_in_the_way_of_another(data: Path, copied: Path) -> None:
    lock = DISK.lock(copied / "lock")
    wrong(lambda: backed_up(data, copied), "another backup is being made")
    lock.close()
    lock = DISK.lock(data / "lock")
    wrong(lambda: back_up_by_hand(data, copied, "1.0", NOW, lambda done, of: None), "a hub runs on")
    wrong(lambda: restore_state(data, copied, NOW), "a hub runs on .*: stop it")
    lock.close()


def test_a_damaged_state_file_is_not_backed_up(data: Path, copied: Path, tmp_path: Path) -> None:
    path = data / "state.sqlite"
    good, before = path.read_bytes(), restored(copied, tmp_path / "before")
    path.write_bytes(good.replace(b"too fast", b"too slow"))
    for call in (
        lambda: backed_up(data, copied),
        lambda: back_up_by_hand(data, copied, "1.0", NOW, lambda done, of: None),
    ):
        with pytest.raises(StateDamaged, match="a row of quarantine is not what was written"):
            call()
    assert restored(copied, tmp_path / "after") == before


def test_a_manifest_of_a_later_format_is_told(data: Path, copied: Path) -> None:
    from zlib import crc32

    body = json.dumps([2, "and", "so", "on"]).encode()
    (copied / NAME).write_bytes(b"%08x\n" % crc32(body) + body)
    wrong(lambda: restore_state(data, copied, NOW), "is of format 2, this version knows 1")


def test_a_manifest_reads_back(data: Path, folder: Path) -> None:
    made = backed_up(data, folder)
    assert read_manifest(folder) == made.manifest
    assert isinstance(made.manifest, Manifest)
    assert (made.manifest.version, made.manifest.log) == ("1.0", LOG)
