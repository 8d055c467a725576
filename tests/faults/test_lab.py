"""The lab itself: it can fail. Its checker sees a line that is missing, its rows see planted bugs, and an accident is
no bug that was caught."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.faults.__main__ import _finders, _judged
from tests.faults.checker import WRONG, recount, wrong
from tests.faults.crashing import points
from tests.faults.lab import OTHER_PLANTS, PLANTS, Failed, Lab, Row
from tests.faults.record import Record
from tests.faults.rows import rows
from tests.faults.running import Task, Told, _next, run_tasks

TIMES = ("2026-11-22T10:00:00.000000Z", "2026-11-22T10:00:00.100000Z", "2026-11-22T10:00:00.200000Z")
US = 1_795_341_600_000_000  # the first of them
BITS = (0.1, -2.5e300, 5e-324)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Evidence of three rows of one device, all sent, acked and stored."""
    sent, acked = Record(tmp_path / "sent.jsonl"), Record(tmp_path / "acked.jsonl")
    for n, x in enumerate(BITS):
        sent.write("d", [n], time=[US + n * 100_000], x=[x.hex()])
    acked.write("d", [0, 1])
    acked.write("d", [2])
    for record in (sent, acked):
        record.end()
    lines = [reading(metric, n) for n in range(3) for metric in "nx"]
    (tmp_path / "stored.ndjson").write_text("\n".join(lines) + "\n")
    return tmp_path


def reading(metric: str, n: int, **other: object) -> str:
    value = {"n": n, "x": BITS[n]}[metric]
    return json.dumps({"device": "d", "metric": metric, "time": TIMES[n], "value": value, "quality": "good"} | other)


def change(path: Path, at: int, lines: Sequence[str]) -> None:
    """Put others in the place of one line."""
    old = path.read_text().splitlines()
    path.write_text("".join(f"{line}\n" for line in [*old[:at], *lines, *old[at + 1 :]]))


def test_what_is_stored_as_it_was_sent_is_right(folder: Path) -> None:
    figures = recount(folder)
    assert not wrong(figures), figures
    assert (figures["sent"], figures["acked"], figures["stored"]) == (6, 6, 6)


@pytest.mark.parametrize(("name", "at"), [(name, at) for name, count in
    (("sent.jsonl", 4), ("acked.jsonl", 3), ("stored.ndjson", 6)) for at in range(count)])  # fmt: skip
def test_a_line_that_is_taken_out_of_any_record_is_seen(folder: Path, name: str, at: int) -> None:
    change(folder / name, at, [])
    assert wrong(recount(folder))


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ([reading("n", 1), reading("n", 1)], {"duplicated"}),
        ([reading("n", 1), reading("x", 1)], {"duplicated"}),
        ([reading("n", 1), reading("n", 1, value=7)], {"invented"}),
        ([reading("n", 1, time=TIMES[0])], {"altered"}),
        ([reading("n", 1, device="e")], {"lost", "invented"}),
        ([reading("n", 1, quality="rewound")], {"doubtful"}),
    ],
)
def test_each_difference_has_its_name(folder: Path, line: list[str], found: set[str]) -> None:
    change(folder / "stored.ndjson", 2, line)
    figures = recount(folder)
    assert {name for name in WRONG if figures[name]} == found


def test_one_bit_of_a_value_is_seen(folder: Path) -> None:
    change(folder / "stored.ndjson", 5, [reading("x", 2, value=1e-323)])
    assert recount(folder)["altered"] == 1


def test_what_the_ledger_has_booked_as_expired_is_not_lost_and_no_more_than_that(folder: Path) -> None:
    change(folder / "stored.ndjson", 0, [])
    entry = {"device": "d", "expired": 1, "rejected": {}}
    (folder / "ledger.json").write_text(json.dumps({"entries": [entry]}))
    assert not wrong(recount(folder))
    (folder / "ledger.json").write_text(json.dumps({"entries": [entry | {"expired": 2}]}))
    assert recount(folder)["lost"] == 1


def test_what_was_destroyed_and_booked_as_lost_may_be_absent_and_must_be(folder: Path) -> None:
    Record(folder / "booked.jsonl").write("d", [0])
    assert wrong(recount(folder))
    stored = (folder / "stored.ndjson").read_text().splitlines()
    (folder / "stored.ndjson").write_text("\n".join(stored[2:]) + "\n")
    assert not wrong(recount(folder))
    (folder / "booked.jsonl").unlink()
    assert recount(folder)["lost"] == 2


def test_the_checker_is_a_command_that_fails(folder: Path) -> None:
    command = [sys.executable, "-m", "tests.faults.record", str(folder)]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0
    change(folder / "stored.ndjson", 0, [])
    done = subprocess.run(command, capture_output=True, check=False)
    assert done.returncode == 1
    assert json.loads(done.stdout)["lost"] == 1


def test_a_record_that_a_kill_cut_short_is_gone_on_with(tmp_path: Path) -> None:
    path = tmp_path / "sent.jsonl"
    Record(path).write("d", [0])
    with path.open("ab") as file:
        file.write(b'{"line": 2, "dev')
    record = Record(path)
    record.write("d", [1])
    record.end()
    assert [json.loads(line)["line"] for line in path.read_text().splitlines()] == [1, 2, 3]


