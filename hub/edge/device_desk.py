"""What the conversations with all devices share: who is here, who was here last, and what they have in common."""

from collections import Counter, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from hub.edge.flapping import Flapping
from hub.edge.idle import Watch
from hub.edge.listener import Limits
from hub.edge.rooms import Rooms
from hub.wire.errors import CloseCode, RemoteProtocolError
from hub.wire.messages import Goaway

if TYPE_CHECKING:
    from hub.edge.device import DeviceConversation

COME_BACK_SECONDS: Final = 2.0  # what the first device is told to wait before it dials a restarted hub
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
    refused: Counter[int] = field(default_factory=Counter)  # frames, by the code their links were closed with
    draining: bool = False  # the hub lets everybody go
    told: int = 0  # devices that were told so

    def come_back(self) -> Goaway:
        """What a device is told when the hub drains: each another time, so that a fleet does not dial it at once."""
        wait = COME_BACK_SECONDS + self.told / self.limits.dials_per_second
        self.told += 1
        return Goaway(wait, "the hub restarts")

    def refuse_stale(self, device: str, visit: int) -> None:
        """A device dials anew when it has given a link up: what it said on that one may come later than what it says
        on the new one, and must not take it over (P5). Its numbers would look like those of a device rewound."""
        if visit < self.newest.get(device, 0):
            raise RemoteProtocolError(CloseCode.TAKEN_OVER, "the device has dialled anew since")
        self.newest[device] = visit
