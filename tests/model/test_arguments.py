"""What operators hand to commands."""

from typing import Any

import pytest

from hub.model import Argument, CommandSpec, ModelError, ValueType, check_arguments, parse_arguments

SPEC = CommandSpec(
    "move",
    (
        Argument("to", ValueType("float64"), min=-10.0, max=10.0, unit="m"),
        Argument("times", ValueType("int"), required=False, default=1, min=1.0),
        Argument("mode", ValueType("text"), required=False, choices=("slow", "fast")),
        Argument("quiet", ValueType("bool"), required=False, default=False),
        Argument("note", ValueType("text"), required=False),
    ),
)


def test_arguments_are_typed_and_defaults_filled_in() -> None:
    checked = check_arguments(SPEC, {"to": 3, "mode": "fast", "note": None})
    assert checked == {"to": 3.0, "times": 1, "mode": "fast", "quiet": False}
    assert isinstance(checked["to"], float)
    assert check_arguments(SPEC, {"to": 1, "times": 2.0})["times"] == 2


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ({}, "move needs the argument to: a number from -10 to 10 m"),
        ({"to": 11}, "to = 11 is not allowed: a number from -10 to 10 m"),
        ({"to": "3"}, "to = '3' is not allowed"),
        ({"to": True}, "to = True is not allowed"),
        ({"to": float("nan")}, "to = nan is not allowed"),
        ({"to": float("inf")}, "to = inf is not allowed"),
        ({"to": [1]}, "to = a list is not allowed"),
        ({"to": 1, "times": 1.5}, "times = 1.5 is not allowed: a whole number of at least 1"),
        ({"to": 1, "times": 2**60}, "times = 1152921504606846976 is not allowed"),
        ({"to": 1, "times": 10**5000}, "times = a number of that size is not allowed"),
        ({"to": 10**5000}, "to = a number of that size is not allowed"),
        ({"to": 1, "mode": "medium"}, "mode = 'medium' is not allowed: one of slow, fast"),
        ({"to": 1, "quiet": 1}, "quiet = 1 is not allowed: true or false"),
        ({"to": 1, "note": "x" * 257}, "note = 'xxx"),
        ({"to": 1, "note": 5}, "note = 5 is not allowed: a text"),
        ({"to": 1, "tims": 5}, "move has no argument 'tims': did you mean times?"),
        ({"to": 1, "\x1b[2J": 5}, r"has no argument '\\x1b\[2J': it takes to, times, mode, quiet, note"),
    ],
)
def test_what_is_not_allowed_is_said(args: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        check_arguments(SPEC, args)


def test_a_command_without_arguments_takes_none() -> None:
    stop = CommandSpec("stop")
    assert check_arguments(stop, {}) == {}
    with pytest.raises(ModelError, match="stop takes no arguments, 'now' was given"):
        check_arguments(stop, {"now": True})


def test_words_of_a_command_line_become_arguments() -> None:
    words = ["to=-2.5", "times=3", "quiet=yes", "mode=slow", "note=a=b"]
    assert parse_arguments(SPEC, words) == {"to": -2.5, "times": 3, "quiet": True, "mode": "slow", "note": "a=b"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["to"], "'to' is no argument: write key=value"),
        (["to=1", "to=2"], "to is given twice"),
        (["to=far"], "to = 'far' is not allowed: a number from -10 to 10 m"),
        (["to=1", "times=2.5"], "times = '2.5' is not allowed: a whole number"),
        (["to=1", "quiet=maybe"], "quiet = 'maybe' is not allowed: true or false"),
        (["two=1"], "move has no argument 'two': did you mean to?"),
        (["to=1" + "0" * 5000], "to = inf is not allowed"),
        (["to=1", "times=1" + "0" * 5000], "is not allowed"),
    ],
)
def test_words_that_are_no_arguments_are_refused(words: list[str], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        parse_arguments(SPEC, words)
