"""What follows the durable end of the journal."""

from collections.abc import Sequence
from typing import Protocol

from hub.wire.kept import Entry


class StartAgain(Exception):
    """What a follower had taken in is not there any more: it is asked anew how far it came, and goes on from there."""


class Follower(Protocol):
    """Takes in what is durable, in order, each entry once; its cursor is its own business and lasts with what it did.

    ``at_end`` followers (acks, live) start at the durable end and keep no cursor on disk.
    """

    name: str
    at_end: bool
    pace: float  # seconds between two takes while less than a full batch waits: bigger transactions cost less
    batch: int  # entries in one take at most

    async def start(self) -> int:
        """Open; the cursor: LSN of the last entry taken in (ignored for ``at_end``)."""

    async def take(self, entries: Sequence[Entry], cursor: int) -> None:
        """Take these in and make it last together with ``cursor``, the LSN of the last of them. An exception means
        that nothing was taken; the loop tries again with back-off and says so in health."""
