"""A state file with something in every table."""

from pathlib import Path

from hub.state import AccountRow, Deed, DeviceRow, Rejected, State, TokenRow
from hub.wire.messages import Declared
from hub.wire.ranges import Ranges
from hub.wire.shapes import CommandInfo, EventInfo


def filled(path: Path, devices: int = 8) -> None:
    """Make it, and close it."""
    state = State(path)
    state.open()
    names = [f"pump-{number}" for number in range(devices)]
    state.devices.save(
        DeviceRow(name, 5, "pump", metrics=(Declared("rpm", "1/min", "int"),), labels={"hall": "2"}, epoch=1)
        for name in names
    )
    for name in names:
        state.tokens.replace(TokenRow(name.encode().ljust(32, b"h"), "device", name, 1))
        state.twins.desire(name, {"interval": 3, "name": "ü"})
        state.audit.add(Deed(7, "ada", "device.enroll", name, ""))
    state.commands.insert(
        CommandInfo(
            id=f"{number:08}", device=name, name="start", args={"rpm": 3}, state="queued", value=None, late=False,
            by="ada", created=number, expiry=9, changed=1,
        )
        for number, name in enumerate(names)
    )  # fmt: skip
    with state.transaction():
        state.account.save(
            AccountRow(name, 1, 9, Ranges([(1, 4), (6, 9)]), received=40, rejected={"range": 2}, removed={"ada": 1})
            for name in names
        )
        state.quarantine.add(
            Rejected(number, name, 1, 2, 0, "rpm", 6, 7, "range", "too fast", 12_000)
            for number, name in enumerate(names)
        )
        state.events.add(
            (number, EventInfo(device=name, time=1, level="error", text="hot")) for number, name in enumerate(names)
        )
        state.cursors.miss("influx", 3, 4)
        for name in ("account", "control", "influx"):
            state.cursors.set(name, 50)
    state.close()


def content(path: Path) -> list[object]:
    """All that a hub reads of it; StateError when it cannot be opened."""
    state = State(path)
    try:
        state.open()
        return [
            state.devices.all(), state.tokens.all(), state.commands.list(None, None, 10_000), state.commands.open(),
            [state.twins.get(row.device) for row in state.devices.all()], state.account.all(), state.account.open(),
            state.account.totals(), state.quarantine.list(limit=10_000), state.quarantine.of_records(0, 1 << 62),
            state.quarantine.list("pump-3"), state.events.list(limit=10_000), state.cursors.all(),
            state.cursors.missed("influx"), state.audit.list(),
        ]  # fmt: skip
    finally:
        state.close()
