"""Answers that came in parts, put together again."""

from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np

from hub.query import Columns


def whole(values: Sequence[Any]) -> Any:
    """The value of an answer from those of its parts: Columns where it is columns, else the list of all items, or the
    one value that came."""
    first = values[0]
    if isinstance(first, dict) and "columns" in first:
        return join(values)
    return first if len(values) == 1 else list(chain.from_iterable(values))


def join(parts: Sequence[dict[str, Any]]) -> Columns:
    """One answer from its parts. Each part holds ``columns`` by name; the last says whether the limit cut it."""
    joined: dict[str, Any] = {}
    for name in parts[0]["columns"] if parts else ():
        pieces = [part["columns"][name] for part in parts if len(part["columns"][name]) or len(parts) == 1]
        if all(isinstance(piece, np.ndarray) for piece in pieces):
            joined[name] = np.concatenate(pieces)
        else:
            joined[name] = [value for piece in pieces for value in piece]
    return Columns(joined, any(bool(part.get("truncated")) for part in parts))
