"""Reading the journal from disk, for followers that are behind the tail."""

from typing import TYPE_CHECKING

from hub.journal.archive import open_segment
from hub.journal.segments import SegmentReader

if TYPE_CHECKING:
    from hub.journal.journal import Journal


class Scan:
    """Chunks of durable ``(lsn, payload)``, oldest first, from the start of the segment that holds the first record
    wanted (so that the births are among them) to the durable end as it is when the end is reached."""

    def __init__(self, journal: "Journal", after: int, size: int) -> None:
        self._journal = journal
        self._next = journal.on_disk.segment_of(after + 1)
        self._size = size
        self._reader: SegmentReader | None = None

    def __aiter__(self) -> "Scan":
        return self

    async def __anext__(self) -> list[tuple[int, bytes]]:
        while (chunk := await self._journal.reading.run(self._read)) is not None:
            if chunk:
                return chunk
        raise StopAsyncIteration

    def _read(self) -> list[tuple[int, bytes]] | None:
        """The next chunk; empty at the end of a segment, None at the durable end."""
        journal, first = self._journal, self._next
        following, end = journal.on_disk.extent(first)
        # Opened for each chunk: a reader that is dropped half way leaves nothing open.
        file = open_segment(journal.directory, journal.files, first)
        try:
            reader = self._reader or SegmentReader(file, first, end=0)
            reader.file, reader.following = file, following
            reader.end = file.size() if end is None else end
            chunk = reader.read(self._size)
        finally:
            file.close()
        self._reader = reader
        journal.noticed(reader.damage)  # at once: who reads may leave for the tail before the segment's end
        if chunk:
            return chunk
        if following is None:
            return None
        reader.finish()
        journal.noticed(reader.damage)
        self._reader, self._next = None, following
        return []
