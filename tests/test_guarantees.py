"""docs/guarantees.md claims only what a test shows, and every rule has a test that bears its number."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "guarantees.md"
NAMED = re.compile(r"`(tests/[a-z_/]+\.py)::(test_[a-z0-9_]+)`")
ROW = re.compile(r"^\| ([a-z0-9P -]+) \| .* \| (.*) \|$", re.MULTILINE)
RULES = [f"P{number}" for number in range(1, 13)]
AREAS = ("ledger", "followers", "full_disk", "time", "commands")


def names_in(path: Path) -> set[str]:
    return set(re.findall(r"^ *(?:async )?def (test_[a-z0-9_]+)\(", path.read_text(), re.MULTILINE))


def everything() -> set[str]:
    return {name for path in (ROOT / "tests").rglob("test_*.py") for name in names_in(path)}


def test_every_test_that_is_named_is_there() -> None:
    named = NAMED.findall(PAGE.read_text())
    assert len(named) > len(RULES)
    missing = [
        f"{file}::{name}" for file, name in named if not (ROOT / file).is_file() or name not in names_in(ROOT / file)
    ]
    assert missing == []


def test_every_promise_names_a_test() -> None:
    rows = [(rule, shown) for rule, shown in ROW.findall(PAGE.read_text()) if rule not in ("rule", "---")]
    assert {rule for rule, _ in rows} >= set(RULES)
    assert [rule for rule, shown in rows if not NAMED.search(shown)] == []


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_has_a_test_that_bears_its_number(rule: str) -> None:
    assert any(re.match(rf"test_(p\d+_)*{rule.lower()}_", name) for name in everything())


@pytest.mark.parametrize("area", AREAS)
def test_every_area_has_a_test_that_bears_its_name(area: str) -> None:
    assert any(name.startswith(f"test_{area}_") for name in everything())
