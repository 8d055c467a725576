"""The lab's checker: compares what was sent, acked and stored, from the files in a directory of evidence alone.

``sent.jsonl``     {"line", "device", "n": [...], "time": [us, ...], "x": [hex, ...]}    before it could leave
``acked.jsonl``    {"line", "device", "n": [...]}                                       what one ack covered
``stored.ndjson``  what ``telemetrio query n x -o ndjson`` answered in the end: device, metric, time, value
``stored.jsonl``   or, where a row asked the hub itself: {"line", "device", "n": [...]}
``ledger.json``    what ``telemetrio ledger --verify -o json`` said, where readings may expire
``booked.jsonl``   {"line", "device", "n": [...]}  destroyed on purpose, and booked by the ledger as lost at the hub

Devices send rows of two readings: ``n`` counts, so that a stored value says which reading it is; ``x`` has random bits.
``line`` counts the lines of a file; the last one of what was sent or acked is ``{"line", "end": true}``: a line that
is missing is seen. (Records that do not count their lines are taken as they are.)
Nothing of the product is imported here.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeAlias

Key: TypeAlias = tuple[str, int]  # device, n
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
PLANTED = "planted"  # the directory of what was counted with bugs planted
#: What must be 0.
WRONG = ("lost", "duplicated", "invented", "altered", "doubtful", "missing_lines")


@dataclass
class Stored:
    """What the store answered: how often each n and each x, and with what; times as text, null where not known."""

    n: Counter[Key] = field(default_factory=Counter)
    times: dict[Key, str] = field(default_factory=dict)
    x: Counter[tuple[str, str]] = field(default_factory=Counter)  # by device and time
    bits: dict[tuple[str, str], str] = field(default_factory=dict)
    doubtful: int = 0  # readings whose quality is not good: no device was rewound, and all have a clock


def recount(folder: Path) -> dict[str, int]:
    """Compare the sets on record; counts of readings. All of ``WRONG`` must be 0."""
    sent: dict[Key, tuple[str, str]] = {}
    missing = 0
    for line in _lines(folder / "sent.jsonl"):
        missing += line.get("missing", 0)
        count = len(line.get("n", ()))
        known = (map(_text, line.get("time", ())), line.get("x", ()))
        times, bits = (list(each) or [""] * count for each in known)
        for n, time, x in zip(line.get("n", ()), times, bits, strict=True):
            sent[line["device"], n] = time, x
    acked: set[Key] = set()
    for line in _lines(folder / "acked.jsonl"):
        missing += line.get("missing", 0)
        acked.update((line["device"], n) for n in line.get("n", ()))
    destroyed: set[Key] = set()
    if (folder / "booked.jsonl").exists():
        for line in _lines(folder / "booked.jsonl", ends=False):
            missing += line.get("missing", 0)
            destroyed.update((line["device"], n) for n in line.get("n", ()))
    stored, gaps = _stored(folder)
    gaps += len(destroyed & stored.n.keys())  # the ledger tells of losses that are none
    booked = _booked(folder / "ledger.json")
    return _compare(sent, acked - destroyed, stored, booked) | {"missing_lines": missing + gaps}


def _compare(
    sent: dict[Key, tuple[str, str]], acked: set[Key], stored: Stored, booked: Mapping[str, int]
) -> dict[str, int]:
    both = bool(stored.x)  # an answer of the command line has both readings of a row
    places = {(device, time) for (device, _), (time, _) in sent.items()}
    altered, absent = 0, Counter[str]()
    for key, (time, x) in sent.items():
        place = key[0], time
        if key in acked:
            absent[key[0]] += (key not in stored.n) + (both and place not in stored.x)
        altered += stored.times.get(key, time) != time
        altered += stored.bits.get(place, x) != x
    lost = len(acked - sent.keys())  # nobody has sent it: the record is not whole
    lost += sum(abs(absent[device] - booked.get(device, 0)) for device in absent.keys() | booked.keys())
    return {
        "sent": len(sent) * (1 + both),
        "acked": len(acked) * (1 + both),
        "stored": stored.n.total() + stored.x.total(),
        "expired": sum(booked.values()),
        "lost": lost,
        "duplicated": stored.n.total() - len(stored.n) + stored.x.total() - len(stored.x),
        "invented": len(stored.n.keys() - sent.keys()) + (len(stored.x.keys() - places) if both else 0),
        "altered": altered,
        "doubtful": stored.doubtful,
    }


def _booked(path: Path) -> dict[str, int]:
    """Readings by device that need not be stored, as the ledger tells: expired since they came, or too old then."""
    entries = json.loads(path.read_text())["entries"] if path.exists() else []
    counts = Counter[str]()
    for entry in entries:
        counts[entry["device"]] += entry["expired"] + sum(entry["rejected"].values())
    return {device: count for device, count in counts.items() if count}


def _stored(folder: Path) -> tuple[Stored, int]:
    """What was stored, and how many lines are missing there."""
    stored, missing = Stored(), 0
    answer = folder / "stored.ndjson"
    if not answer.exists():
        for line in _lines(folder / "stored.jsonl", ends=False):
            missing += line.get("missing", 0)
            stored.n.update((line["device"], n) for n in line.get("n", ()))
        return stored, missing
    for text in answer.read_text().splitlines():
        row = json.loads(text)
        stored.doubtful += row["quality"] != "good"
        if row["metric"] == "n":
            key = row["device"], int(row["value"])
            stored.n[key] += 1
            stored.times[key] = row["time"]
        elif row["metric"] == "x":
            place = row["device"], row["time"]
            stored.x[place] += 1
            stored.bits[place] = float(row["value"]).hex()
    return stored, missing


def _lines(path: Path, *, ends: bool = True) -> Iterator[dict[str, Any]]:
    """What the lines of a record say; ``{"missing": COUNT}`` where some are not there."""
    number, ended = 0, not ends
    for text in path.read_bytes().splitlines(keepends=True):
        if not text.endswith(b"\n"):
            break  # a kill cut it short
        told = json.loads(text)
        if told.get("line", number + 1) != number + 1:
            yield {"missing": abs(told["line"] - number - 1)}
        number, ended = told.get("line", number + 1), ended or told.get("end", False) or "line" not in told
        yield told
    if not ended:
        yield {"missing": 1}


def _text(us: int) -> str:
    """A time as the command line writes it."""
    moment = (EPOCH + timedelta(microseconds=us)).replace(tzinfo=None)
    return f"{moment.isoformat(timespec='microseconds')}Z"


def wrong(figures: dict[str, int]) -> bool:
    """Does anything differ?"""
    return any(figures.get(name) for name in WRONG)


def main(folder: Path) -> int:
    """Print the count of every record below ``folder``, a line each; 1 when something differs somewhere. Records of
    planted bugs, which must differ, are counted when they are asked for."""
    code = 0
    for found in sorted({path.parent for path in folder.rglob("stored.*json*")}):
        name = found.relative_to(folder)
        if PLANTED in name.parts or not all((found / each).exists() for each in ("sent.jsonl", "acked.jsonl")):
            continue
        figures = recount(found)
        code |= wrong(figures)
        print(json.dumps({"record": str(name), **figures}))
    return code
