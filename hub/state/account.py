"""The account: what became of every batch and reading, one row per device and epoch."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from hub.state.database import Database
from hub.wire.ranges import Ranges


@dataclass(slots=True)
class AccountRow:
    """One epoch of one device. The four sets are disjoint; ``highest``: the highest seq that any of them names.

    Copies share ``rejected`` and ``removed``, and of the sets but ``kept`` those that are empty: these are replaced,
    never changed.
    """

    device: str
    epoch: int
    highest: int = 0
    kept: Ranges = field(default_factory=Ranges)
    dropped: Ranges = field(default_factory=Ranges)
    lost: Ranges = field(default_factory=Ranges)
    moved: Ranges = field(default_factory=Ranges)
    closed: bool = False
    unknown_above: bool = False
    received: int = 0  # readings in kept batches
    rejected: dict[str, int] = field(default_factory=dict)  # reason -> readings
    dropped_readings: int = 0  # as far as devices could tell
    expired: int = 0  # accepted readings that were too old to be kept any longer
    removed: dict[str, int] = field(default_factory=dict)  # who -> readings dropped from quarantine

    @property
    def accepted(self) -> int:
        return self.received - sum(self.rejected.values()) - sum(self.removed.values())

    def copy(self) -> "AccountRow":
        """A twin that can be changed without changing this one."""
        return AccountRow(
            self.device, self.epoch, self.highest, self.kept.copy(), self.dropped and self.dropped.copy(),
            self.lost and self.lost.copy(), self.moved and self.moved.copy(), self.closed, self.unknown_above,
            self.received, self.rejected, self.dropped_readings, self.expired, self.removed,
        )  # fmt: skip

    def here(self) -> Ranges:
        """All numbers that are settled one way or another."""
        every = self.kept.copy()
        for other in (self.dropped, self.lost, self.moved):
            for first, last in other:
                every.add(first, last)
        return every

    def missing(self, first: int, last: int) -> Ranges:
        """The numbers of ``first..last`` that are not settled. Costs what is within, however many ranges there are."""
        rest = self.kept.missing(first, last)
        for other in (self.dropped, self.lost, self.moved):
            if other:
                rest = Ranges(pair for low, high in rest for pair in other.missing(low, high))
        return rest


_SELECT: Final = (
    "SELECT device, epoch, highest, kept, dropped, lost, moved, closed, unknown_above, received, rejected, "
    "dropped_readings, expired, removed FROM account"
)


class Account:
    """Repository of account rows."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self, device: str | None = None) -> list[AccountRow]:
        """Every epoch, of one device or of all, in order."""
        where = "WHERE device = coalesce(?, device) ORDER BY device, epoch"
        return self._database.read(_row, f"{_SELECT} {where}", (device,))

    def open(self) -> list[AccountRow]:
        """The epochs that are not closed."""
        return self._database.read(_row, f"{_SELECT} WHERE NOT closed")

    def get(self, device: str, epoch: int) -> AccountRow | None:
        """One epoch, if anything was ever booked in it."""
        rows = self._database.read(_row, f"{_SELECT} WHERE device = ? AND epoch = ?", (device, epoch))
        return rows[0] if rows else None

    def totals(self) -> tuple[int, int]:
        """Readings received and rejected since the log began."""
        received, rejected = self._database.query(
            "SELECT coalesce(sum(received), 0), "
            "coalesce(sum((SELECT sum(value) FROM json_each(account.rejected))), 0) FROM account"
        )[0]
        return received, rejected

    def save(self, rows: Iterable[AccountRow]) -> None:
        """Store these as they are now. Only inside a transaction, with the cursor of what they cover."""
        self._database.write_many(
            "INSERT OR REPLACE INTO account (device, epoch, highest, kept, dropped, lost, moved, closed, "
            "unknown_above, received, rejected, dropped_readings, expired, removed) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                (
                    row.device, row.epoch, row.highest, _text(row.kept), _text(row.dropped), _text(row.lost),
                    _text(row.moved), row.closed, row.unknown_above, row.received,
                    json.dumps(row.rejected) if row.rejected else "{}",
                    row.dropped_readings, row.expired, json.dumps(row.removed) if row.removed else "{}",
                )
                for row in rows
            ),
        )  # fmt: skip


def _row(row: tuple[Any, ...]) -> AccountRow:
    device, epoch, highest, kept, dropped, lost, moved, closed, unknown, received, rejected, told, expired, removed = (
        row
    )
    return AccountRow(
        device, epoch, highest, _ranges(kept), _ranges(dropped), _ranges(lost), _ranges(moved), bool(closed),
        bool(unknown), received, json.loads(rejected), told, expired, json.loads(removed),
    )  # fmt: skip


def _ranges(text: str) -> Ranges:
    return Ranges((first, last) for first, last in json.loads(text))


def _text(ranges: Ranges) -> str:
    """As JSON; one range, which is what nearly every row has, without the encoder."""
    if len(ranges) > 1:
        return json.dumps(ranges.pairs(), separators=(",", ":"))
    return "".join(("[", *(f"[{first},{last}]" for first, last in ranges), "]"))
