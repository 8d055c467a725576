"""``telemetrio query``: a question to the store."""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from hub.cli.options import OUTPUT, REACH, Labels, Output, Reach

if TYPE_CHECKING:
    from hub.client import Operator
    from hub.query import Columns, Question


def query(
    *metrics: str,
    device: Annotated[
        tuple[str, ...], Parameter(negative=(), show_default=False, help="Name or glob; may be repeated.")
    ] = (),
    label: Labels = (),
    last: Annotated[str | None, Parameter(help="So long, until now or --until: 15m, 2h, 7d.")] = None,
    since: Annotated[str | None, Parameter(help="From then on: 2026-11-22T10:00:00Z, 2026-11-22, now-2h.")] = None,
    until: Annotated[str | None, Parameter(help="Up to then, itself left out.")] = None,
    every: Annotated[str | None, Parameter(help="One row for each so long a time: 1m, 1h.")] = None,
    agg: Annotated[str | None, Parameter(help="mean, min, max, count, first, last; several with commas.")] = None,
    limit: Annotated[
        int | None, Parameter(name=["--limit", "-n"], help="The newest so many rows [default: 10000].")
    ] = None,
    fail_empty: Annotated[bool, Parameter(negative=(), help="Exit code 7 when nothing matches.")] = False,
    reach: Reach = REACH,
    output: Output = OUTPUT,
) -> int:
    """Ask the store for readings, oldest first, or for aggregates of them.

    Without metrics: all of them. Times are UTC unless they say otherwise.
    """
    from hub.cli.ask import with_operator
    from hub.cli.exits import Exit
    from hub.cli.output import write_rows

    asked = question(metrics, device, label, last, since, until, every, agg, limit)
    answer, texts = with_operator(reach.target(), lambda operator: _ask(operator, asked))
    write_rows(list(answer.columns), rows(answer), output)
    if texts:
        note = "left out, as aggregates are of numbers and these are texts"
        print(f"telemetrio: {note}: {', '.join(texts)}; ask without --agg and --every to see them", file=sys.stderr)
    if answer.truncated:
        print(f"telemetrio: only the newest {len(answer)} rows; ask for more with --limit", file=sys.stderr)
    if not len(answer):
        numbers = " (aggregates are of numbers, texts are left out)" if asked.aggregates or asked.every else ""
        print(
            f"telemetrio: nothing matches{numbers}; 'telemetrio devices show NAME' tells what a device has",
            file=sys.stderr,
        )
        return Exit.EMPTY if fail_empty else Exit.OK
    return Exit.OK


async def _ask(operator: "Operator", asked: "Question") -> tuple["Columns", list[str]]:
    """The answer, and which of the metrics that were named are texts, so that no aggregate has them."""
    answer = await operator.ask(asked)
    if not asked.wanted:
        return answer, []
    texts = []
    for metric in dict.fromkeys(asked.metrics or ()):
        if metric not in answer.columns["metric"]:
            plain = replace(asked, metrics=(metric,), every=None, aggregates=(), limit=1)
            values = (await operator.ask(plain)).columns["value"]
            texts += [metric for value in values if isinstance(value, str)]
    return answer, texts


def question(
    metrics: Sequence[str],
    device: Sequence[str],
    label: tuple[str, ...],
    last: str | None,
    since: str | None,
    until: str | None,
    every: str | None,
    agg: str | None,
    limit: int | None,
) -> "Question":
    """What was typed, as a question; QuestionError or CommandError say what to write instead."""
    from hub.cli.exits import CommandError, Exit
    from hub.cli.options import pairs
    from hub.ports import SystemClock
    from hub.query import DEFAULT_ROWS, Question, parse_duration, parse_instant

    if last is not None and since is not None:
        raise CommandError("--last and --since both say where to begin; give one of them", Exit.USAGE)
    now = SystemClock().now()
    begin = parse_instant(since, now) if since is not None else None
    end = parse_instant(until, now) if until is not None else None
    if last is not None:
        begin = (now if end is None else end) - parse_duration(last)
    return Question(
        metrics=tuple(metrics) or None,
        devices=tuple(device) or None,
        labels=tuple(pairs(label, "label").items()),
        since=begin,
        until=end,
        every=parse_duration(every) if every is not None else None,
        aggregates=tuple(word.strip() for word in agg.split(",")) if agg else (),
        limit=DEFAULT_ROWS if limit is None else limit,
    )


def rows(answer: "Columns") -> Iterator[tuple[Any, ...]]:
    """The rows of an answer, times as RFC 3339 and qualities by name."""
    import numpy as np

    from hub.wire.messages import QUALITIES

    columns: list[Any] = []
    for name, column in answer.columns.items():
        values = column.tolist() if isinstance(column, np.ndarray) else column
        if name == "time" and values:
            values = [f"{text}Z" for text in np.asarray(values, "datetime64[us]").astype(str)]
        elif name == "quality":
            values = [QUALITIES[int(value)] for value in values]
        columns.append(values)
    return zip(*columns, strict=True)
