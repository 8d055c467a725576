"""What each field of a message may hold. A check returns the value as it is used inside, or raises Wrong."""

import re
from collections.abc import Callable
from math import isfinite
from typing import Any, Final, NoReturn

from hub.wire.errors import CloseCode
from hub.wire.messages import MAX_TEXT, NAME_PATTERN, Plain

SEQ_MAX: Final = 2**53  # exact in a double, so every language can hold it
INT64_MIN: Final = -(2**63)
INT64_MAX: Final = 2**63 - 1
MAX_ID: Final = 64  # bytes of a command id, log id, unit or type name
MAX_TOKEN: Final = 512  # bytes of a bearer token

Check = Callable[[Any], Any]

_NAME: Final = re.compile(NAME_PATTERN, re.ASCII)


class Wrong(ValueError):
    """A field holds what it may not; the text names the rule and never what a stranger sent."""

    code = CloseCode.PROTOCOL


class NotFinite(Wrong):
    """A number that is no number where only readings may have such."""

    code = CloseCode.GARBLED


def refuse(text: str) -> NoReturn:
    raise Wrong(text)


def whole(low: int, high: int, what: str) -> Check:
    """A whole number of ``low..high``."""

    def check(value: Any) -> int:
        if type(value) is not int or not low <= value <= high:
            refuse(f"{what} must be a whole number from {low} to {high}")
        return value

    return check


def text(limit: int, what: str) -> Check:
    """Text of at most ``limit`` bytes of UTF-8."""

    def check(value: Any) -> str:
        if type(value) is not str or len(value) > limit or len(value.encode()) > limit:
            refuse(f"{what} must be text of at most {limit} bytes")
        return value

    return check


def filled(limit: int, what: str) -> Check:
    """Text of 1 to ``limit`` bytes."""
    within = text(limit, what)

    def check(value: Any) -> str:
        if value == "":
            refuse(f"{what} must not be empty")
        return within(value)  # type: ignore[no-any-return]

    return check


def name(what: str) -> Check:
    """A name that is safe in every store, subject and file."""

    def check(value: Any) -> str:
        if type(value) is not str or not _NAME.fullmatch(value):
            refuse(f"{what} must match {NAME_PATTERN}")
        return value

    return check


def one_of(words: frozenset[str], what: str) -> Check:
    def check(value: Any) -> str:
        if type(value) is not str or value not in words:
            refuse(f"{what} must be one of {', '.join(sorted(words))}")
        return value

    return check


def optional(inner: Check) -> Check:
    """Null, or what ``inner`` takes."""

    def check(value: Any) -> Any:
        return None if value is None else inner(value)

    return check


def sequence(inner: Check, limit: int, what: str) -> Check:
    """An array of at most ``limit`` of what ``inner`` takes; a tuple inside."""

    def check(value: Any) -> tuple[Any, ...]:
        if type(value) is not list or len(value) > limit:
            refuse(f"{what} must be an array of at most {limit}")
        return tuple(map(inner, value))

    return check


def record(make: Callable[..., Any], what: str, *inner: Check) -> Check:
    """An array of exactly these fields, made into one thing."""

    def check(value: Any) -> Any:
        if type(value) is not list or len(value) != len(inner):
            refuse(f"{what} must be an array of {len(inner)} fields")
        return make(*[test(item) for test, item in zip(inner, value, strict=True)])

    return check


def seconds(value: Any) -> float:
    """A span of time that is not negative; whole numbers become floats."""
    if type(value) is int and 0 <= value <= SEQ_MAX:
        return float(value)
    if type(value) is not float:
        refuse("seconds must be a number that is not negative")
    if not isfinite(value):
        raise NotFinite("seconds must be finite")
    if value < 0:
        refuse("seconds must be a number that is not negative")
    return value


def flag(value: Any) -> bool:
    if type(value) is not bool:
        refuse("a flag must be true or false")
    return value


def plain(value: Any) -> Plain:
    """What JSON could say, and bytes: finite floats, whole numbers of 64 bits signed, keys of text."""
    kind = type(value)
    if kind is str or kind is bool or value is None or kind is bytes:
        return value  # type: ignore[no-any-return]
    if kind is float:
        if not isfinite(value):
            raise NotFinite("numbers must be finite")
        return value  # type: ignore[no-any-return]
    if kind is int:
        if not INT64_MIN <= value <= INT64_MAX:
            refuse("whole numbers must fit 64 bits signed")
        return value  # type: ignore[no-any-return]
    if kind is list:
        for item in value:
            plain(item)
        return value  # type: ignore[no-any-return]
    if kind is dict:
        return mapping(value)
    refuse("only null, booleans, numbers, text, bytes, arrays and maps are allowed here")


def mapping(value: Any) -> dict[str, Plain]:
    """A map from text of 1 to 256 bytes to plain values."""
    if type(value) is not dict:
        refuse("must be a map")
    for key, item in value.items():
        _KEY(key)
        plain(item)
    return value


_KEY: Final = filled(MAX_TEXT, "a key")

seq: Final = whole(1, SEQ_MAX, "a seq")
count: Final = whole(0, SEQ_MAX, "a count")
instant: Final = whole(INT64_MIN, INT64_MAX, "a time")
words: Final = text(MAX_TEXT, "text")
