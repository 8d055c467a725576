"""The state file: registry, token hashes, commands, twins, account, quarantine, events, cursors, audit."""

from hub.state.account import AccountRow
from hub.state.commands import Change, is_final
from hub.state.copying import copy_state
from hub.state.database import COPY, StateDamaged, StateError, restoring
from hub.state.devices import DeviceRow
from hub.state.events import Deed
from hub.state.quarantine import Group, Rejected, Which
from hub.state.state import State
from hub.state.tokens import TokenRow
from hub.state.twins import Twin

__all__ = [
    "COPY", "AccountRow", "Change", "Deed", "DeviceRow", "Group", "Rejected", "State", "StateDamaged",
    "StateError", "TokenRow", "Twin", "Which", "copy_state", "is_final", "restoring",
]  # fmt: skip
