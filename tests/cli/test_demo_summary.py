"""When a demo is no success, and that its exit code says so."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from hub.cli import demo
from hub.cli.demo_summary import Summary
from tests.cli.conftest import Ran


def good() -> Summary:
    return Summary(
        2, devices_online=2, sent=9, received=9, stored=9, ledger_balanced=True, commands_sent=2, commands_ok=2,
        first_reading_s=1.0, ack_p99_ms=9.0,
    )  # fmt: skip


def unbalanced(summary: Summary) -> None:
    summary.ledger_balanced = False


def lost(summary: Summary) -> None:
    summary.gaps = [{"device": "a", "epoch": 1, "first": 3, "last": 4, "where": "lost"}]


def one_is_away(summary: Summary) -> None:
    summary.devices_online = 1


def a_command_failed(summary: Summary) -> None:
    summary.commands_ok = 1


def nothing_to_read(summary: Summary) -> None:
    summary.first_reading_s = None


def told_of_trouble(summary: Summary) -> None:
    summary.trouble = ["the hub ended by itself with exit code 1; see hub.log"]


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (unbalanced, "the ledger does not balance"),
        (lost, "readings were lost at the hub"),
        (one_is_away, "only 1 of 2 devices were online"),
        (a_command_failed, "only 1 of 2 commands succeeded"),
        (nothing_to_read, "no query returned a reading"),
        (told_of_trouble, "the hub ended by itself"),
    ],
)
def test_a_demo_that_went_wrong_ends_with_1_and_says_why(
    spoil: Callable[[Summary], None], said: str, telemetrio: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch
) -> None:
    summary = good()
    spoil(summary)
    monkeypatch.setattr(demo, "_run", lambda *_: summary)
    ran = telemetrio("demo", "--headless", "-o", "json")
    assert ran.code == 1
    assert said in ran.err
    assert json.loads(ran.out) == summary.to_plain()


def test_a_demo_that_went_well_ends_with_0(
    telemetrio: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch, place: Path
) -> None:
    monkeypatch.setattr(demo, "_run", lambda *_: good())
    ran = telemetrio("demo", "--headless", "-o", "json")
    assert (ran.code, ran.err) == (0, "")
