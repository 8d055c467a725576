"""Whatever is wrong with the state file: it is told with what to do, or what is read of it is what was written."""

import os
import random
import re
import shutil
import sqlite3
import struct
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Final

import pytest

from hub.state import AccountRow, Deed, State, StateDamaged, StateError, copy_state
from hub.state.wal import FRAME_HEADER, HEADER, _checksum
from tests.state.filled import content, filled

STRIDE: Final = 1009  # bits between two that are flipped: about five hundred of the file
PAGE: Final = 4096  # bytes
COMMITS: Final = 12


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "state.sqlite"
    filled(path)
    return path


def said(path: Path) -> "list[object] | str":
    """What is read of it, or that it is damaged; beside it lies nothing that SQLite made of it before."""
    try:
        return content(path)
    except StateError as error:
        told = re.fullmatch(r"the state file \S+ is damaged: .+telemetrio hub restore --state.*", str(error))
        return "damaged" if told else str(error)
    finally:
        for part in ("-wal", "-shm"):
            path.with_name(f"{path.name}{part}").unlink(missing_ok=True)


def test_archive_a_flipped_bit_of_the_state_file_is_told_or_costs_nothing(path: Path) -> None:
    written, good = content(path), path.read_bytes()
    told = 0
    for bit in range(0, len(good) * 8, STRIDE):
        flipped = bytearray(good)
        flipped[bit // 8] ^= 1 << bit % 8
        path.write_bytes(flipped)
        found = said(path)
        assert found in ("damaged", written), f"bit {bit} changes what is read"
        told += found == "damaged"
    assert told >= 30


def test_archive_a_flipped_bit_in_any_value_is_told(path: Path) -> None:
    """SQLite's own check sees nothing of these."""
    good = path.read_bytes()
    for value in (
        b"pump-3",
        b"[[1,4],[6,9]]",
        b'{"range": 2}',
        b'{"hall": "2"}',
        b"too fast",
        b"queued",
        b"hot",
        b"influx",
    ):
        for place in (0, len(value) // 2, len(value) - 1):
            for bit in (0, 1, 7):
                flipped = bytearray(good)
                flipped[good.rindex(value) + place] ^= 1 << bit
                path.write_bytes(flipped)
                assert said(path) == "damaged", (value, place, bit)


@pytest.mark.parametrize("fill", [b"\0", b"\xff"], ids=["zeros", "ones"])
def test_archive_a_lost_or_overwritten_page_is_told(path: Path, fill: bytes) -> None:
    written, good = content(path), path.read_bytes()
    for at in range(0, len(good), PAGE):
        path.write_bytes(good[:at] + fill * PAGE + good[at + PAGE :])
        assert said(path) in ("damaged", written)
        if at:
            path.write_bytes(good[:at])
            assert said(path) == "damaged"


def killed(path: Path) -> list[object]:
    """Leave the file as a killed hub does, its log beside it; what was committed."""
    state, kept = State(path), path.parent / "kept"
    state.open()
    for number in range(COMMITS):
        with state.transaction():
            state.account.save([AccountRow("pump-0", 1, 10 + number)])
            state.cursors.set("account", 60 + number)
    kept.mkdir()
    for part in ("", "-wal"):
        shutil.copy(path.with_name(f"{path.name}{part}"), kept)
    state.close()
    for part in ("", "-wal"):
        shutil.copy(kept / f"{path.name}{part}", path.parent)
    return content(path)


def test_archive_a_log_that_breaks_off_before_its_end_is_told(path: Path) -> None:
    """SQLite takes it for the end: tokens, commands and all that came later would be gone without a word."""
    committed = killed(path)
    good = {part: (path.parent / "kept" / f"{path.name}{part}").read_bytes() for part in ("", "-wal")}
    frame = FRAME_HEADER + PAGE
    last = (len(good["-wal"]) - HEADER) // frame * frame + HEADER - frame * 2  # where the last commit begins
    for at in [*range(HEADER), *range(HEADER, last, 1009), *range(last, len(good["-wal"]), 1009)]:
        for part, bytes_ in good.items():
            path.with_name(f"{path.name}{part}").write_bytes(bytes_)
        log = bytearray(good["-wal"])
        log[at] ^= 4
        path.with_name(f"{path.name}-wal").write_bytes(log)
        found = said(path)
        if at < last - frame * 2:
            assert found in ("damaged", committed), f"byte {at} changes what is read"


def test_archive_a_log_that_breaks_off_is_told_at_every_start_and_left_as_it_is(path: Path) -> None:
    killed(path)
    log = path.with_name(f"{path.name}-wal")
    for part in ("", "-wal"):
        shutil.copy(path.parent / "kept" / f"{path.name}{part}", path.parent)
    broken = bytearray(log.read_bytes())
    broken[len(broken) // 2] ^= 4
    log.write_bytes(broken)
    for _ in range(2):  # whoever starts the hub again and again gets no other answer
        with pytest.raises(StateError, match="its log breaks off"):
            content(path)
        assert log.read_bytes() == broken


@pytest.mark.parametrize("byte", range(FRAME_HEADER))
def test_archive_a_flipped_bit_in_the_last_commit_but_one_of_the_log_is_told(path: Path, byte: int) -> None:
    """Two commits are gone by it: a token that was revoked would be good again."""
    killed(path)
    for part in ("", "-wal"):
        shutil.copy(path.parent / "kept" / f"{path.name}{part}", path.parent)
    log = path.with_name(f"{path.name}-wal")
    content_, frame = bytearray(log.read_bytes()), FRAME_HEADER + PAGE
    starts = range(HEADER, len(content_) - frame + 1, frame)
    ends = [at for at in starts if any(content_[at + 4 : at + 8]) and content_[at + 8 : at + 16] == content_[16:24]]
    content_[ends[-2] + byte] ^= 1
    log.write_bytes(content_)
    assert said(path) == "damaged"


@pytest.mark.parametrize("size", [HEADER, 512, PAGE])
@pytest.mark.parametrize("fill", [b"\0", b"\xa5"], ids=["zeros", "noise"])
def test_archive_a_log_whose_beginning_is_lost_is_told(path: Path, size: int, fill: bytes) -> None:
    killed(path)
    for part in ("", "-wal"):
        shutil.copy(path.parent / "kept" / f"{path.name}{part}", path.parent)
    log = path.with_name(f"{path.name}-wal")
    log.write_bytes(fill * size + log.read_bytes()[size:])
    assert said(path) == "damaged"


def test_a_damaged_page_size_and_a_log_of_noise_are_told(path: Path) -> None:
    content_ = bytearray(path.read_bytes())
    content_[16:18] = b"\x02\x01"  # 513
    path.write_bytes(content_)
    path.with_name(f"{path.name}-wal").write_bytes(b"\xa5" * HEADER + bytes(8192))
    assert said(path) == "damaged"


@pytest.mark.parametrize("seed", range(20))
def test_the_checksum_of_a_log_is_that_of_its_definition(seed: int) -> None:
    chance = random.Random(seed)
    content_, before = chance.randbytes(8 * chance.randrange(1, 600)), chance.randbytes(8)
    order = chance.choice("<>")
    first, second = struct.unpack(">II", before)
    for one, other in struct.iter_unpack(f"{order}II", content_):
        first = (first + one + second) % 2**32
        second = (second + other + first) % 2**32
    assert _checksum(content_, order, before) == struct.pack(">II", first, second)


def test_another_process_that_reads_the_file_takes_nothing_away_from_the_hub(path: Path, tmp_path: Path) -> None:
    """SQLite's locks are the process's: the last one to leave removes the log, and must see that it is not the last."""
    state, log = State(path), path.with_name(f"{path.name}-wal")
    state.open()
    look = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('SELECT * FROM tokens'); c.close()"
    for number in range(3):
        inode = log.stat().st_ino
        subprocess.run([sys.executable, "-c", look, str(path)], check=True)
        assert log.stat().st_ino == inode
        state.audit.add(Deed(number, "ada", "device.enroll", f"late-{number}", ""))
    for part in ("", "-wal"):  # as a killed hub leaves them
        shutil.copy(path.with_name(f"{path.name}{part}"), tmp_path / f"left{part}")
    assert all(f"late-{number}" in str(content(tmp_path / "left")) for number in range(3))
    state.close()


def test_a_killed_hubs_log_is_read_to_its_end(path: Path) -> None:
    committed = killed(path)
    assert str(AccountRow("pump-0", 1, 10 + COMMITS - 1)) in str(committed)


def test_a_copy_has_what_was_committed_while_the_file_is_written(path: Path, tmp_path: Path) -> None:
    state = State(path)
    state.open()
    with state.transaction():
        state.cursors.set("account", 77)
        copy_state(path, tmp_path / "before")
    copy_state(path, tmp_path / "after")
    state.close()
    cursors = []
    for name in ("before", "after"):
        copy = State(tmp_path / name)
        copy.open()
        cursors.append(copy.cursors.get("account"))
        copy.close()
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o600
    assert cursors == [50, 77]
    assert content(tmp_path / "after") == content(path)


def test_a_copy_of_a_damaged_file_is_none(path: Path, tmp_path: Path) -> None:
    copy = tmp_path / "state.copy"
    copy_state(path, copy)
    before = copy.read_bytes()
    flipped = bytearray(path.read_bytes())
    flipped[bytes(flipped).rindex(b"hot")] ^= 1
    path.write_bytes(flipped)
    with pytest.raises(StateError, match=r"state\.sqlite is damaged: a row of events is not what was written"):
        copy_state(path, copy)
    assert copy.read_bytes() == before
    assert not list(tmp_path.glob("*draft*"))
    assert said(path) == "damaged"
    with pytest.raises(StateError, match="put back the copy that it made itself: telemetrio hub restore --state"):
        content(path)


def test_a_copy_that_cannot_be_made_says_why(path: Path, tmp_path: Path) -> None:
    with pytest.raises(StateError, match=r"cannot be copied to .*nowhere.*No such file or directory"):
        copy_state(path, tmp_path / "nowhere" / "copy")
    with pytest.raises(StateError, match="cannot be copied"):
        copy_state(tmp_path / "none", tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


def test_a_file_with_less_than_its_copy_is_behind_it(path: Path) -> None:
    state, copy = State(path), path.with_name("state.copy")
    state.open()
    state.audit.add(Deed(9, "ada", "device.enroll", "pump-9", ""))
    state.copy()
    assert not state.is_behind()
    state.close()
    filled(path.with_name("older"))
    path.with_name("older").rename(path)
    state.open()
    assert state.is_behind(), "a deed is in the copy only"
    copy.write_bytes(b"nothing of worth")
    assert not state.is_behind()
    copy.unlink()
    assert not state.is_behind()
    state.close()


def test_copies_leave_no_descriptor_behind(path: Path) -> None:
    state = State(path)
    state.open()
    before = len(os.listdir("/proc/self/fd"))
    for number in range(5):
        state.cursors.set("account", 60 + number)
        state.copy()
    assert len(os.listdir("/proc/self/fd")) == before
    state.close()


def test_what_failed_commits_leave_behind_the_end_of_the_log_is_no_damage(path: Path) -> None:
    """A sync fails: the frames stay, and the next commit, if it is shorter, covers some of them only."""
    killed(path)
    kept, log, frame = path.parent / "kept", path.with_name(f"{path.name}-wal"), FRAME_HEADER + PAGE
    good = (kept / log.name).read_bytes()
    # Frames with the salts of this log, each with a commit, none of which goes on from the one before it.
    stale = b"".join(good[HEADER + at * frame :][:frame] for at in (9, 7, 5, 3))
    for behind, commits in ((stale, 1), (good[HEADER + 4 * frame :][: 4 * frame], 2)):
        shutil.copy(kept / path.name, path)
        log.write_bytes(good + behind)
        assert forgotten_of(path) == commits, "those that go on from one another"


def forgotten_of(path: Path) -> int:
    state = State(path)
    try:
        state.open()
        return 1
    except StateError as error:
        return int(str(error).split("breaks off ")[1].split()[0])
    finally:
        state._database.close()


@pytest.mark.parametrize("version", [0, 5, 4 + (1 << 18), -3])
def test_a_version_that_was_never_written_is_damage(path: Path, version: int) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA user_version = {version}")
        connection.commit()
    with pytest.raises(StateError, match="telemetrio hub restore --state BACKUP"):
        content(path)


def test_what_an_admin_adds_to_the_file_is_no_damage(path: Path) -> None:
    written = content(path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE INDEX mine ON events (time)")
        connection.execute("ANALYZE")
        connection.commit()
    assert content(path) == written


def test_an_empty_file_is_a_new_one_only_where_that_may_be(path: Path) -> None:
    for make in (path.unlink, path.touch):
        make()
        with pytest.raises(StateDamaged, match=r"is gone, and with it all tokens\. Stop the hub and put back"):
            State(path).open(anew=False)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")  # a page of its own, with nothing in it
    with pytest.raises(StateDamaged, match="it is empty"):
        State(path).open(anew=False)
    State(path).open()
