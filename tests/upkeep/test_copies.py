"""The hub's own copy of its state file: new soon after a token has changed, else from time to time."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest
import trio
import trio.testing

from hub.disk import DiskFiles
from hub.ports import InlineWorker
from hub.state import COPY, Deed, State, StateError, TokenRow
from hub.upkeep.copies import LAST_SECONDS, LONGEST_SECONDS, LOOK_SECONDS, SHARE, SPARE, TOKEN_SHARE, Copies

T = TypeVar("T")


class Disk(DiskFiles):
    """With as much space as a test wants."""

    space = 10 * SPARE

    def free(self, directory: Path) -> int:
        return self.space


class SlowWorker(InlineWorker):
    """Takes so many virtual seconds for a copy."""

    seconds = 0.0

    async def run(self, call: Callable[..., T], *arguments: Any) -> T:
        done = await super().run(call, *arguments)
        if getattr(call, "__name__", "") == "_copy":
            await trio.sleep(self.seconds)
        return done


class Room:
    """A state file and its copies."""

    def __init__(self, folder: Path) -> None:
        self.state, self.disk, self.failures = State(folder / "state.sqlite"), Disk(), list[str]()
        self.state.open()
        self.worker = SlowWorker()
        self.copies = Copies(self.state, self.worker, self.disk, self.failures.append)
        self.copy = folder / COPY

    def change(self, lsn: int) -> None:
        with self.state.transaction():
            self.state.cursors.set("account", lsn)

    def copied(self) -> tuple[int, int]:
        """The cursor and the number of tokens in the copy."""
        copy = State(self.copy)
        copy.open()
        try:
            return copy.cursors.get("account"), len(copy.tokens.all())
        finally:
            copy.close()


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    room = Room(tmp_path)
    yield room
    room.state.close()


async def seconds(number: float) -> None:
    await trio.sleep(number)
    await trio.testing.wait_all_tasks_blocked()


@pytest.mark.trio
async def test_a_new_token_is_in_the_copy_soon_and_all_else_later(
    room: Room, nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    nursery.start_soon(room.copies.run)
    room.change(1)
    await seconds(LOOK_SECONDS)
    assert room.copied() == (1, 0)
    room.change(2)
    await seconds(LOOK_SECONDS)
    assert room.copied() == (1, 0), "presence alone changes the file all the time"
    room.state.tokens.replace(TokenRow(b"h" * 32, "admin", "ada", 1))
    await seconds(LOOK_SECONDS)
    assert room.copied() == (2, 1)
    room.state.tokens.remove("admin", "ada")
    await seconds(LOOK_SECONDS)
    assert room.copied() == (2, 0)
    room.change(3)
    await seconds(LONGEST_SECONDS)
    assert room.copied() == (3, 0)
    before = room.copy.stat().st_mtime_ns
    await seconds(2 * LONGEST_SECONDS)
    assert room.copy.stat().st_mtime_ns == before, "nothing has changed"


@pytest.mark.trio
async def test_a_copy_is_not_what_fills_the_disk(
    room: Room, nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    room.disk.space = SPARE
    nursery.start_soon(room.copies.run)
    await seconds(2 * LONGEST_SECONDS)
    assert not room.copy.exists()
    assert room.copies.problem is not None
    assert "makes no copy of its state file: there are not 67 MB free" in room.copies.problem
    assert len(room.failures) == 1, "told once"
    room.disk.space = 2 * SPARE
    await seconds(LONGEST_SECONDS)
    assert room.copied() == (0, 0)
    assert room.copies.problem is None


@pytest.mark.trio
async def test_a_file_that_is_damaged_while_the_hub_runs_is_told_and_the_copy_stays_good(
    room: Room, nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    room.state.audit.add(Deed(1, "ada", "token.create", "ada", "admin"))
    room.state.close()  # all is in the file itself now
    room.state.open()
    await room.copies.last()
    content = bytearray((path := room.state.path).read_bytes())
    content[bytes(content).rindex(b"token.create")] ^= 1
    path.write_bytes(content)
    room.state.tokens.replace(TokenRow(b"i" * 32, "viewer", "bob", 1))
    nursery.start_soon(room.copies.run)
    await seconds(LONGEST_SECONDS)
    assert room.copies.problem is not None
    assert "is damaged: a row of audit is not what was written" in room.copies.problem
    assert room.copied() == (0, 0)


@pytest.mark.trio
async def test_a_file_that_somebody_deletes_or_replaces_is_told_at_once(
    room: Room, nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    await room.copies.last()
    nursery.start_soon(room.copies.run)
    content = room.state.path.read_bytes()
    room.state.path.unlink()
    await seconds(LOOK_SECONDS)
    assert "was deleted while the hub runs. Stop the hub and put back the copy" in str(room.copies.problem)
    room.state.path.write_bytes(content)
    room.state.tokens.replace(TokenRow(b"h" * 32, "admin", "ada", 1))
    await seconds(LOOK_SECONDS)
    assert "was replaced by another while the hub runs" in str(room.failures) + str(room.copies.problem)
    assert room.copied() == (0, 0), "the good copy stays"


@pytest.mark.trio
async def test_a_file_that_is_put_back_is_no_problem_any_more(
    room: Room, nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    nursery.start_soon(room.copies.run)
    await seconds(LOOK_SECONDS)
    room.state.path.rename(aside := room.state.path.with_name("aside"))
    await seconds(LOOK_SECONDS)
    assert room.copies.problem is not None
    aside.rename(room.state.path)
    await seconds(LOOK_SECONDS)
    assert room.copies.problem is None


@pytest.mark.trio
async def test_a_token_that_is_not_committed_yet_is_in_the_next_copy(
    room: Room, nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    with room.state.transaction():
        room.state.tokens.replace(TokenRow(b"h" * 32, "admin", "ada", 1))
        await room.copies.last()
    assert room.copied() == (0, 0)
    nursery.start_soon(room.copies.run)
    await seconds(LOOK_SECONDS)
    assert room.copied() == (0, 1)


@pytest.mark.trio
async def test_copying_takes_no_more_than_its_share_of_the_time(
    room: Room, nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    room.worker.seconds = 30.0
    nursery.start_soon(room.copies.run)
    await seconds(LOOK_SECONDS + room.worker.seconds)
    assert room.copied() == (0, 0)
    room.change(1)
    await seconds(room.worker.seconds * SHARE - LOOK_SECONDS)
    assert room.copied() == (0, 0)
    room.state.tokens.replace(TokenRow(b"h" * 32, "admin", "ada", 1))
    await seconds(LOOK_SECONDS)
    assert room.copied() == (1, 1), "a token does not wait so long"
    room.state.tokens.remove("admin", "ada")
    await seconds(room.worker.seconds * TOKEN_SHARE - LOOK_SECONDS)
    assert room.copied() == (1, 1)
    await seconds(room.worker.seconds + 2 * LOOK_SECONDS)
    assert room.copied() == (1, 0)


@pytest.mark.trio
async def test_a_hub_that_stops_waits_for_a_long_copy_only_where_a_token_has_changed(
    room: Room, autojump_clock: trio.testing.MockClock
) -> None:
    room.worker.seconds = 2 * LAST_SECONDS
    await room.copies.last()
    room.change(1)
    await room.copies.last()
    assert room.copied() == (0, 0)
    room.state.tokens.replace(TokenRow(b"h" * 32, "admin", "ada", 1))
    room.worker.seconds = LAST_SECONDS / 2
    await room.copies.last()
    assert room.copied() == (1, 1)
    room.change(2)
    await room.copies.last()
    assert room.copied() == (2, 1)


@pytest.mark.trio
async def test_a_failure_that_passed_is_no_problem_any_more(
    room: Room, nursery: trio.Nursery, autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    nursery.start_soon(room.copies.run)
    await seconds(LOOK_SECONDS)
    with monkeypatch.context() as patched:
        patched.setattr(room.state, "committed", fails)
        await seconds(LOOK_SECONDS)
        assert "disk I/O error" in str(room.copies.problem)
    await seconds(LOOK_SECONDS)
    assert room.copies.problem is None, "and nothing has changed that would have to be copied"


def fails() -> tuple[int, tuple[int, int]]:
    raise StateError("disk I/O error")
