"""``telemetrio ledger --verify`` against a hub that only says what it is told to."""

import json
from pathlib import Path
from typing import Any

import pytest

import hub.cli.ask
import hub.upkeep.verify
from hub.client import Unreachable
from hub.upkeep.verify import Recount
from tests.cli.conftest import Ask, Ran
from tests.client.fakehub import Fails, FakeHub

pytestmark = pytest.mark.trio

LOG = "0123456789abcdef" * 2


def proven(journal: Path, **verbs: Any) -> FakeHub:
    """A hub that has nothing, and whose account is past the record that it names."""
    journal.mkdir()
    (journal.parent / "log").write_text(f"{LOG}\n")
    followers = [{"name": name, "cursor": 5} for name in ("store", "account")]
    return FakeHub(
        verbs={
            "ledger.pin": pin(journal),
            "ledger.stored": {"columns": {"lsn": [], "readings": []}, "truncated": False}, "ledger": [],
            "status": {"appended": 5, "followers": followers}, "ledger.release": lambda args: args,
        } | verbs
    )  # fmt: skip


def pin(journal: Path, log: str = LOG) -> dict[str, Any]:
    return {"pin": "a-1", "lsn": 5, "journal": str(journal), "log": log}


def released(hub: FakeHub) -> list[Any]:
    return [dict(call.args)["pin"] for call in hub.asked if call.verb == "ledger.release"]  # type: ignore[union-attr]


async def test_a_proof_lets_go_of_the_journal_when_it_is_over(ask: Ask, place: Path) -> None:
    fake = proven(place / "journal")
    ran = await ask(fake, "ledger", "--verify", "-o", "json")
    assert (ran.code, json.loads(ran.out)["verified"]) == (1, True), "there is no segment"
    assert released(fake) == ["a-1"]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(5, "I/O error", "x")])
async def test_a_proof_that_is_interrupted_or_fails_lets_go_as_well(
    ask: Ask, place: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    def verify(*_: object) -> Recount:
        raise error

    monkeypatch.setattr(hub.upkeep.verify, "verify", verify)
    fake, code = proven(place / "journal"), None
    try:
        code = (await ask(fake, "ledger", "--verify")).code
    except* SystemExit as ended:  # what becomes of an interrupt
        code = ended.exceptions[0]
    assert code, "not 0"
    assert released(fake) == ["a-1"]


async def proof(ask: Ask, fake: FakeHub, monkeypatch: pytest.MonkeyPatch, recount: Recount, *words: str) -> Ran:
    monkeypatch.setattr(hub.upkeep.verify, "verify", lambda *_: recount)
    return await ask(fake, "ledger", "--verify", *words)


async def test_a_hub_that_does_not_take_it_back_is_no_error_of_the_proof(
    ask: Ask, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_: object) -> None:
        raise Fails("internal", "the hub is in trouble")

    ran = await proof(ask, proven(place / "journal", **{"ledger.release": fails}), monkeypatch, Recount(5))
    assert (ran.code, ran.err) == (0, "")


async def test_a_hub_that_has_gone_meanwhile_is_no_error_of_the_proof(
    ask: Ask, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreachable(*_: object) -> None:
        raise Unreachable("nobody listens")

    def verify(*_: object) -> Recount:
        monkeypatch.setattr(hub.cli.ask, "with_operator", unreachable)
        return Recount(5)

    monkeypatch.setattr(hub.upkeep.verify, "verify", verify)
    ran = await ask(proven(place / "journal"), "ledger", "--verify")
    assert (ran.code, ran.err) == (0, "")


@pytest.mark.parametrize(("found", "last"), [(100, "100 of 100"), (101, "and 1 more problem:"), (340, "and 240 more")])
async def test_a_proof_says_how_many_problems_it_does_not_list(
    ask: Ask, place: Path, monkeypatch: pytest.MonkeyPatch, found: int, last: str
) -> None:
    recount = Recount(5)
    for number in range(1, found + 1):
        recount.problem(f"problem {number} of {found}")
    ran = await proof(ask, proven(place / "journal"), monkeypatch, recount, "-o", "csv")
    lines = ran.err.splitlines()
    assert (ran.code, len(lines)) == (1, min(found, 101))
    assert last in lines[-1]
    assert ("then verify again" in lines[-1]) is (found > 100)


async def test_a_journal_of_another_hub_is_not_proven(ask: Ask, place: Path) -> None:
    fake = proven(place / "journal", **{"ledger.pin": pin(place / "journal", "f" * 32)})
    ran = await ask(fake, "ledger", "--verify")
    assert ran.code == 2
    assert "on the hub's machine: run this there" in ran.err
    assert released(fake) == ["a-1"]
