"""What the conversations with all devices share: who is here, who was here last, and what they have in common."""

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from hub.edge.flapping import Flapping
from hub.edge.idle import Watch
from hub.edge.listener import Limits
from hub.edge.rooms import Rooms
from hub.wire.errors import CloseCode, RemoteProtocolError

if TYPE_CHECKING:
    from hub.edge.device import DeviceConversation

LATENCIES: Final = 2_048  # samples of hub-side ack latency that are kept


@dataclass
class DeviceDesk:
    """What the conversations with all devices share."""

    rooms: Rooms
    limits: Limits
    watch: Watch
    flapping: Flapping
    here: dict[str, "DeviceConversation"] = field(default_factory=dict)
    newest: dict[str, int] = field(default_factory=dict)  # number of the newest visit of each device
    latencies: deque[float] = field(default_factory=lambda: deque(maxlen=LATENCIES))  # seconds, receive to ack
    full: bool = False  # more links than allowed

    def refuse_stale(self, device: str, visit: int) -> None:
        """A device dials anew when it has given a link up: what it said on that one may come later than what it says
        on the new one, and must not take it over (P5). Its numbers would look like those of a device rewound."""
        if visit < self.newest.get(device, 0):
            raise RemoteProtocolError(CloseCode.TAKEN_OVER, "the device has dialled anew since")
        self.newest[device] = visit
