import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.client.text import safe_json, safe_text, safe_value


@pytest.mark.parametrize(
    ("given_text", "shown"),
    [
        ("plain Grüße 温度 🙂", "plain Grüße 温度 🙂"),
        ("\x1b[31mred\x07", "\\e[31mred\\x07"),
        ("a\nb\tc\rd", "a\\nb\\tc\\rd"),
        ("\x9b31m", "\\x9b31m"),
        ("abc\u202edef\u2066", "abc\\u202edef\\u2066"),
        ("zero\u200bwidth", "zero\\u200bwidth"),
        ("1\u00a0000", "1 000"),
        ("tag\U000e0041", "tag\\U000e0041"),
        ("\ud800", "\\ud800"),
        ("line\u2028end", "line\\u2028end"),
    ],
)
def test_what_steers_a_terminal_is_made_visible(given_text: str, shown: str) -> None:
    assert safe_text(given_text) == shown


@given(st.text())
@settings(max_examples=300, deadline=None)
def test_safe_text_always_prints(text: str) -> None:
    assert safe_text(text).isprintable()
    assert safe_text(safe_text(text)) == safe_text(text)


def test_long_text_is_cut() -> None:
    assert safe_text("x" * 100, limit=10) == "x" * 9 + "…"


@given(st.recursive(st.none() | st.integers() | st.text(), lambda inner: st.lists(inner, max_size=3)))
@settings(max_examples=300, deadline=None)
def test_safe_json_prints_and_reads_back(value: object) -> None:
    text = safe_json(value)
    assert text.isprintable()
    assert json.loads(text) == value


def test_values() -> None:
    assert safe_value("a\x1b") == "a\\e"
    assert safe_value(None) == ""
    assert safe_value({"a": b"\x01"}) == '{"a":"01"}'
    assert safe_value(True) == "true"
