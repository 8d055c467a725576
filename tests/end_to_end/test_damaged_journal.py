"""A record of a real hub's journal is damaged after the store took it in: from then on the store has the only copy."""

import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hub.disk import DiskFiles
from hub.journal.segments import segment_path, segments
from hub.store.aside import all_aside
from hub.wire.kept import Birth, Kept
from hub.wire.records import unpack
from tests.end_to_end.processes import HubProcess, until
from tests.faults.damaged_journal import Places

pytestmark = pytest.mark.slow


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[HubProcess]:
    """One that has taken in what a weather station measured, and runs again over a damaged record."""
    hub = HubProcess.make(tmp_path / "hub")
    try:
        hub.start()
        station = ("devices", "run", "ws-1", "weather-station", "--every", "0.1s", "--seconds", "2")
        assert hub.run(*station, timeout=120).returncode == 0
        assert hub.stop() == 0
        damage_a_batch(hub.folder / "data" / "journal")
        hub.start()
        until(lambda: metric(hub, "telemetrio_damage_only_copy_readings") > 0)
        yield hub
    finally:
        hub.__exit__()


def damage_a_batch(journal: Path) -> None:
    """One bit in the middle one of the newest segment."""
    first = segments(journal, DiskFiles())[-1]
    reader, births, batches = Places(DiskFiles().open(segment_path(journal, first)), first), dict[int, Birth](), []
    while chunk := reader.read():
        batches += [lsn for lsn, payload in chunk if isinstance(unpack(lsn, payload, births), Kept)]
    reader.close()
    with segment_path(journal, first).open("r+b") as file:
        at = reader.places[batches[len(batches) // 2]][0] + 30
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 1]))


def counts(hub: HubProcess) -> dict[str, Any]:
    ran = hub.run("ledger", "-o", "json")
    told = json.loads(ran.stdout)
    return {"exit": ran.returncode, **{name: told[name] for name in ("received", "stored", "balanced")}}


def cautions(hub: HubProcess) -> list[str]:
    ran = hub.run("hub", "status", "-o", "json")
    assert ran.returncode == 0, "a caution does not make the hub unready"
    return list(json.loads(ran.stdout)["problems"])


def ready(hub: HubProcess) -> str:
    with urllib.request.urlopen(f"{hub.http}/readyz") as answer:
        return str(answer.read().decode())


def metric(hub: HubProcess, name: str) -> int:
    with urllib.request.urlopen(f"{hub.http}/metrics") as answer:
        lines = answer.read().decode().splitlines()
    return int(float(next(line.split()[1] for line in lines if line.startswith(f"{name} "))))


@pytest.mark.timeout(300)
def test_a_rebuild_that_would_lose_readings_is_refused_until_that_is_accepted(hub: HubProcess) -> None:
    before, data = counts(hub), hub.folder / "data"
    assert (before["exit"], before["balanced"]) == (0, True)
    (caution,) = cautions(hub)
    assert "the only copy of" in caution
    assert ready(hub) == f"ready\n{caution}\n"
    alone = metric(hub, "telemetrio_damage_only_copy_readings")
    assert f"only copy of {alone} readings" in caution

    for running in (True, False):
        if not running:
            assert hub.stop() == 0
        refused = hub.run("hub", "rebuild", "-o", "json")
        assert (refused.returncode, refused.stdout) == (1, "")
        assert f"the only copy of their {alone} readings is in the store" in refused.stderr
        assert not list(data.glob("*.damaged-*")) + list(data.glob("*.replaced-*"))
    hub.start()
    assert counts(hub) == before

    accepted = hub.run("hub", "rebuild", "--accept-loss", "-o", "json")
    told = json.loads(accepted.stdout)
    kept = Path(told["set_aside"])
    assert kept.name.startswith("store.duckdb.replaced-")
    assert (accepted.returncode, told["only_copy"], told["readings"]) == (0, alone, before["stored"] - alone)
    assert f"{kept} is now the only copy of {alone} readings" in accepted.stderr
    assert counts(hub) == {**before, "exit": 1, "stored": before["stored"] - alone, "balanced": False}

    assert hub.stop() == 0
    kept.rename(data / "store.duckdb")
    if (log := kept.with_name(f"{kept.name}.wal")).exists():
        log.rename(data / "store.duckdb.wal")
    hub.start()
    assert counts(hub) == before, "it is put back as it says"


@pytest.mark.timeout(300)
def test_a_store_that_is_damaged_too_is_made_again_and_what_is_missing_is_told(hub: HubProcess) -> None:
    before = counts(hub)
    alone = metric(hub, "telemetrio_damage_only_copy_readings")
    path = hub.folder / "data" / "store.duckdb"
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)
    until(lambda: metric(hub, "telemetrio_damage_unaccounted_readings") == alone)
    for _ in range(2):
        (kept,) = (path.name for path in all_aside(path))
        assert kept.startswith("store.duckdb.damaged-")
        (caution,) = cautions(hub)
        assert f"{alone} readings that were received are in neither" in caution
        assert f"({kept}): keep it" in caution
        told = counts(hub)
        assert (told["exit"], told["balanced"], told["stored"]) == (1, False, before["stored"] - alone)
        assert hub.stop() == 0
        hub.start()
        until(lambda: metric(hub, "telemetrio_damage_unaccounted_readings") == alone)
    assert "the journal is damaged, too" in hub.log()
