"""Commands and the table of their states. The state file is where a command's state is decided, in one place."""

import json
from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

import cbor2

from hub.state.database import Database
from hub.wire.messages import DEVICE_STATES, FINAL_STATES, Plain
from hub.wire.shapes import CommandInfo

_ANSWERS: Final = frozenset(DEVICE_STATES - {"acknowledged"})

#: State -> the states that may follow. What is not here is final; a timed out command may still get its late answer.
TRANSITIONS: Final[dict[str, frozenset[str]]] = {
    "queued": frozenset({"sent", "unreachable", "expired", "cancelled"}),
    "sent": DEVICE_STATES | {"timed_out", "unreachable"},
    "acknowledged": DEVICE_STATES | {"timed_out"},
    "timed_out": _ANSWERS,
}

_SELECT: Final = "SELECT id, device, name, args, state, value, late, by, created, expiry, changed FROM commands"
#: Null stands for all of them.
_OF: Final = "WHERE (?1 IS NULL OR device IN (SELECT value FROM json_each(?1)))"
_IN: Final = "AND (?2 IS NULL OR state IN (SELECT value FROM json_each(?2)))"


class Change(NamedTuple):
    """What somebody says of a command: the device it must belong to, its new state and value, and when."""

    id: str
    device: str
    state: str
    value: Plain
    at: int
    only_from: str | None = None  # holds only while the command is in this state
    heard: int | None = None  # when the hub got it, where that was before ``at``


class Commands:
    """Repository of commands."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def insert(self, infos: Iterable[CommandInfo]) -> None:
        """Store new commands, in one transaction."""
        with self._database.transaction():
            self._database.write_many(
                "INSERT INTO commands (id, device, name, args, state, value, late, by, created, expiry, changed) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    (
                        info["id"], info["device"], info["name"], cbor2.dumps(info["args"]), info["state"],
                        cbor2.dumps(info["value"]), info["late"], info["by"], info["created"], info["expiry"],
                        info["changed"],
                    )
                    for info in infos
                ),
            )  # fmt: skip

    def advance(self, changes: Iterable[Change]) -> list[CommandInfo]:
        """Apply what the table allows, in order and in one transaction; the commands that changed, as they are after.

        What it does not allow changes nothing: a second copy of a result, a word about a command that is over, an
        answer from a device that was not asked. An answer is late when the hub got it after the deadline.
        """
        changed: list[CommandInfo] = []
        with self._database.transaction():
            for change in changes:
                info = self.get(change.id)
                if info is None or info["device"] != change.device:
                    continue
                if change.state not in TRANSITIONS.get(info["state"], ()):
                    continue
                if change.only_from not in (None, info["state"]):
                    continue
                info["late"] = info["state"] == "timed_out" and _was_late(info, change)
                info["state"], info["value"], info["changed"] = change.state, change.value, change.at
                self._database.write(
                    "UPDATE commands SET state = ?, value = ?, late = ?, changed = ? WHERE id = ?",
                    (info["state"], cbor2.dumps(info["value"]), info["late"], info["changed"], info["id"]),
                )
                changed.append(info)
        return changed

    def doubt(self, at: int) -> int:
        """After the file was put back: what is queued in it may have been sent meanwhile, and is not sent again. How
        many; each waits for its answer until its deadline."""
        return self._database.write("UPDATE commands SET state = 'sent', changed = ? WHERE state = 'queued'", (at,))

    def get(self, id: str) -> CommandInfo | None:
        rows = self._database.read(_info, f"{_SELECT} WHERE id = ?", (id,))
        return rows[0] if rows else None

    def open(self) -> list[CommandInfo]:
        """All that are not over."""
        return self._database.read(_info, f"{_SELECT} WHERE state IN ('queued', 'sent', 'acknowledged')")

    def list(self, devices: Sequence[str] | None, states: Sequence[str] | None, limit: int) -> list[CommandInfo]:
        """The newest first; ``devices`` are names."""
        return self._database.read(
            _info,
            f"{_SELECT} {_OF} {_IN} ORDER BY created DESC, id LIMIT ?3",
            (
                None if devices is None else json.dumps(list(devices)),
                None if states is None else json.dumps(list(states)),
                limit,
            ),
        )


def _was_late(info: CommandInfo, answer: Change) -> bool:
    """Did the answer to a command that has timed out come too late, or was it only taken too late? Where the clock was
    set back meanwhile, its deadline was when it was found to have timed out."""
    heard = answer.at if answer.heard is None else answer.heard
    return heard >= min(info["expiry"], info["changed"])


def is_final(state: str) -> bool:
    """Whether the command is over (a late answer apart)."""
    return state in FINAL_STATES


def _info(row: tuple[Any, ...]) -> CommandInfo:
    id, device, name, args, state, value, late, by, created, expiry, changed = row
    return CommandInfo(
        id=id, device=device, name=name, args=cbor2.loads(args), state=state, value=cbor2.loads(value),
        late=bool(late), by=by, created=created, expiry=expiry, changed=changed,
    )  # fmt: skip
