"""``telemetrio hub rebuild``, with a hub that runs and without one."""

import json
from pathlib import Path

import pytest
import trio

from hub.store.aside import all_aside
from tests.end_to_end.processes import HubProcess
from tests.faults.streaming import write_model
from tests.faults.test_store_damage import ask, stream

pytestmark = pytest.mark.slow


@pytest.mark.timeout(200)
def test_rebuild_gives_the_same_answers(tmp_path: Path) -> None:
    hub = HubProcess.make(tmp_path / "hub", settings={"TELEMETRIO_MODELS__DIRECTORY": str(write_model(tmp_path))})
    try:
        hub.start()
        trio.run(stream, hub, 1.0)
        before = ask(hub)
        for running in (True, False):
            if not running:
                assert hub.stop() == 0
            done = hub.run("hub", "rebuild", "-o", "json")
            assert done.returncode == 0, done.stdout + done.stderr
            told = json.loads(done.stdout)
            assert told["readings"] == sum(stored for _, _, stored, _ in before["ledger"])
            assert told["seconds"] >= 0
            assert "record" in done.stderr
            print(told)
            if not running:
                hub.start()
            assert ask(hub) == before
            assert ("built anew" in hub.log(), "the store is damaged" in hub.log()) == (True, False)
            aside = [path.name for path in all_aside(hub.folder / "data" / "store.duckdb")]
            assert len(aside) == (1 if running else 2)
            assert all(name.startswith("store.duckdb.replaced-") for name in aside)
    finally:
        hub.__exit__()
