"""Where views come from: one thread that runs the operator's trio shell, folds, and says that there is something new.

Nothing else of the dashboard knows trio. ``stop`` cancels the thread and joins it, so that the process always ends.
"""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager, suppress
from math import inf
from random import uniform
from typing import Any, Final, Protocol, TypeVar, cast

import trio

from dashboard.bridge import NotConnected, answer_with, first
from dashboard.fold import Fold
from dashboard.view import Link, View
from hub.client.dial import Target
from hub.client.errors import DialError, HubFailure, Refused, SocketClosed
from hub.client.shell import Operator, connect
from hub.model import Model, ModelError
from hub.query import Columns, Question
from hub.wire.messages import Plain
from hub.wire.operator import KINDS
from hub.wire.shapes import CommandInfo

PAINT_SECONDS: Final = 0.4  # between two views: faster than people read, slow enough for a terminal over ssh
TICK_SECONDS: Final = 1.0  # a view at least this often: ages go on even when nothing arrives
BACK_OFF: Final = (0.5, 1.0, 2.0, 4.0, 8.0, 10.0)  # seconds before the next dial; full jitter above the first half
INVENTORY_SECONDS: Final = 5.0  # after a device came or went, what updates do not carry is asked for again that soon
INVENTORY_CALM: Final = 60.0  # seconds until it is asked for again in any case: somebody may have changed a label
COMMANDS_BEFORE: Final = 100  # commands of before we came that the log starts with
JOIN_SECONDS: Final = 5.0  # the farewell to the hub has a deadline of its own below this

T = TypeVar("T")
Connect = Callable[[], AbstractAsyncContextManager[Operator]]


class Feed(Protocol):
    """What the app needs of the world."""

    @property
    def view(self) -> View:
        """The newest view."""

    def start(self, changed: Callable[[], object]) -> None:
        """Begin; ``changed`` is called from any thread whenever there is a newer view, a few times a second at most."""

    def stop(self) -> None:
        """End, and wait for the end."""

    def now(self) -> int:
        """This machine's clock in us."""

    async def call(self, verb: str, **args: Any) -> Any:
        """The hub's answer to a verb. Raises HubFailure, NotConnected."""

    async def ask(self, question: Question) -> Columns:
        """The store's answer. Raises HubFailure, NotConnected."""

    async def send(
        self, device: str, name: str, args: Mapping[str, Plain], timeout: float, moved: Callable[[CommandInfo], object]
    ) -> CommandInfo:
        """A command's last state; ``moved`` is called with each, from any thread. Raises HubFailure, NotConnected."""


