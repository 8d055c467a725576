"""Rows of disks that fail or are full, with real processes."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

from tests.faults.disturbed import disturbed, make_hub
from tests.faults.failing_sync import MISSING, each_fails, traceable
from tests.faults.lab import Failed, Figures, Lab, Row
from tests.faults.small_disk import DEVICES, RESERVE_MB, Fullness, NoDisk, elsewhere, small_disk

SYNCING_DEVICES = 5
FAILING = (1, 2, 3, 5, 8, 10)  # which sync of the journal fails, counted from when strace attaches


def sync_fails(lab: Lab) -> Figures:
    """F7: the N-th sync of the journal fails with EIO: the process acks no more and ends, the next one has it all."""
    if not traceable():
        raise Failed(MISSING)
    hub, passed = make_hub(lab.scratch), list[int]()
    try:
        figures = disturbed(hub, lab.evidence, SYNCING_DEVICES, each_fails(FAILING[: 2 if lab.quick else None], passed))
        return figures | {"passed": len(passed), "syncs": passed}
    finally:
        hub.__exit__()


def disk_full(lab: Lab) -> Figures:
    """F8: the disk is full, for the journal (with all the rest on it), and for the store with a journal elsewhere."""
    figures: Figures = {"acked": 0, "lost": 0, "duplicated": 0}
    with ThreadPoolExecutor() as both:  # each waits more than it works
        for told in both.map(lambda what: _full(lab, what), ("journal",) if lab.quick else ("journal", "store")):
            for name, figure in told.items():
                figures[name] = figures.get(name, 0) + figure
    return figures


def _full(lab: Lab, what: str) -> Figures:
    scratch, evidence = lab.scratch / what, lab.evidence / what
    for folder in (scratch, evidence):
        folder.mkdir()
    hub = make_hub(scratch, TELEMETRIO_HUB__RESERVE_MB=str(RESERVE_MB))
    data = hub.folder / "data"
    fullness = Fullness(data)
    with ExitStack() as mounted:
        try:
            mounted.enter_context(small_disk(data))
            if what == "store":
                mounted.enter_context(elsewhere(data / "journal", scratch / "journal"))
        except NoDisk as why:
            raise Failed(f"no file system can be mounted here: {why}") from None
        try:
            told = disturbed(hub, evidence, DEVICES, fullness.disturb)
            if (code := hub.stop()) != 0:
                raise Failed(f"the hub ended with {code}", told)
        finally:
            hub.__exit__()
    counts = {name: told[name] for name in ("acked", "lost", "duplicated")}
    return counts | {f"{what}_resumes_s": fullness.resumed_s, f"{what}_healthy_s": fullness.healthy_s}


ROWS = [Row("F7 sync fails", sync_fails), Row("F8 disk full", disk_full)]