def test_an_accident_of_the_lab_catches_no_bug() -> None:
    row = Row("F1 something", lambda lab: {})
    judged = {
        ended: _judged(Told(Task(row, "none"), ended, {}, ended, 0.0)) for ended in ("passed", "failed", "broken")
    }
    assert {ended: told["passed"] for ended, told in judged.items()} == {
        "passed": False,
        "failed": True,
        "broken": False,
    }
    assert sum(told["figures"]["planted"] for told in judged.values()) == 3


def _failing(lab: Lab) -> dict[str, int]:
    raise Failed("one is lost", {"lost": 1})


def _leaving(lab: Lab) -> dict[str, int]:
    left = subprocess.Popen(["sleep", "60"])
    (lab.evidence / "left").write_text(str(left.pid))
    print("something was left running")
    return {"acked": 1}


def play(evidence: str) -> None:
    """Run rows that end in every way; in a process of its own, because each is a fork of it."""
    ends = {
        "F1 leaves": _leaving,
        "F2 fails": _failing,
        "F3 breaks": lambda lab: 1 // 0,
        "F4 dies": lambda lab: os._exit(3),
    }
    tasks = [Task(Row(name, run)) for name, run in ends.items()]
    lab = Lab(Path(evidence), Path(evidence), 1, quick=True, seeds=1)
    for told in run_tasks(tasks, lab, lambda text: None):
        print(json.dumps([told.task.row.name, told.ended, told.figures, told.why.strip().splitlines()[-1:]]))


def test_however_a_row_ends_the_others_run_and_nothing_of_it_is_left(tmp_path: Path) -> None:
    script = f"from tests.faults.test_lab import play; play({str(tmp_path)!r})"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=60)
    told = {name: (ended, figures, why) for name, ended, figures, why in map(json.loads, done.stdout.splitlines())}
    assert told["F1 leaves"] == ("passed", {"acked": 1}, [])
    assert told["F2 fails"] == ("failed", {"lost": 1}, ["one is lost"])
    assert told["F3 breaks"][0] == told["F4 dies"][0] == "broken"
    assert "ZeroDivisionError" in told["F3 breaks"][2][0]
    assert "ended with 3" in told["F4 dies"][2][0]
    assert (tmp_path / "F1-leaves" / "row.log").read_text() == "something was left running\n"
    assert not Path(f"/proc/{(tmp_path / 'F1-leaves' / 'left').read_text()}/exe").exists(), "it was swept away"


def test_a_simulation_and_two_other_rows_run_at_once_and_one_that_wants_the_machine_runs_alone() -> None:
    def row(name: str, **more: bool) -> Task:
        return Task(Row(name, lambda lab: {}, **more))

    seeds, kill, cut, damage, torn = map(row, ("F28 a", "F1 b", "F12 c", "F5 d", "F4 e"))
    storm = row("F24 f", alone=True)
    waiting = [kill, cut, damage, seeds, storm]
    running: list[Task] = []
    while (task := _next(waiting, running)) is not None:
        waiting.remove(task)
        running.append(task)
    assert running == [kill, cut, seeds]
    assert _next(waiting, [seeds, kill]) == damage
    assert _next(waiting, [kill, cut]) == damage, "the long one is through: its place is free"
    assert _next([torn], [kill, cut, damage]) is None
    assert _next([storm], [kill]) is None
    assert _next([storm], []) == storm
    assert _next(waiting, [storm]) is None


def test_every_row_that_catches_something_names_a_bug_of_the_list() -> None:
    there = rows()
    assert {plant for row in there for plant in row.catches} == {*PLANTS, *OTHER_PLANTS}
    assert len({Task(row).folder for row in there}) == len(there)
    for plant in PLANTS:
        found = _finders(plant, there)
        assert found == sorted(found, key=lambda row: row.plant_seconds)


def test_the_steps_to_be_killed_at_are_named_in_the_sources() -> None:
    assert {"append", "sync", "roll", "marks", "apply", "commit", "checkpoint", "archive", "collect", "account"} <= set(
        points("hub")
    )
    assert points("devices") == ["spool ack", "spool append"]


def lab(*words: str, seconds: float = 60) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "tests.faults", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)


def test_words_that_are_not_understood_end_with_2_and_the_list() -> None:
    done = lab("--plant", "nonsense")
    assert (done.returncode, done.stdout) == (2, "")
    assert all(plant in done.stderr for plant in PLANTS)
    done = lab("--only", "F1,F99")
    assert done.returncode == 2
    assert "F99" in done.stderr


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_quick_lab_finds_nothing_wrong_and_three_planted_bugs(tmp_path: Path) -> None:
    done = lab("--quick", "-o", "json", "--evidence", str(tmp_path / "evidence"), seconds=580)
    assert done.stdout.count("\n") == 1, done.stderr
    told = json.loads(done.stdout)
    assert done.returncode == 0, done.stderr
    assert set(told) == {"rows", "totals", "evidence", "seconds"}
    totals = told["totals"]
    assert totals["acked"] > 0
    assert (totals["lost"], totals["duplicated"]) == (0, 0)
    assert totals["kills"] >= 10
    assert (totals["planted"], totals["planted_caught"]) == (3, 3)
    simulated = any(row.number == "F28" for row in rows())
    assert totals["seeds"] >= 50 * simulated
    (folder,) = (tmp_path / "evidence").glob("F1-*killed-under-load")  # anyone can count again
    again = recount(folder)
    (first,) = (row["figures"] for row in told["rows"] if row["name"].startswith("F1 "))
    assert {name: first[name] for name in again} == again
