"""A sync of the journal fails with EIO: that process never acks again and ends with an exit code other than 0; the next
one has everything that was acked. On a real process, whose system calls strace spoils."""

from pathlib import Path

import pytest

from tests.faults.disturbed import disturbed, make_hub
from tests.faults.failing_sync import MISSING, each_fails, traceable

pytestmark = pytest.mark.slow

DEVICES = 5
FAILING = (1, 2, 3, 5, 8, 10)  # which sync fails, counted from when strace attaches


@pytest.mark.timeout(300)
@pytest.mark.skipif(not traceable(), reason=MISSING)
def test_a_failed_sync_ends_the_hub_and_loses_nothing_acked(tmp_path: Path) -> None:
    hub, passed = make_hub(tmp_path), list[int]()
    try:
        figures = disturbed(hub, tmp_path, DEVICES, each_fails(FAILING, passed))
        assert tuple(passed) == FAILING
        print(f"{len(passed)} failed syncs, {figures['acked']} readings acked, none lost")
    finally:
        hub.__exit__()
