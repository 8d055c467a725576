"""What the hub has of every device's numbers: the marks. Changed in the same step that appends (P5)."""

import json
from dataclasses import dataclass

from hub.ingest.numbering import DeviceMarks, Numbering
from hub.ingest.trust import newer
from hub.journal import Recovery, Search
from hub.wire.kept import Birth, ClockConfirmed, Entry, EpochGiven, Expired, Gap, Kept, Removed, Retried
from hub.wire.records import RecordError, is_birth, marks_snapshot, unpack_with
from hub.wire.rows import row_count


@dataclass(frozen=True)
class Unreadable:
    """A record that is intact but could not be taken into the marks, and why."""

    lsn: int
    why: str


class Marks:
    """The marks of all devices. ``newest``: latest receive time of any record, in us, as far as it is believed."""

    def __init__(self) -> None:
        self.newest = 0
        self._devices: dict[str, DeviceMarks] = {}

    def of(self, device: str) -> DeviceMarks:
        """Those of one device; made when it is new."""
        marks = self._devices.get(device)
        if marks is None:
            marks = self._devices[device] = DeviceMarks()
        return marks

    def __len__(self) -> int:
        return len(self._devices)

    def devices(self) -> list[str]:
        """Their names."""
        return list(self._devices)

    def snapshot(self) -> bytes:
        """All of it, to open a segment with (P9). Checksums and generations are not part of it."""
        devices = ",".join([marks.to_text(device) for device, marks in self._devices.items()])
        return f"[1,{self.newest},{{{devices}}}]".encode()

    def restore(self, snapshot: bytes) -> None:
        """Become what ``snapshot`` says; ValueError when it is of another version."""
        version, newest, devices = json.loads(snapshot)
        if version != 1:
            raise ValueError(f"marks of version {version}: this hub reads version 1; start the hub that wrote them")
        self.newest = newest
        self._devices.clear()
        for device, (highest_epoch, current, previous) in devices.items():
            marks = self.of(device)
            marks.highest_epoch = highest_epoch
            marks.current = None if current is None else Numbering.from_plain(current)
            marks.previous = None if previous is None else Numbering.from_plain(previous)

    def apply(self, entry: Entry, frame: bytes | None = None) -> None:
        """Take in a record that recovery found; ``frame`` of a kept batch, where it is at hand."""
        if isinstance(entry, Kept):
            numbering = self._found(entry.birth.device, entry.epoch, entry.received)
            if numbering is None or entry.seq in numbering:
                return
            numbering.settle(entry.seq, entry.seq)
            numbering.rows = max(numbering.rows, entry.rows_before + row_count(entry.body))
            numbering.readings += entry.verdict.received
            numbering.rejected += entry.verdict.rejected
            if frame is not None:
                numbering.check(entry.seq, frame)
        elif isinstance(entry, EpochGiven):
            if entry.epoch > self.of(entry.device).highest_epoch:
                self.of(entry.device).give(entry.epoch, entry.double, continues=entry.continues)
            self.saw(entry.received)
        elif isinstance(entry, Expired):
            self.saw(entry.received)
        elif isinstance(entry, Gap):
            numbering = self._found(entry.device, entry.epoch, entry.received)
            if numbering is not None:
                numbering.settle(entry.dropped.first, entry.dropped.last)
                numbering.skip_checks(entry.dropped.first, entry.dropped.last)
                numbering.gaps += 1
        elif isinstance(entry, Retried | Removed):
            self.saw(entry.at)
            if isinstance(entry, Retried):
                self._bring(entry)
        elif isinstance(entry, ClockConfirmed):
            self.newest = entry.at

    def _bring(self, retried: Retried) -> None:
        """Where the record of its batch is lost, these readings are all that is here of it."""
        numbering = self.of(retried.device).at(retried.epoch)
        if numbering is not None and retried.seq not in numbering:
            numbering.readings += len(retried.readings)
            numbering.rejected += len(retried.readings)

    def _found(self, device: str, epoch: int, received: int) -> Numbering | None:
        self.saw(received)
        return self.of(device).at(epoch)

    def saw(self, received: int) -> None:
        """A record was received at that time, says the hub's clock."""
        self.newest = newer(self.newest, received)

    def recover(self, recovery: Recovery) -> list[Unreadable]:
        """Become what the journal's recovery found (blocks: it reads); the records that say nothing to us."""
        if recovery.snapshot is not None:
            snapshot = marks_snapshot(recovery.snapshot)
            if snapshot is None:
                raise ValueError("a segment of the journal does not open with marks: it was not written by this hub")
            self.restore(snapshot)
        births: dict[int, Birth] = {}
        unreadable: list[Unreadable] = []
        search = Search(recovery.records.directory, recovery.records.files, is_birth)
        for lsn, payload in recovery.records:
            try:
                entry = unpack_with(lsn, payload, births, search.find)
            except RecordError as wrong:
                unreadable.append(Unreadable(lsn, str(wrong)))
                continue
            self.apply(entry, payload[-entry.size :] if isinstance(entry, Kept) else None)
        return unreadable


def newest_in(snapshot: bytes) -> int:
    """``newest`` of marks as they are written, without reading the rest; ValueError when it is of another version."""
    version, newest, _ = snapshot.split(b",", 2)
    if version != b"[1":
        raise ValueError("marks of another version")
    return int(newest)
