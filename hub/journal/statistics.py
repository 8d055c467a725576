"""What the journal tells of itself."""

from dataclasses import dataclass


@dataclass(frozen=True)
class JournalStatistics:
    """Counters since the start, and how things stand; bytes and seconds."""

    appended: int  # LSN
    durable: int  # LSN
    segment: int
    segments: int
    bytes: int  # appended since the start
    pending: int  # bytes that are not durable yet
    syncs: int
    sync_seconds: float  # of the last group: write and sync
    ring: int  # bytes of companions, estimated
    damaged: int  # places where records are missing
    stalled: bool  # the disk is full
    failed: bool
