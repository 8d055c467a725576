"""The row of a store whose file is not what was written, with a real hub."""

import trio

from tests.faults.damaged_store import SHORT, Case, ask, flip_log, stream, while_down, while_running
from tests.faults.disturbed import make_hub
from tests.faults.lab import Failed, Figures, Lab, Row

YEAR_DAYS = 364  # older than any overlap that a rebuild could lean on


def store_damaged(lab: Lab) -> Figures:
    """F6: deleted, cut, one bit of its log flipped; while the hub is down and while it runs."""
    hub = make_hub(lab.scratch)
    cases: list[Case] = []
    try:
        hub.start()
        trio.run(stream, hub, 0.5 if lab.quick else 2.0)
        if len(ask(hub)["rows"]) < 100:
            raise Failed("too little was stored to say anything")
        for case in while_down(hub, (flip_log,) if lab.quick else SHORT):
            cases.append(case)
        for case in while_running(hub, () if lab.quick else SHORT):
            cases.append(case)
    finally:
        hub.__exit__()
    for case in cases:
        case.write(lab.evidence)
    return _figures(cases)


def _figures(cases: list[Case]) -> Figures:
    figures = {
        "cases": len(cases),
        "readings": max(len(case.after) for case in cases),
        "oldest_days": round(min(case.oldest_days for case in cases)),
        "rebuild_s": {case.name: round(case.seconds, 1) for case in cases},
        "rebuild_s_max": round(max(case.seconds for case in cases), 1),
        "lost": sum(case.lost for case in cases),
        "duplicated": sum(case.duplicated for case in cases),
    }
    if figures["lost"] or figures["duplicated"]:
        raise Failed(f"the answers differ: {figures}", figures)
    if figures["oldest_days"] < YEAR_DAYS:
        raise Failed("no reading is older than what an overlap may have", figures)
    return figures


ROWS = [Row("F6 store damaged", store_damaged, seconds=45.0)]
