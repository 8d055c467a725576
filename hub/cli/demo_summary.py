"""How a demo went: the figures, and what of them is a reason to say that it failed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hub.cli.ledger import sums


@dataclass
class Summary:
    """Counts are of readings, ``duplicate`` of frames; ``ledger_balanced`` is what another process said in the end."""

    devices: int
    devices_online: int = 0  # at the end of the run, before the drain
    sent: int = 0
    received: int = 0
    stored: int = 0
    rejected: int = 0
    duplicate: int = 0
    gaps: list[dict[str, Any]] = field(default_factory=list)
    ledger_balanced: bool = False
    commands_sent: int = 0
    commands_ok: int = 0
    first_reading_s: float | None = None  # start of the hub's process to the first reading that a query returned
    ack_p99_ms: float | None = None  # at the devices, send to ack
    trouble: list[str] = field(default_factory=list)

    def fleet_told(self, report: Mapping[str, Any]) -> None:
        """Take in the report of the fleet's process."""
        self.sent = report["sent"]
        self.ack_p99_ms = report["ack_p99_ms"]
        self.trouble += [f"fleet: {problem}" for problem in report["problems"]]

    def ledger_told(self, entries: Sequence[Mapping[str, Any]], duplicate: int) -> None:
        """Take in the hub's ledger and its count of duplicate frames."""
        total = sums(entries)
        self.received, self.stored = total["received"], total["stored"]
        self.rejected = sum(total["rejected"].values())
        self.duplicate = duplicate
        self.gaps = gaps(entries)

    def problems(self) -> list[str]:
        """Why the run is no success; empty when it is one."""
        found = list(self.trouble)
        if self.devices_online < self.devices:
            found.append(f"only {self.devices_online} of {self.devices} devices were online at the end; see fleet.log")
        if self.commands_ok < self.commands_sent:
            found.append(f"only {self.commands_ok} of {self.commands_sent} commands succeeded; see hub.log")
        if self.first_reading_s is None:
            found.append("no query returned a reading; see hub.log")
        if any(gap["where"] == "lost" for gap in self.gaps):
            found.append("readings were lost at the hub; see 'telemetrio ledger'")
        if not self.ledger_balanced:
            found.append("the ledger does not balance; see 'telemetrio ledger --verify'")
        return found

    def to_plain(self) -> dict[str, Any]:
        """As a JSON object."""
        return {name: value for name, value in vars(self).items() if name != "trouble"}


def gaps(entries: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Every range of batches that will never come: dropped at the device, or lost at the hub."""
    return [
        {"device": entry["device"], "epoch": entry["epoch"], "first": first, "last": last, "where": where}
        for entry in entries
        for where in ("dropped", "lost")
        for first, last in entry[where]
    ]
