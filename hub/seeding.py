"""What the store knew when the hub started goes into live: an offline device shows its latest readings, and what is
late is known for late. Behind the start, in a thread of its own: a large store takes seconds to say it."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import structlog
import trio

from hub.control.live import Live
from hub.control.registry import Registry
from hub.control.tracks import Stored
from hub.ports import Worker
from hub.store.base import Store, StoreError

HOLD_SECONDS: Final = 10.0  # for which live waits: about 100 million readings; a store that is made again takes longer
ASK_SECONDS: Final = 300.0  # for the store to answer
RETRY_SECONDS: Final = 10.0  # until one that cannot answer is asked again
AT_ONCE: Final = 2_000  # readings between two turns of the others: a few milliseconds

log = structlog.get_logger(__name__)


class Seeding:
    """One task, which ends when it is done."""

    def __init__(self, store: Store, worker: Worker, live: Live, registry: Registry) -> None:
        """``worker``: one of its own."""
        self._store = store
        self._worker = worker
        self._live = live
        self._registry = registry
        self._over = trio.Event()

    async def run(self, reached: Callable[[int, Sequence[str]], Awaitable[None]], through: int) -> None:
        """``through``: the record after which live began; ``reached`` waits until a follower has come to a record."""
        await reached(through, (self._store.name,))
        while not self._over.is_set():
            try:
                found = await self._worker.run(self._ask, through)
            except StoreError as error:
                log.info("the store does not tell the latest readings", why=str(error), again=error.retry)
                if not error.retry:
                    break
                await trio.sleep(RETRY_SECONDS)
                continue
            await self._tell(found)
            break
        self._over.set()

    async def ready(self) -> None:
        """Until live knows what the store knew; at most HOLD_SECONDS after it was asked for."""
        with trio.move_on_after(HOLD_SECONDS):
            await self._over.wait()

    def _ask(self, through: int) -> dict[str, list[Stored]]:
        """In the worker: the latest readings by device."""
        columns = self._store.latest(through=through, seconds=ASK_SECONDS).columns
        devices = list(columns["device"])
        lines = zip(
            devices, columns["metric"], columns["unit"], map(int, columns["time"]), map(int, columns["received"]),
            map(_plain, columns["value"]), map(int, columns["quality"]), strict=True,
        )  # fmt: skip
        found: dict[str, list[Stored]] = {device: [] for device in devices}
        for device, metric, unit, time, received, value, quality in lines:
            found[device].append(Stored(metric, unit, min(time, received), time, value, quality))
        return found

    async def _tell(self, found: dict[str, list[Stored]]) -> None:
        told = 0
        for device, readings in found.items():
            if device in self._registry:
                model = self._registry.info(device)["model"]
                self._live.seed(device, model, self._registry.metrics(device), readings)
            told += len(readings)
            if told >= AT_ONCE:
                told = 0
                await trio.lowlevel.checkpoint()


def _plain(value: object) -> float | str:
    return value if isinstance(value, str) else float(value)  # type: ignore[arg-type]  # a number of numpy's
