"""A state file that is older than what was collected of the journal since: put back from a copy, or from a backup."""

from typing import Final

import structlog

from hub.journal import Journal
from hub.ports import Worker
from hub.state import State
from hub.upkeep.collected import Collected, CollectedError, read_collected

ACCOUNT: Final = "account"

log = structlog.get_logger(__name__)


async def bring_up(journal: Journal, state: State, worker: Worker) -> None:
    """Where records that the account had not come to are not in the journal any more, it goes on from the count that
    stands in their place. Comes at the start, before anybody reads the account; ``worker``: the state file's."""
    try:
        collected = await journal.reading.run(read_collected, journal.directory, journal.files)
    except CollectedError as error:
        log.error("what was collected of the journal cannot be read", why=str(error))
        return
    await worker.run(_bring_up, state, collected)


def _bring_up(state: State, collected: Collected) -> None:
    cursor = state.cursors.get(ACCOUNT)
    if cursor >= collected.lsn:
        return
    before = {(row.device, row.epoch): row for row in state.account.all()}
    gone = sum(sum(row.rejected.values()) for row in collected.rows.values())
    gone -= sum(sum(row.rejected.values()) for key, row in before.items() if key in collected.rows)
    with state.transaction():
        state.account.save(collected.rows.values())
        state.cursors.set(ACCOUNT, collected.lsn)
    log.warning(
        "the state file is older than what was collected of the journal since; the account goes on from there",
        cursor=cursor, collected=collected.lsn, rejected_readings_not_in_quarantine=gone,
    )  # fmt: skip
