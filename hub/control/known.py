"""What is known of one device: its row of the state file, and its link while it has one."""

from dataclasses import dataclass, field

from hub.control.backlog import Backlog
from hub.control.outbox import DeviceOutbox
from hub.state import DeviceRow
from hub.wire.shapes import DeviceInfo, Presence


@dataclass(slots=True)
class Known:
    """``row`` is one object for ever: what is written behind the links looks at it."""

    row: DeviceRow
    outbox: DeviceOutbox | None = None
    address: str | None = None
    clock_offset: int | None = None  # us that its clock is ahead of the hub's, by its hello; null while it has none
    backlog: Backlog = field(default_factory=Backlog)  # of its link

    @property
    def state(self) -> str:
        """As presence tells it."""
        if self.row.revoked:
            return "revoked"
        if self.outbox is not None:
            return "online"
        return "never" if self.row.last_seen is None else "offline"

    def presence(self, at: int, reason: str) -> Presence:
        """How it stands since ``at`` (us)."""
        row = self.row
        return Presence(device=row.device, model=row.model, state=self.state, at=at, reason=reason)

    def info(self, now: float) -> DeviceInfo:
        """All that operators are told of it; ``now``: monotonic seconds."""
        row, through = self.row, self.row.through or 0
        linked = self.outbox is not None
        return DeviceInfo(
            device=row.device, model=row.model, state=self.state, since=row.since, last_seen=row.last_seen,
            software=row.software, labels=dict(row.labels), address=self.address, epoch=row.epoch, through=row.through,
            clock_offset=self.clock_offset if linked else None,
            waiting=self.backlog.waiting(through) if linked else 0,
            catch_up=self.backlog.seconds(through, now) if linked else None,
        )  # fmt: skip
