"""``telemetrio quarantine``, and ``hub reload``, which goes before a retry."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final

from cyclopts import Group, Parameter

from hub.cli.options import OUTPUT, REACH, Output, Reach

if TYPE_CHECKING:
    from hub.client import Operator

GROUPS: Final = ("device", "metric", "reason", "readings", "first_at", "last_at", "text")
ENTRIES: Final = ("id", "device", "metric", "time", "value", "reason", "text", "at")
IDS_AT_ONCE: Final = 300  # what the hub takes in one call

_WHICH = Group("Which readings", sort_key=5)


@Parameter(name="*", group=_WHICH)
@dataclass(frozen=True)
class Some:
    """Which rejected readings; all that is named must hold."""

    device: Annotated[
        tuple[str, ...], Parameter(negative=(), show_default=False, help="Name or glob; may be repeated.")
    ] = ()
    metric: Annotated[str | None, Parameter(help="Name of the metric.")] = None
    reason: Annotated[str | None, Parameter(help="Why they were rejected, such as out_of_range.")] = None
    since: Annotated[str | None, Parameter(help="Received from then on: 2026-11-22T10:00:00Z, now-2h.")] = None
    until: Annotated[str | None, Parameter(help="Received before then.")] = None

    def arguments(self) -> dict[str, Any]:
        """As the hub wants them."""
        from hub.ports import SystemClock
        from hub.query import parse_instant

        now = SystemClock().now()
        return {
            "devices": list(self.device) or None, "metric": self.metric, "reason": self.reason,
            "since": None if self.since is None else parse_instant(self.since, now),
            "until": None if self.until is None else parse_instant(self.until, now),
        }  # fmt: skip

    def __bool__(self) -> bool:
        return self != Some()


SOME = Some()
Ids = Annotated[str, Parameter(help="Ids that 'quarantine show' tells, LSN:ROW:METRIC.")]
All = Annotated[bool, Parameter(name="--all", negative=(), help="All there is in quarantine.")]
Limit = Annotated[int, Parameter(name=["--limit", "-n"], help="How many lines at most.")]
FailEmpty = Annotated[bool, Parameter(negative=(), help="Exit code 7 when nothing matches.")]


def ls(
    *, some: Some = SOME, limit: Limit = 1000, fail_empty: FailEmpty = False, reach: Reach = REACH,
    output: Output = OUTPUT,
) -> int:  # fmt: skip
    """Count what is in quarantine by device, metric and reason, the most first."""
    return _list("quarantine.list", {**some.arguments(), "limit": limit}, GROUPS, fail_empty, reach, output)


def show(
    *ids: Ids, some: Some = SOME, limit: Limit = 100, fail_empty: FailEmpty = False, reach: Reach = REACH,
    output: Output = OUTPUT,
) -> int:  # fmt: skip
    """List rejected readings with their values, the newest first. A decimal's value is the raw one."""
    arguments = {**some.arguments(), "ids": list(ids) or None, "limit": limit}
    return _list("quarantine.show", arguments, ENTRIES, fail_empty, reach, output)


def retry(
    *ids: Ids, some: Some = SOME, all_: All = False, fail_empty: FailEmpty = False, reach: Reach = REACH,
    output: Output = OUTPUT,
) -> int:  # fmt: skip
    """Judge rejected readings again by the models as the hub has them now; what is good is stored, exactly once.

    Correct the model's file, 'telemetrio hub reload', then this. Exit code 1 when some stay rejected.
    """
    from hub.cli.exits import Exit
    from hub.cli.output import write_record
    from hub.cli.run import say

    answers = _change("quarantine.retry", ids, some, all_, reach)
    kept: dict[str, int] = {}
    why: dict[str, str] = {}
    for answer in answers:
        for reason, readings in answer["kept"].items():
            kept[reason] = kept.get(reason, 0) + readings
        why = answer["why"] | why
    stored = sum(answer["stored"] for answer in answers)
    write_record({"stored": stored, "kept": kept}, output)
    for reason, readings in sorted(kept.items()):
        say(f"{readings} stay rejected: {reason}: {why[reason]}")
    if not stored and not kept:
        say("nothing in quarantine matches; 'telemetrio quarantine ls' lists what is there")
        return Exit.EMPTY if fail_empty else Exit.OK
    return Exit.FAILED if kept else Exit.OK


def drop(
    *ids: Ids, some: Some = SOME, all_: All = False, fail_empty: FailEmpty = False, reach: Reach = REACH,
    output: Output = OUTPUT,
) -> int:  # fmt: skip
    """Remove rejected readings for good. The ledger counts them as removed, by whom."""
    from hub.cli.exits import Exit
    from hub.cli.output import write_record
    from hub.cli.run import say

    removed = sum(answer["removed"] for answer in _change("quarantine.drop", ids, some, all_, reach))
    write_record({"removed": removed}, output)
    if not removed:
        say("nothing in quarantine matches; 'telemetrio quarantine ls' lists what is there")
    return Exit.EMPTY if fail_empty and not removed else Exit.OK


def reload(*, reach: Reach = REACH, output: Output = OUTPUT) -> None:
    """Let the running hub read its models again. Links that are open are judged by them from then on."""
    from hub.cli.ask import call
    from hub.cli.output import write_record

    write_record(call(reach.target(), "models.reload"), output)


def _list(
    verb: str, arguments: dict[str, Any], columns: Sequence[str], fail_empty: bool, reach: Reach, output: Output
) -> int:
    from hub.cli.ask import call
    from hub.cli.exits import Exit
    from hub.cli.output import write_records

    found = call(reach.target(), verb, **{name: value for name, value in arguments.items() if value is not None})
    write_records(found, columns, output)
    if not found:
        print("telemetrio: nothing in quarantine matches", file=sys.stderr)
    return Exit.EMPTY if fail_empty and not found else Exit.OK


def _change(verb: str, ids: tuple[str, ...], some: Some, everything: bool, reach: Reach) -> list[dict[str, Any]]:
    """Call until there is no more; the answers."""
    from hub.cli.ask import with_operator
    from hub.cli.exits import CommandError, Exit

    if not ids and not some and not everything:
        raise CommandError("say which: ids, --device, --metric, --reason, --since, --until, or --all", Exit.USAGE)
    arguments = {name: value for name, value in some.arguments().items() if value is not None}

    async def change(operator: "Operator") -> list[dict[str, Any]]:
        answers: list[dict[str, Any]] = []
        for at in range(0, max(len(ids), 1), IDS_AT_ONCE):
            named = {"ids": list(ids[at : at + IDS_AT_ONCE])} if ids else {}
            answer = {"more": True, "after": 0}
            while answer["more"]:
                answer = await operator.call(verb, **arguments, **named, after=answer["after"])
                answers.append(answer)
        return answers

    return with_operator(reach.target(), change)
