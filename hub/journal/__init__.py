"""The journal: append-only, checksummed segments of records, one sync per group, and one durable position.

It knows bytes only. A record comes with an opaque companion, which followers at the tail get instead of the bytes.
"""

from hub.journal.errors import JournalFailed
from hub.journal.identity import IdentityError, known_log_id, log_id
from hub.journal.journal import Journal
from hub.journal.lookback import look_back, records_after
from hub.journal.recovery import Recovery
from hub.journal.reserve import Reserve
from hub.journal.scan import Scan
from hub.journal.search import Search
from hub.journal.segments import Damage
from hub.journal.statistics import JournalStatistics

__all__ = [
    "Damage", "IdentityError", "Journal", "JournalFailed", "JournalStatistics", "Recovery", "Reserve", "Scan", "Search",
    "known_log_id", "log_id", "look_back", "records_after",
]  # fmt: skip
