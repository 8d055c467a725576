"""Twins: what operators want of a device's properties, and what the device reports."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import cbor2

from hub.state.database import Database
from hub.wire.messages import Plain


class Twin(NamedTuple):
    """Both halves; ``version`` counts the patches of ``desired``."""

    desired: dict[str, Plain]
    version: int
    reported: dict[str, Plain]


class Twins:
    """Repository of twins."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, device: str) -> Twin:
        """An empty twin when nothing was ever said."""
        sql = "SELECT desired, version, reported FROM twins WHERE device = ?"
        rows = self._database.read(_twin, sql, (device,))
        return rows[0] if rows else Twin({}, 0, {})

    def report(self, device: str, patch: Mapping[str, Plain]) -> Twin:
        """Patch what the device reports; a null takes the property away."""
        twin = self.get(device)
        return self._save(device, twin._replace(reported=_patched(twin.reported, patch)))

    def desire(self, device: str, patch: Mapping[str, Plain]) -> Twin:
        """Patch what operators want; a null takes the property away."""
        twin = self.get(device)
        return self._save(device, twin._replace(desired=_patched(twin.desired, patch), version=twin.version + 1))

    def _save(self, device: str, twin: Twin) -> Twin:
        self._database.write(
            "INSERT OR REPLACE INTO twins (device, desired, version, reported) VALUES (?, ?, ?, ?)",
            (device, cbor2.dumps(twin.desired), twin.version, cbor2.dumps(twin.reported)),
        )
        return twin


def _twin(row: tuple[Any, ...]) -> Twin:
    desired, version, reported = row
    return Twin(cbor2.loads(desired), version, cbor2.loads(reported))


def _patched(properties: dict[str, Plain], patch: Mapping[str, Plain]) -> dict[str, Plain]:
    return {name: value for name, value in {**properties, **patch}.items() if value is not None}
