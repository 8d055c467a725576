"""The disk is full: acks stop, sessions, pings and commands live, nothing is lost, and all goes on alone when space
returns. On a real file system of a few MiB, which is then grown."""

from pathlib import Path

import pytest

from tests.faults.disturbed import disturbed, make_hub
from tests.faults.small_disk import DEVICES, RESERVE_MB, Fullness, NoDisk, small_disk

pytestmark = pytest.mark.slow


@pytest.mark.timeout(300)
def test_a_full_disk_stops_acks_and_nothing_else(tmp_path: Path) -> None:
    hub = make_hub(tmp_path, TELEMETRIO_HUB__RESERVE_MB=str(RESERVE_MB))
    data = hub.folder / "data"
    fullness = Fullness(data)
    try:
        with small_disk(data):
            try:
                disturbed(hub, tmp_path, DEVICES, fullness.disturb)
                assert hub.stop() == 0
            finally:
                hub.__exit__()
    except NoDisk as why:
        pytest.skip(f"no file system can be mounted here: {why}")
    print(f"full after {fullness.full_s} s; acks again {fullness.resumed_s} s after there was space")
