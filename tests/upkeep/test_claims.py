"""What the running hub is asked for the proof, and in which order."""

from pathlib import Path
from typing import Any

import pytest

from hub.upkeep.claims import claims_of_hub

pytestmark = pytest.mark.trio


class Busy:
    """A hub whose account takes in a record each time that somebody asks how it is; its ledger is as old as that."""

    def __init__(self, journal: Path) -> None:
        self.journal = journal
        self.booked = 7

    async def call(self, verb: str, **_: object) -> Any:
        if verb == "ledger.pin":
            return {"lsn": 10, "journal": str(self.journal)}
        if verb == "ledger.stored":
            return {"batches": [[1, 3]]}
        if verb == "ledger":
            return [{"booked": self.booked}]
        assert verb == "status"
        self.booked = min(10, self.booked + 1)
        followers = [("acks", 0), ("store", 10), ("account", self.booked), ("mirror", 0)]
        return {"appended": 10, "followers": [{"name": name, "cursor": at} for name, at in followers]}


async def test_the_ledger_is_taken_when_the_account_is_past_the_pinned_record(
    tmp_path: Path, autojump_clock: object
) -> None:
    claims = await claims_of_hub(Busy(tmp_path))  # type: ignore[arg-type]
    assert claims.entries == [{"booked": 10}]
    assert (claims.lsn, claims.cursor, claims.exact) == (10, 10, True)
