"""The conversation over one device link as two state machines, one for each end (rules P1 to P7, P11 and P12).

They hold no socket, no clock and no storage: messages go in, and what is legal comes out. An illegal message changes
nothing and raises an error that names the close code. A session lives as long as its link.
"""

from hub.wire.device_session import DeviceSession, Poison, Renumbering
from hub.wire.hub_session import HubSession, Step
from hub.wire.states import DEVICE_TRANSITIONS, HUB_TRANSITIONS, State

__all__ = [
    "DEVICE_TRANSITIONS",
    "HUB_TRANSITIONS",
    "DeviceSession",
    "HubSession",
    "Poison",
    "Renumbering",
    "State",
    "Step",
]
