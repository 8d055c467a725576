"""What the running hub is asked for the proof, and in which order."""

from pathlib import Path
from typing import Any

import pytest
import trio

from hub.client import SocketClosed
from hub.query import Columns
from hub.upkeep.claims import ClaimsError, claims_of_hub

pytestmark = pytest.mark.trio

LOG = "0123456789abcdef" * 2


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """Where a hub's is."""
    (tmp_path / "log").write_text(f"{LOG}\n")
    (tmp_path / "journal").mkdir()
    return tmp_path / "journal"


class Busy:
    """A hub whose account takes in a record each time that somebody asks how it is; its ledger is as old as that."""

    def __init__(self, journal: Path) -> None:
        self.journal = journal
        self.booked = 7
        self.released: list[object] = []
        self.gone = False  # when it is told that nobody reads any more

    async def call(self, verb: str, **args: object) -> Any:
        if verb == "ledger.pin":
            return {"pin": "a-1", "lsn": 10, "journal": str(self.journal), "log": LOG}
        if verb == "ledger.release":
            await trio.lowlevel.checkpoint()
            self.released.append(args["pin"])
            if self.gone:
                raise SocketClosed(1006, "")
            return args
        if verb == "ledger.stored":
            return Columns({"lsn": [1], "readings": [3]})
        if verb == "ledger":
            return [{"booked": self.booked}]
        assert verb == "status"
        self.booked = min(10, self.booked + 1)
        followers = [("acks", 0), ("store", 10), ("account", self.booked), ("mirror", 0)]
        return {"appended": 10, "followers": [{"name": name, "cursor": at} for name, at in followers]}


async def test_the_ledger_is_taken_when_the_account_is_past_the_pinned_record(
    journal: Path, autojump_clock: object
) -> None:
    hub = Busy(journal)
    claims = await claims_of_hub(hub)  # type: ignore[arg-type]
    assert (claims.entries, claims.stored) == ([{"booked": 10}], {1: 3})
    assert (claims.lsn, claims.cursor, claims.exact) == (10, 10, True)
    assert (claims.pin, hub.released) == ("a-1", []), "the files are still to be read"


@pytest.mark.parametrize("gone", [False, True])
async def test_whoever_cannot_read_the_journal_lets_go_of_it(
    tmp_path: Path, autojump_clock: object, gone: bool
) -> None:
    hub = Busy(tmp_path / "elsewhere")
    hub.gone = gone
    with pytest.raises(ClaimsError, match="run this there"):
        await claims_of_hub(hub)  # type: ignore[arg-type]
    assert hub.released == ["a-1"]


async def test_whoever_is_interrupted_lets_go_of_it(journal: Path, autojump_clock: object) -> None:
    hub = Busy(journal)
    hub.booked = -1_000_000  # it never comes to the record
    with trio.move_on_after(1) as scope:
        await claims_of_hub(hub)  # type: ignore[arg-type]
    assert scope.cancelled_caught
    assert hub.released == ["a-1"]