class HubFeed:
    """The feed of a running hub."""

    def __init__(self, target: Target, link: Connect | None = None) -> None:
        self._connect: Connect = link or (lambda: connect(target))
        self._fold = Fold()
        self._view = self._fold.view()
        self._changed: Callable[[], object] = lambda: None
        self._thread: threading.Thread | None = None
        self._token: trio.lowlevel.TrioToken | None = None
        self._scope = trio.CancelScope()
        self._started = threading.Event()
        self._operator: Operator | None = None
        self._moved = trio.Event()  # has a device come or gone since the inventory was taken?
        self._nursery: trio.Nursery | None = None  # of the link: what is asked ends with it

    @property
    def view(self) -> View:
        return self._view

    def now(self) -> int:
        return time.time_ns() // 1000

    def start(self, changed: Callable[[], object]) -> None:
        self._changed = changed
        self._thread = threading.Thread(target=self._run, name="hub", daemon=True)
        self._thread.start()
        self._started.wait()

    def stop(self) -> None:
        if self._thread is None or self._token is None:
            return
        with suppress(trio.RunFinishedError):
            self._token.run_sync_soon(self._scope.cancel)
        self._thread.join(JOIN_SECONDS)
        self._thread = None

    def _run(self) -> None:
        """The thread: nothing that goes wrong in it may end it without a word, or write over the screen."""
        try:
            trio.run(self._main)
        except Exception as group:  # the boundary of this thread: the strip tells it
            error = first(group)
            self._fold.link(Link("closed", f"the dashboard broke off on {error!r}; start it again, and report this"))
            self._publish()

    def _publish(self) -> None:
        self._view = self._fold.view()
        self._changed()

    async def call(self, verb: str, **args: Any) -> Any:
        return await self._through(lambda operator: operator.call(verb, **args))

    async def ask(self, question: Question) -> Columns:
        return await self._through(lambda operator: operator.ask(question))

    async def send(
        self, device: str, name: str, args: Mapping[str, Plain], timeout: float, moved: Callable[[CommandInfo], object]
    ) -> CommandInfo:
        def follow(info: CommandInfo) -> None:
            self._fold.history([info])
            moved(info)

        return await self._through(
            lambda operator: operator.send_command(device, name, args, timeout, on_change=follow)
        )

    async def _through(self, request: Callable[[Operator], Awaitable[T]]) -> T:
        """Make a request in the thread of the link, from asyncio."""
        answer: Future[T] = Future()
        answer.set_running_or_notify_cancel()
        if self._token is None:
            raise NotConnected("the dashboard has not started yet")
        try:
            self._token.run_sync_soon(self._begin, request, answer)
        except trio.RunFinishedError:
            raise NotConnected("the dashboard is ending") from None
        return await asyncio.wrap_future(answer)

    def _begin(self, request: Callable[[Operator], Awaitable[T]], answer: "Future[T]") -> None:
        if self._operator is None or self._nursery is None:
            answer.set_exception(NotConnected("no link to the hub at the moment; try again when it is back"))
            return
        self._nursery.start_soon(answer_with, request, self._operator, answer)

    async def _main(self) -> None:
        self._token = trio.lowlevel.current_trio_token()
        self._started.set()
        with self._scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._paint)
                await self._follow()
        self._fold.link(Link("closed"))

    async def _paint(self) -> None:
        """Publish what has been folded, at most every PAINT_SECONDS and at least every TICK_SECONDS."""
        last = -inf
        while True:
            if self._fold.changed or trio.current_time() - last >= TICK_SECONDS:
                self._publish()
                last = trio.current_time()
            await trio.sleep(PAINT_SECONDS)

    async def _follow(self) -> None:
        """Dial, follow, and dial again."""
        failures = 0
        while True:
            try:
                async with self._connect() as operator:
                    failures = 0
                    await self._converse(operator)
                    state, why = "lost", str(operator.ended or "the link has ended")
            except DialError as error:
                state, why = "refused" if isinstance(error, Refused) else "lost", error.text
            except (SocketClosed, HubFailure) as error:
                state, why = "lost", str(error)
            delay = BACK_OFF[min(failures, len(BACK_OFF) - 1)]
            delay = uniform(delay / 2, delay)  # noqa: S311  (jitter, not secrets)
            failures += 1
            self._fold.link(Link(cast("Any", state), why, delay))
            await trio.sleep(delay)
            self._fold.link(Link("connecting", why))

    async def _converse(self, operator: Operator) -> None:
        self._fold.greet(operator.greeting, self.now())
        try:
            async with trio.open_nursery() as nursery:
                self._operator, self._nursery = operator, nursery
                subscription = await operator.subscribe(KINDS)
                nursery.start_soon(self._inventory, operator)
                async for update in subscription:
                    self._fold.take(update, self.now())
                    if update.kind == "presence":
                        self._moved.set()
                nursery.cancel_scope.cancel(reason="the link has ended")
        except* (HubFailure, SocketClosed) as group:
            raise first(group) from None
        finally:
            self._operator = self._nursery = None

    async def _inventory(self, operator: Operator) -> None:
        """What updates do not carry: models, labels, software, commands of before; again every few seconds."""
        names = await operator.call("models.list")
        self._fold.models(await _models(operator, names))
        self._fold.history(await operator.call("commands.list", limit=COMMANDS_BEFORE))
        declared: set[str] = set()
        while True:
            self._fold.inventory(await operator.call("devices.list"))
            for device in self._fold.view().devices.values():
                model = self._fold.view().models.get(device.model)
                if model is not None and model.open and device.series and device.name not in declared:
                    detail = await operator.call("devices.show", device=device.name)
                    self._fold.units(device.name, detail["metrics"])
                    declared.add(device.name)
            self._moved = trio.Event()
            behind = any(device.catching_up for device in self._fold.view().devices.values())
            with trio.move_on_after(INVENTORY_SECONDS if behind else INVENTORY_CALM):
                await self._moved.wait()
                await trio.sleep(INVENTORY_SECONDS)  # a fleet that starts comes all at once


async def _models(operator: Operator, names: list[str]) -> list[Model]:
    found: list[Model] = []
    for name in names:
        try:
            found.append(Model.from_plain(await operator.call("models.show", model=name)))
        except ModelError:
            continue  # of a newer hub: its devices are shown as those of an unknown model
    return found
