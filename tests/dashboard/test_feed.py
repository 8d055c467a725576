"""The thread that talks to the hub: it folds, it comes back, it answers, and it ends."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager

import pytest

from dashboard import feed as feed_module
from dashboard.bridge import NotConnected
from dashboard.feed import HubFeed
from dashboard.points import Points
from dashboard.view import View
from hub.client.dial import Target
from hub.client.errors import HubFailure
from hub.client.shell import Operator
from hub.wire.shapes import CommandInfo
from tests.dashboard.scripted_hub import scripted_hub
from tests.dashboard.stage import NOON

PATIENCE = 20.0  # seconds until a test gives up; nothing here takes one


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_module, "PAINT_SECONDS", 0.01)
    monkeypatch.setattr(feed_module, "BACK_OFF", (0.02,))


class Watched:
    """A feed whose views can be waited for."""

    def __init__(self, target: Target) -> None:
        self.feed = HubFeed(target)
        self._changed = threading.Condition()

    def told(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def until(self, wanted: Callable[[View], object]) -> View:
        with self._changed:
            assert self._changed.wait_for(lambda: wanted(self.feed.view), PATIENCE), self.feed.view
        return self.feed.view


@contextmanager
def following(target: Target) -> Iterator[Watched]:
    watched = Watched(target)
    watched.feed.start(watched.told)
    try:
        yield watched
    finally:
        watched.feed.stop()
        assert not [thread for thread in threading.enumerate() if thread.name == "hub"]


def test_it_greets_subscribes_and_folds() -> None:
    with scripted_hub() as hub, following(hub.target) as watched:
        view = watched.until(lambda view: view.devices.get("pump-1") and view.models and view.status)
        assert view.link.state == "live"
        assert view.greeting is not None
        assert view.greeting.role == "operator"
        view = watched.until(lambda view: view.devices["pump-1"].labels and view.devices["pump-1"].series)
        assert view.devices["pump-1"].series["flow"].value == 42.5
        hub.tell("event", {"device": "pump-1", "time": NOON, "level": "info", "text": "hello"})
        assert watched.until(lambda view: view.log).log[-1].text == "hello"


def test_a_lost_link_is_told_and_dialled_again() -> None:
    with scripted_hub() as hub, following(hub.target) as watched:
        watched.until(lambda view: view.devices.get("pump-1"))
        hub.cut()
        watched.until(lambda view: view.link.state == "live" and hub.greeted == 2)
        assert watched.feed.view.devices["pump-1"].series["flow"].value == 42.5


def test_a_hub_that_is_not_there_is_told_and_waited_for() -> None:
    with scripted_hub() as hub:
        target = hub.target
    with following(target) as watched:
        view = watched.until(lambda view: view.link.state == "lost")
        assert view.link.text
        assert view.link.retry > 0


def test_a_token_that_is_not_taken_is_told_as_such() -> None:
    with scripted_hub() as hub:
        hub.refusing = True
        with following(hub.target) as watched:
            watched.until(lambda view: view.link.state == "refused")
            hub.refusing = False
            watched.until(lambda view: view.link.state == "live")


def test_calls_questions_and_commands_are_answered_across_threads() -> None:
    with scripted_hub() as hub, following(hub.target) as watched:
        watched.until(lambda view: view.devices.get("pump-1"))
        feed, states = watched.feed, []

        def moved(info: CommandInfo) -> None:
            states.append(info["state"])

        async def ask() -> None:
            assert (await feed.call("devices.show", device="pump-1"))["device"] == "pump-1"
            points = Points("pump-1", "flow", 300)
            points.recall(await feed.ask(points.question(NOON)))
            assert points.newest() == 1.0
            info = await feed.send("pump-1", "start", {}, 5.0, moved)
            assert info["state"] == "succeeded"
            with pytest.raises(HubFailure, match="no such verb"):
                await feed.call("ledger")

        asyncio.run(ask())
        assert states == ["queued", "sent", "acknowledged", "succeeded"]
        watched.until(lambda view: view.commands.get("c1", {}).get("state") == "succeeded")


def test_what_is_asked_without_a_link_fails_at_once() -> None:
    with scripted_hub() as hub:
        target = hub.target
    with following(target) as watched:
        watched.until(lambda view: view.link.state == "lost")
        with pytest.raises(NotConnected, match="no link"):
            asyncio.run(watched.feed.call("status"))
    with pytest.raises(NotConnected):
        asyncio.run(watched.feed.call("status"))


def test_what_waits_for_an_answer_fails_when_the_link_is_lost() -> None:
    with scripted_hub() as hub, following(hub.target) as watched:
        watched.until(lambda view: view.devices.get("pump-1"))
        hub.silent = True

        async def ask() -> None:
            asking = asyncio.create_task(watched.feed.call("status"))
            await asyncio.sleep(0)
            hub.cut()
            with pytest.raises(NotConnected):
                await asking

        asyncio.run(ask())


def test_a_bug_in_the_thread_is_told_and_the_dashboard_still_ends() -> None:
    def broken() -> AbstractAsyncContextManager[Operator]:
        raise ValueError("a bug")

    watched = Watched(Target("wss://unused"))
    watched.feed = HubFeed(Target("wss://unused"), broken)
    watched.feed.start(watched.told)
    assert "ValueError('a bug')" in watched.until(lambda view: view.link.state == "closed").link.text
    watched.feed.stop()


def test_stopping_twice_or_before_the_start_is_fine() -> None:
    feed = HubFeed(Target("ws://127.0.0.1:1", insecure_ws=True))
    feed.stop()
    feed.start(lambda: None)
    feed.stop()
    feed.stop()
    assert feed.view.link.state in ("closed", "connecting", "lost")
