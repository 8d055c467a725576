"""The store's file is deleted, cut, or has a bit flipped, while the hub is down and while it runs: the same answers
afterwards, from the journal alone."""

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
import trio

from tests.end_to_end.processes import HubProcess
from tests.faults.damaged_store import DOWN, RUNNING, SHORT, Case, Damage, ask, stream, while_down, while_running
from tests.faults.disturbed import make_hub

pytestmark = pytest.mark.slow

LONG = bool(os.environ.get("TELEMETRIO_LONG"))  # every case; else one of each kind, so that ./run test stays short

Cases = Callable[[HubProcess, Sequence[Damage]], Iterator[Case]]


def check(folder: Path, cases: Cases, damages: Sequence[Damage]) -> None:
    hub = make_hub(folder)
    try:
        hub.start()
        trio.run(stream, hub, 2.0)
        assert len(ask(hub)["rows"]) > 100
        found = 0
        for case in cases(hub, damages):
            assert (case.lost, case.duplicated) == (0, 0)
            assert case.oldest_days > 364
            print(f"{case.name}: {len(case.after)} readings, {case.seconds:.1f} s")
            found += 1
        assert found == len(damages)
    finally:
        hub.__exit__()


@pytest.mark.timeout(400)
def test_a_store_damaged_while_the_hub_is_down_answers_as_before(tmp_path: Path) -> None:
    check(tmp_path, while_down, tuple(DOWN) if LONG else SHORT)


@pytest.mark.timeout(400)
def test_a_store_damaged_while_the_hub_runs_answers_as_before(tmp_path: Path) -> None:
    check(tmp_path, while_running, RUNNING if LONG else SHORT)
