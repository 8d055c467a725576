"""Long answers in parts, each small enough to be encoded without holding others up, and to be taken by any client."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from hub.query.question import Columns

PART_ROWS: Final = 4_096  # of columns: some 200 KiB
PART_WEIGHT: Final = 8_000  # of the items of a list, see ``_weight``: at most some 200 KiB, and milliseconds


def parts(value: Any) -> Iterator[tuple[Any, bool]]:
    """What an answer's value becomes: ``(part, more)``. Columns and lists go in as many parts as they need; joined,
    these are the whole. Everything else is one."""
    if isinstance(value, Columns):
        yield from _of_columns(value)
    elif isinstance(value, list):
        yield from _of_list(value)
    else:
        yield value, False


def _of_columns(answer: Columns) -> Iterator[tuple[dict[str, Any], bool]]:
    rows = len(answer)
    for start in range(0, max(rows, 1), PART_ROWS):
        end = start + PART_ROWS
        columns = {name: column[start:end] for name, column in answer.columns.items()}
        yield {"columns": columns, "truncated": answer.truncated}, end < rows


def _of_list(items: list[Any]) -> Iterator[tuple[list[Any], bool]]:
    start = weight = 0
    for end, item in enumerate(items, 1):
        weight += _weight(item)
        if weight >= PART_WEIGHT and end < len(items):
            yield items[start:end], True
            start, weight = end, 0
    yield items[start:], False


def _weight(item: Any) -> int:
    """About how long it takes to encode: its fields, what is in those that hold more, and a little for a text."""
    if not isinstance(item, Mapping):
        return 1
    inside = sum(len(value) for value in item.values() if isinstance(value, list | Mapping))
    texts = sum(len(value) for value in item.values() if isinstance(value, str))
    return len(item) + inside + texts // 16
