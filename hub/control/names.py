"""Names and labels that operators choose, and which names their globs mean."""

import re
from collections.abc import Callable, Mapping, Sequence
from fnmatch import translate
from typing import Final

from hub.control.errors import RegistryRefused
from hub.wire.messages import NAME_PATTERN

LABELS: Final = 32  # on one device
LABEL_BYTES: Final = 256  # of a label's value, as of every text

_NAME: Final = re.compile(NAME_PATTERN)


def check_name(name: str, what: str) -> None:
    """RegistryRefused when ``name`` cannot be the name of that."""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise RegistryRefused(
            "bad_argument",
            f"{str(name)[:80]!r} cannot be {what}: use 1 to 64 of A-Z a-z 0-9 . _ - and begin with a letter or digit",
        )


def check_labels(labels: Mapping[str, str]) -> None:
    """RegistryRefused when a device cannot carry these."""
    if len(labels) > LABELS:
        raise RegistryRefused("limit", f"a device has at most {LABELS} labels; take some away first")
    for name, value in labels.items():
        check_name(name, "a label's name")
        if not isinstance(value, str) or len(value.encode("utf-8", "replace")) > LABEL_BYTES:
            raise RegistryRefused("bad_argument", f"label {name}: the value is a text of at most {LABEL_BYTES} bytes")


def matcher(globs: Sequence[str]) -> Callable[[str], bool]:
    """Whether a name matches one of ``globs``; none at all means every name."""
    if not globs or "*" in globs:
        return lambda name: True
    plain = frozenset(globs)
    patterns = [translate(glob) for glob in globs if any(mark in glob for mark in "*?[")]
    if not patterns:
        return plain.__contains__
    match = re.compile("|".join(patterns)).match
    return lambda name: name in plain or match(name) is not None
