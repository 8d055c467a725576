"""``telemetrio ledger``: both equations of every device and epoch, and their proof in a process of its own."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Final

from cyclopts import Parameter

from hub.cli.options import OUTPUT, REACH, Output, Reach

if TYPE_CHECKING:
    from hub.client import Target

COLUMNS: Final = (
    "device", "epoch", "next", "kept", "waiting", "dropped", "lost", "moved", "received", "stored", "pending",
    "rejected", "expired", "removed", "balanced",
)  # fmt: skip
#: Left out of a table where they are 0 in every row: with all terms no name of a device would fit on 80 characters.
_SELDOM: Final = frozenset({"waiting", "dropped", "moved", "pending", "rejected", "expired", "removed"})
_RANGES: Final = ("kept", "waiting", "dropped", "lost", "moved")


def ledger(
    device: str | None = None,
    /,
    *,
    verify: Annotated[bool, Parameter(negative=(), help="Recompute all of it from journal and store.")] = False,
    reach: Reach = REACH,
    output: Output = OUTPUT,
) -> int:
    """The account of every batch and reading. Exit code 1 when something was lost at the hub or does not add up.

    Batches: next - 1 = kept + waiting + dropped + lost + moved. Readings: received = stored + pending + rejected +
    expired + removed.
    """
    from hub.cli.ask import call

    if verify:
        return _verify(device, reach, output)
    entries = call(reach.target(), "ledger", device=device)
    return _tell(entries, {}, output)


def _verify(device: str | None, reach: Reach, output: Output) -> int:
    """Take the hub's claims, or those of its files when it does not run, and recount."""
    from hub.cli.ask import with_operator
    from hub.cli.exits import CommandError, Exit
    from hub.cli.run import say
    from hub.client import Unreachable
    from hub.disk import DiskFiles
    from hub.ports import SystemClock
    from hub.upkeep.claims import claims_of_files, claims_of_hub
    from hub.upkeep.verify import verify

    clock, target = SystemClock(), reach.target()
    began = clock.monotonic()
    try:
        claims = with_operator(target, claims_of_hub)
    except Unreachable as unreachable:
        from hub.cli.hub import settings_of

        claims = claims_of_files(settings_of(reach.context().file).data)
        say(f"{unreachable}\nthe hub does not run: its files are read")
    try:
        recount = verify(claims, DiskFiles())
    finally:
        if claims.pin is not None:
            _let_go(target, claims.pin)
    entries = [entry for entry in recount.entries if device in (None, entry["device"])]
    if device is not None and not entries:  # the proof of nothing would look like a good one
        raise CommandError(f"{device} is not in the journal; 'telemetrio ledger' lists what is", Exit.UNKNOWN_DEVICE)
    told = {
        "verified": True, "lsn": recount.lsn, "records": recount.records, "problems": recount.problems,
        "problems_unsaid": recount.unsaid, "seconds": round(clock.monotonic() - began, 3),
    }  # fmt: skip
    return _tell(entries, told, output)


def _let_go(target: "Target", pin: str) -> None:
    """The files have been read, or nobody goes on with that. A hub that cannot be reached lets go by itself."""
    from hub.cli.ask import with_operator
    from hub.client import ClientError
    from hub.upkeep.claims import let_go

    with suppress(ClientError, OSError):
        with_operator(target, partial(let_go, pin=pin))


def _tell(entries: Sequence[Mapping[str, Any]], more: Mapping[str, Any], output: Output) -> int:
    """Loss first, then the rows, then the sums; the exit code."""
    from hub.cli.exits import Exit
    from hub.cli.output import chosen, write_record, write_records
    from hub.cli.run import say

    summary = sums(entries) | dict(more)
    summary["balanced"] = summary["balanced"] and not summary.get("problems")
    good = summary["balanced"] and not summary["lost"]
    for line in complaints(entries, summary):
        say(line)
    if chosen(output) == "json":
        write_record({**summary, "entries": list(entries)}, output)
    elif chosen(output) == "ndjson":
        write_records(entries, COLUMNS, output)
    else:
        write_entries(entries, output)
        if chosen(output) == "table":
            print()
            write_record({key: value for key, value in summary.items() if key != "problems"}, output)
    return Exit.OK if good else Exit.FAILED


def complaints(entries: Sequence[Mapping[str, Any]], summary: Mapping[str, Any]) -> list[str]:
    """What is wrong, worst first; at last how much more there is than is listed."""
    told = []
    for entry in entries:
        if count(entry["lost"]):
            ranges = written(entry["lost"])
            told.append(f"lost at the hub: {entry['device']} epoch {entry['epoch']}: batches {ranges}")
    for entry in entries:
        if not entry["balanced"]:
            why = entry.get("problem") or "the sums differ"
            told.append(f"does not balance: {entry['device']} epoch {entry['epoch']}: {why}")
    told += [str(problem) for problem in summary.get("problems", ())]
    if more := summary.get("problems_unsaid"):
        told.append(f"and {more} more problem{'s' * (more != 1)}: see to those above first, then verify again")
    return told


def sums(entries: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Both equations over all devices and epochs; batches are counted, ``kept`` and so on are ranges in the entries."""
    total: dict[str, Any] = {"balanced": all(entry["balanced"] for entry in entries)}
    total["batches"] = sum(entry["next"] - 1 for entry in entries)
    for name in _RANGES:
        total[name] = sum(count(entry[name]) for entry in entries)
    for name in ("received", "stored", "pending", "expired"):
        total[name] = sum(entry[name] for entry in entries)
    for name in ("rejected", "removed"):
        total[name] = {}
        for entry in entries:
            for key, readings in entry[name].items():
                total[name][key] = total[name].get(key, 0) + readings
    return total


def count(ranges: Sequence[Sequence[int]]) -> int:
    """How many seqs are in inclusive ranges."""
    return sum(last - first + 1 for first, last in ranges)


def written(ranges: Sequence[Sequence[int]]) -> str:
    """``1-40, 43``."""
    return ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in ranges)


def write_entries(entries: Sequence[Mapping[str, Any]], output: Output) -> None:
    """One row for each device and epoch: batches as counts, but what is not kept as ranges."""
    from hub.cli.output import chosen, write_rows

    shown = [_row(entry) for entry in entries]
    table = chosen(output) == "table"
    columns = [name for name in COLUMNS if not table or name not in _SELDOM or any(row[name] for row in shown)]
    write_rows(columns, ([row[name] for name in columns] for row in shown), output)


def _row(entry: Mapping[str, Any]) -> dict[str, Any]:
    shown = dict(entry)
    shown["kept"] = count(entry["kept"])
    for name in _RANGES[1:]:
        shown[name] = written(entry[name]) or 0
    if "moved_to" in entry:
        shown["moved"] = f"{shown['moved']} (to {entry['moved_to']})"
    for name in ("rejected", "removed"):
        shown[name] = ", ".join(f"{why} {number}" for why, number in sorted(entry[name].items())) or 0
    if entry["unknown_above"]:
        shown["next"] = f"{entry['next']} (above: unknown)"
    return shown
