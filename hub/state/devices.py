"""Devices as they were last known."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from hub.state.database import Database
from hub.wire.messages import Declared


@dataclass(slots=True)
class DeviceRow:
    """A device that is or was enrolled. ``since``: start of its present state; both times null when never seen."""

    device: str
    enrolled: int
    model: str = ""
    software: str = ""
    metrics: tuple[Declared, ...] = ()
    labels: dict[str, str] = field(default_factory=dict)
    revoked: bool = False
    since: int | None = None
    last_seen: int | None = None
    epoch: int | None = None
    through: int | None = None
    next: int | None = None  # follows the last batch that it had at its last hello


class Devices:
    """Repository of devices."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self) -> list[DeviceRow]:
        return self._database.read(
            _device,
            "SELECT device, enrolled, model, software, metrics, labels, revoked, since, last_seen, epoch, through, "
            "next FROM devices",
        )

    def save(self, rows: Iterable[DeviceRow]) -> None:
        """Store these as they are now, in one transaction."""
        with self._database.transaction():
            self._database.write_many(
                "INSERT OR REPLACE INTO devices (device, enrolled, model, software, metrics, labels, revoked, since, "
                "last_seen, epoch, through, next) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    (
                        row.device, row.enrolled, row.model, row.software, json.dumps(row.metrics),
                        json.dumps(row.labels), row.revoked, row.since, row.last_seen, row.epoch, row.through, row.next,
                    )
                    for row in rows
                ),
            )  # fmt: skip


def _device(row: tuple[Any, ...]) -> DeviceRow:
    device, enrolled, model, software, metrics, labels, revoked, *rest = row
    return DeviceRow(
        device, enrolled, model, software, tuple(Declared(*each) for each in json.loads(metrics)),
        json.loads(labels), bool(revoked), *rest,
    )  # fmt: skip
