"""A state file that is older than what was collected of the journal since: put back from a copy, or from a backup."""

from typing import Final

import structlog

from hub.journal import Journal
from hub.ports import Worker
from hub.state import AccountRow, State
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
    rejected = sum(sum(row.rejected.values()) for row in collected.rows.values())
    with state.transaction():
        changed = [key for key, row in collected.rows.items() if _changed(before.get(key), row)]
        state.quarantine.forget(changed, collected.lsn)
        state.account.save(collected.rows.values())
        state.cursors.set(ACCOUNT, collected.lsn)
        kept = state.quarantine.count()
    log.warning(
        "the state file is older than what was collected of the journal since; the account goes on from there, and "
        "rejected readings of that time are not in quarantine any more",
        cursor=cursor, collected=collected.lsn, rejected=rejected, in_quarantine=kept,
    )  # fmt: skip


def _changed(before: AccountRow | None, after: AccountRow) -> bool:
    """Whether readings of it may have left quarantine in what was collected. Which ones, nobody knows: retried again,
    they would be there twice. All of them are older than what is kept."""
    if before is None:
        return False
    names = ("received", "rejected", "removed")
    return any(getattr(before, name) != getattr(after, name) for name in names)
