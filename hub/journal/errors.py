"""What can go wrong with the journal for good."""


class JournalFailed(Exception):
    """The disk refused a write or a sync. What this process appended since is not known to be durable and never will
    be: nothing more is acked, and the hub has to stop. A new process finds out what is there (P10)."""
