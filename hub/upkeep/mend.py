"""Looks after the store while the hub runs: holds it against account and journal, and has it rebuilt if it is wrong."""

from typing import Final

import structlog
import trio

from hub.followers.ledger import Ledger
from hub.followers.loop import Followers
from hub.journal import Journal
from hub.ports import Worker
from hub.state import StateError
from hub.store.base import StoreError
from hub.store.mending import ASKED, MendingStore
from hub.upkeep.collected import CollectedError, read_collected
from hub.upkeep.only_copy import OnlyCopy, only_copy
from hub.wire.records import RecordError

LOOK_SECONDS: Final = 1.0  # between two looks at the file: two system calls

log = structlog.get_logger(__name__)


class Mender:
    """One task. At the start it compares counts and reads every block once; then it looks at the file every second."""

    def __init__(
        self,
        store: MendingStore,
        worker: Worker,
        reader: Worker,
        ledger: Ledger,
        followers: Followers,
        journal: Journal,
    ) -> None:
        self._store = store
        self._worker = worker
        self._reader = reader
        self._ledger = ledger
        self._followers = followers
        self._journal = journal

    async def run(self) -> None:
        """Until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._verify)
            while True:
                await self._look()
                await trio.sleep(LOOK_SECONDS)

    async def renew(self, *, accept_loss: bool) -> tuple[int, OnlyCopy]:
        """``condemn`` a store that is not known to be wrong, after all of the journal was read; also what the store
        alone had. LossRefused when it has anything, unless that is accepted."""
        alone = await only_copy(self._journal, self._store, self._worker)
        if not accept_loss:
            alone.refuse()
        return self.condemn(ASKED), alone

    def condemn(self, why: str) -> int:
        """Have the store set aside and filled again; the record that it then has to reach."""
        self._store.condemn(why)
        self._followers.restart(self._store.name)
        return self._store.end()

    async def _look(self) -> None:
        if await self._worker.run(self._store.check) is not None:
            self._followers.restart(self._store.name)
        if self._store.rebuilding is None:
            return
        try:
            await self._worker.run(self._store.arrived, self._followers.cursor(self._store.name))
        except OSError as error:  # its mark stays where it is, and is looked at again
            log.warning("the store's files cannot be changed", why=str(error))

    async def _verify(self) -> None:
        """Counts first, which are soon told; then every block. Damage that ``scrub`` meets is acted on by ``_look``."""
        try:
            if self._store.rebuilding is None and (why := await self._disagreement()):
                self.condemn(why)
                return
            await self._reader.run(self._store.scrub)
        except (StoreError, StateError, RecordError, OSError) as error:
            log.warning("the store could not be verified", why=str(error))

    async def _disagreement(self) -> str | None:
        """How the store's counts differ from what was accepted; None when they do not, or when the journal is not whole
        itself: it might give less than the store has."""
        if all(entry["balanced"] for entry in await self._ledger.entries()):
            return None
        with self._journal.on_disk.held():
            try:
                base = await self._reader.run(read_collected, self._journal.directory, self._journal.files)
            except CollectedError:  # whoever collects tells it
                return None
            cursor, stored = await self._reader.run(self._store.counts)
            accepted = await self._ledger.accepted(cursor, base.lsn, base.rows)
        if accepted is None:
            return None
        wrong = sorted(key for key in accepted.keys() | stored if stored.get(key, 0) != accepted.get(key, 0))
        if not wrong:
            return None
        (device, epoch), there, right = wrong[0], stored.get(wrong[0], 0), accepted.get(wrong[0], 0)
        return (
            f"it has {there} readings of {device} epoch {epoch}, and {right} were accepted; {len(wrong)} epochs differ"
        )
