"""Reads durable entries in order: the decoded ones at the tail, records from disk for who is behind."""

from typing import Final

import trio

from hub.journal import Damage, Journal, Scan, Search
from hub.wire.kept import Birth, Entry
from hub.wire.records import BORN, MissingBirth, is_birth, unpack

TAKE_BYTES: Final = 4 * 1024 * 1024  # in one take: as columns of a store that is about 32 MB
DECODED_AT_ONCE: Final = 500  # records until others get their turn: about a millisecond


class Reader:
    """A position in the journal. Both ways give the same entries, but that ``through`` of those from disk is 0."""

    def __init__(self, journal: Journal, position: int) -> None:
        self.position = position  # LSN of the last entry given out
        self._journal = journal
        self._births: dict[int, Birth] = {}
        self._search = Search(journal.directory, journal.files, is_birth)
        self._chunks: list[tuple[int, bytes]] = []  # read, not yet given out; newest first
        self._scan: Scan | None = None
        self._until = 0  # everything up to here is durable and seen when the scan ends

    async def next(self, limit: int) -> list[Entry]:
        """At most ``limit`` of the durable entries after ``position``, which moves behind them. May be empty, and the
        position moves all the same where there is nothing for followers; waits for the disk only."""
        if not self._chunks:
            entries = self._journal.tail(self.position, limit, TAKE_BYTES)
            if entries is not None:
                self._scan = None  # memory has all: who waits for a scan's end while more comes never leaves the disk
                self.position += len(entries)
                return entries  # type: ignore[return-value]  # what ingest hands the journal as companions
        try:
            return await self._from_disk(limit)
        except BaseException:
            self._scan, self._chunks = None, []  # from the start of the segment again: its births are needed
            raise

    async def _from_disk(self, limit: int) -> list[Entry]:
        if not self._chunks:
            if self._scan is None:
                self._births = {}  # it begins with a segment, and each has the births that it needs (P9)
                self._until = self._journal.durable
                self._scan = self._journal.scan(self.position, TAKE_BYTES)
            try:
                chunk = await self._scan.__anext__()
            except StopAsyncIteration:
                self._scan = None
                self.position = max(self.position, self._until)  # numbers that are missing will not come any more
                return []
            self._chunks = chunk[::-1]
        entries: list[Entry] = []
        position = self.position
        seen = 0
        while self._chunks and len(entries) < limit:
            lsn, payload = self._chunks.pop()
            seen += 1
            if lsn > position:
                try:
                    entries.append(unpack(lsn, payload, self._births))
                except MissingBirth as missing:
                    entries += await self._with_copy(lsn, payload, missing.birth)
                position = lsn
            elif payload[0] == BORN:
                unpack(lsn, payload, self._births)
            if seen % DECODED_AT_ONCE == 0:
                await trio.lowlevel.checkpoint()
        self.position = position
        return entries

    async def _with_copy(self, lsn: int, payload: bytes, birth: int) -> list[Entry]:
        """A birth is damaged: its copies in other segments say the same. Where there is none, the record says nothing
        any more, and that is told."""
        found = await self._journal.reading.run(self._search.find, birth, lsn)
        if found is None:
            self._journal.noticed([Damage(self._journal.on_disk.segment_of(lsn), 0, 0, lsn, lsn)])
            return []
        unpack(*found, self._births)
        return [unpack(lsn, payload, self._births)]
