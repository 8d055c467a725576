"""The mirror against a real time-series database that speaks InfluxDB's write interface."""

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest

from hub.store.influx import InfluxMirror
from tests.store.building import FREEZER, SECOND, birth, columns, every_second, floats, row

BINARY = shutil.which("victoria-metrics")
pytestmark = pytest.mark.skipif(  # in CI it is there, or these tests fail
    BINARY is None and os.environ.get("CI") != "true",
    reason="victoria-metrics is not installed (Debian: victoria-metrics)",
)


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    assert BINARY is not None, "victoria-metrics is not installed (Debian: victoria-metrics)"
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    command = [
        BINARY, f"-httpListenAddr={address}", f"-storageDataPath={tmp_path / 'victoria'}", "-retentionPeriod=100y",
        "-memory.allowedBytes=200MB",
    ]  # fmt: skip
    with (tmp_path / "log").open("w") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            wait_until_it_answers(f"http://{address}", process)
            yield f"http://{address}"
        finally:
            process.kill()


def wait_until_it_answers(url: str, process: "subprocess.Popen[bytes]") -> None:
    for _ in range(1000):
        try:
            assert urlopen(f"{url}/health").read() == b"OK"
        except OSError:
            assert process.poll() is None, "victoria-metrics ended at once"
            time.sleep(0.01)  # it says nowhere that it listens
        else:
            return
    raise AssertionError("victoria-metrics does not answer")


def export(url: str) -> dict[tuple[str, str], list[tuple[int, float]]]:
    """Series by name and device: (ms, value)."""
    urlopen(f"{url}/internal/force_flush").read()
    found = {}
    for line in urlopen(f"{url}/api/v1/export?match[]=%7B__name__!=%22%22%7D").read().splitlines():
        series = json.loads(line)
        labels = series["metric"]
        found[labels["__name__"], labels["device"]] = sorted(zip(series["timestamps"], series["values"], strict=True))
    return found


def test_what_was_taken_can_be_read_back(url: str) -> None:
    mirror = InfluxMirror(url, "any", "any", "any")
    old = 1_700_000_000_000_000  # this server drops what is in its future, so stay well behind any clock
    mirror.take(
        [
            row(1, birth(1, "station-1"), old, [21.25, 50.0]),
            row(2, birth(1, "station-1"), old + SECOND, [21.5, None]),
            columns(3, birth(2, "station-2"), every_second(3, old), [(0, floats(1, 2, 3))]),
            row(4, birth(3, "freezer-1", FREEZER), old, [-1850, True, "idle"]),
        ]
    )
    mirror.close()
    start = old // 1000
    found = export(url)
    assert found["model_temperature", "station-1"] == [(start, 21.25), (start + 1000, 21.5)]
    assert found["model_humidity", "station-1"] == [(start, 50.0)]
    assert found["model_temperature", "station-2"] == [(start, 1), (start + 1000, 2), (start + 2000, 3)]
    assert found["model_temperature", "freezer-1"] == [(start, -18.5)]
    assert found["model_door_open", "freezer-1"] == [(start, 1)]
