"""The commands that are not over, in memory: who watches them, which wait to be sent, when they end."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from heapq import heappop, heappush

import trio

from hub.state import is_final
from hub.wire.shapes import CommandInfo

Watch = Callable[[CommandInfo], None]


@dataclass(slots=True)
class OpenCommand:
    """A command that is not over, as it was last shown."""

    info: CommandInfo
    deadline: float  # on trio's clock
    watchers: list[Watch] = field(default_factory=list)


class Board:
    """A mirror of the state file's open commands; it follows what is written there and decides nothing."""

    def __init__(self) -> None:
        self._open: dict[str, OpenCommand] = {}
        self._queued: dict[str, None] = {}  # ids, in the order in which they came
        self._deadlines: list[tuple[float, str]] = []  # heap, on trio's clock; of ended commands too
        self._per_device: dict[str, int] = {}

    def __contains__(self, id: str) -> bool:
        return id in self._open

    def enter(self, info: CommandInfo, seconds: float, watch: Watch | None = None) -> None:
        """A command that ends in ``seconds``."""
        id = info["id"]
        deadline = trio.current_time() + seconds
        self._open[id] = OpenCommand(info, deadline, [] if watch is None else [watch])
        if info["state"] == "queued":
            self._queued[id] = None
        self.count(info["device"], 1)
        heappush(self._deadlines, (deadline, id))

    def get(self, id: str) -> CommandInfo | None:
        entry = self._open.get(id)
        return None if entry is None else entry.info

    def deadline(self, id: str) -> float:
        """When it ends, on trio's clock; now, where it is not on the board."""
        entry = self._open.get(id)
        return trio.current_time() if entry is None else entry.deadline

    def changed(self, info: CommandInfo) -> list[Watch]:
        """It has changed; who watches it. A command that is over leaves the board."""
        id = info["id"]
        if info["state"] != "queued":
            self._queued.pop(id, None)
        entry = self._open.get(id)
        if entry is None:
            return []
        entry.info = info
        if is_final(info["state"]):
            del self._open[id]
            self.count(info["device"], -1)
        return list(entry.watchers)

    def unwatch(self, watch: Watch) -> None:
        """Whoever watched has left."""
        for entry in self._open.values():
            if watch in entry.watchers:
                entry.watchers.remove(watch)

    def queued(self) -> Iterable[CommandInfo]:
        """What waits to be sent, oldest first."""
        return [self._open[id].info for id in self._queued]

    def count(self, device: str, change: int = 0) -> int:
        """How many commands of the device are not over, after counting ``change`` in."""
        count = self._per_device.get(device, 0) + change
        if count:
            self._per_device[device] = count
        else:
            self._per_device.pop(device, None)
        return count

    def next_deadline(self) -> float:
        """On trio's clock; infinity when there is none."""
        return self._deadlines[0][0] if self._deadlines else float("inf")

    def take_due(self) -> list[tuple[float, str]]:
        """Deadlines that have passed; give them back with ``put_back`` when nothing came of it."""
        due = []
        while self._deadlines and self._deadlines[0][0] <= trio.current_time():
            due.append(heappop(self._deadlines))
        return due

    def put_back(self, due: Iterable[tuple[float, str]]) -> None:
        for deadline in due:
            heappush(self._deadlines, deadline)
