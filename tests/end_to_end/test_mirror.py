"""The mirror of a whole hub: what devices sent is in a real time-series database, reading for reading."""

import json
import os
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.processes import HubProcess, rows, until
from tests.store.influx.test_victoria import BINARY, export, url

__all__ = ["url"]  # the fixture of a running server


@pytest.mark.slow
@pytest.mark.skipif(
    BINARY is None and os.environ.get("CI") != "true",
    reason="victoria-metrics is not installed (Debian: victoria-metrics)",
)
def test_readings_arrive_in_the_mirror(url: str, tmp_path: Path) -> None:
    hub = HubProcess.make(tmp_path / "hub", settings={"TELEMETRIO_MIRROR__URL": url})
    with hub:
        words = ("--model", "cold-chain-freezer", "--every", "0.1s", "--seconds", "3")
        (told,) = rows(hub.run("devices", "run", "--id", "freezer", *words))
        assert told["acked"] == told["sent"] > 0
        until(lambda: not lagging(hub))
        stored = rows(hub.run("query", "--device", "freezer", "--last", "1h"))
        (entry,) = rows(hub.run("ledger", "freezer", "--verify"))
        assert hub.stop() == 0
    assert len(stored) == entry["stored"] > 0
    expected: dict[str, list[tuple[int, float]]] = {}
    texts = {reading["metric"] for reading in stored if isinstance(reading["value"], str)}
    for reading in stored:
        if reading["metric"] not in texts:  # of a text that database keeps no more than that it was there
            at = int(datetime.fromisoformat(reading["time"]).timestamp() * 1000)
            expected.setdefault(reading["metric"], []).append((at, float(reading["value"])))
    found = {name.partition("freezer_")[2]: values for (name, _), values in export(url).items()}
    for metric, values in expected.items():
        got = found[metric]
        assert [value for _, value in got] == pytest.approx([value for _, value in sorted(values)]), metric
        assert all(abs(there - here) <= 1 for (there, _), (here, _) in zip(got, sorted(values), strict=True))  # ms
    assert found.keys() - texts == expected.keys()


def lagging(hub: HubProcess) -> list[dict[str, Any]]:
    followers = json.loads(hub.run("hub", "status", "-o", "json").stdout)["followers"]
    assert any(follower["name"] == "influx" for follower in followers)
    return [follower for follower in followers if follower["lag"]]
