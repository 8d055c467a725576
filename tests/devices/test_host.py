"""This machine's sensors: what each reading tells of, whichever thread reads them."""

from collections import namedtuple
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest

from devices.host import Sensors

Times = namedtuple("Times", "user nice system idle iowait guest guest_nice")


def test_each_reading_tells_of_the_stretch_since_the_one_before_in_any_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = iter([
        Times(100.0, 0.0, 10.0, 1000.0, 5.0, 50.0, 0.0),
        Times(101.0, 0.0, 11.0, 1006.0, 7.0, 50.5, 0.0),  # guest time is in user
        Times(105.0, 0.0, 11.0, 1006.0, 7.0, 50.5, 0.0),
        Times(105.0, 0.0, 11.0, 1006.0, 7.0, 50.5, 0.0),  # no tick in between
        Times(105.0, 0.0, 12.0, 1005.9, 9.0, 50.5, 0.0),  # the kernel's count of idle may step back
    ])  # fmt: skip
    monkeypatch.setattr(psutil, "cpu_times", lambda: next(ticks))
    sensors, found = Sensors(), []
    for _ in range(4):
        with ThreadPoolExecutor(1) as thread:
            found.append(thread.submit(sensors.read, 0).result()["cpu_percent"])
    assert found == [20.0, 100.0, 0.0, pytest.approx(100 * 1.0 / 2.9, abs=0.1)]
