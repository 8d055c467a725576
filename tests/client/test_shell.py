from dataclasses import replace

import numpy as np
import pytest
import trio

from hub.client import HubFailure, Refused, SocketClosed, Target, connect
from hub.client import shell as shell_module
from hub.client.blocking import Hub
from hub.query import Question
from hub.wire.operator import Send, Subscribe, Unsubscribe, Update
from tests.client.fakehub import Fails, FakeHub
from tests.client.servers import Trust, websocket_server

pytestmark = pytest.mark.trio


def target(hub: FakeHub, trust: Trust) -> Target:
    return Target(hub.url, token="admin-token", ca=trust.ca, proxy="")


async def test_calls_at_the_same_time_get_their_own_answers(trust: Trust) -> None:
    hub = FakeHub(verbs={"models.show": lambda args: args["model"]})
    async with hub.serve(trust), connect(target(hub, trust)) as operator:
        assert operator.greeting.subject == "tests"
        answers: dict[str, str] = {}

        async def ask(name: str) -> None:
            answers[name] = await operator.call("models.show", model=name, unused=None)

        async with trio.open_nursery() as nursery:
            for name in ("a", "b", "c"):
                nursery.start_soon(ask, name)
    assert answers == {"a": "a", "b": "b", "c": "c"}


async def test_a_failure_is_raised(trust: Trust) -> None:
    def fail(args: object) -> None:
        raise Fails("forbidden", "viewers may not")

    async with FakeHub(verbs={"devices.revoke": fail}).serve(trust) as hub, connect(target(hub, trust)) as operator:
        with pytest.raises(HubFailure, match="viewers may not") as caught:
            await operator.call("devices.revoke", device="d")
        assert caught.value.code == "forbidden"


async def test_a_wrong_token_is_refused(trust: Trust) -> None:
    async with FakeHub().serve(trust) as hub:
        with pytest.raises(Refused) as caught:
            async with connect(replace(target(hub, trust), token="other")):
                pass
    assert caught.value.status == 401


async def test_every_state_of_a_command_is_told(trust: Trust) -> None:
    states = [{"state": state} for state in ("queued", "sent", "succeeded")]
    async with FakeHub(states=states).serve(trust) as hub, connect(target(hub, trust)) as operator:
        seen: list[str] = []
        info = await operator.send_command("d", "reboot", {}, 10, True, lambda info: seen.append(info["state"]))
        first = await operator.send_command("d", "reboot", {}, 10, wait=False)
    assert (info["state"], first["state"], seen) == ("succeeded", "queued", ["queued", "sent", "succeeded"])
    assert [request.wait for request in hub.asked if isinstance(request, Send)] == [True, False]


async def test_an_answer_in_parts_is_one(trust: Trust) -> None:
    parts = [
        {"columns": {"device": ["a"], "time": np.array([1]), "value": [None]}, "truncated": False},
        {"columns": {"device": ["b"], "time": np.array([2]), "value": ["x"]}, "truncated": True},
    ]
    async with FakeHub(parts=parts).serve(trust) as hub, connect(target(hub, trust)) as operator:
        columns = await operator.ask(Question())
    assert columns.columns["device"] == ["a", "b"]
    assert columns.columns["time"].tolist() == [1, 2]
    assert columns.truncated


async def test_a_subscription_gives_updates_until_it_is_closed(trust: Trust) -> None:
    hub = FakeHub(updates=[("presence", {"device": "d"}), ("hub", {"ready": True})], verbs={"status": 1})
    async with hub.serve(trust), connect(target(hub, trust)) as operator:
        async with await operator.subscribe(["presence", "hub"], ["d*"]) as updates:
            assert [(await updates.receive()).kind for _ in range(2)] == ["presence", "hub"]
            with pytest.raises(trio.WouldBlock):
                updates.receive_nowait()
        assert await operator.call("status") == 1
    assert [type(request) for request in hub.asked[:2]] == [Subscribe, Unsubscribe]


async def test_a_lost_link_ends_all_and_says_why(trust: Trust) -> None:
    hub = FakeHub(updates=[("hub", None)], hang_up=(1012, "restart"))
    async with hub.serve(trust), connect(target(hub, trust)) as operator:
        updates = await operator.subscribe()
        assert [update.kind async for update in updates] == ["hub"]
        assert operator.ended is not None
        assert operator.ended.code == 1012
        with pytest.raises(SocketClosed, match="restart"):
            await operator.call("status")


async def test_a_slow_consumer_is_told_what_it_missed(trust: Trust, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shell_module, "BACKLOG", 2)
    readings = [("readings", [["d", "m", number, 1.0, 0]] * 2) for number in range(5)]
    hub = FakeHub(updates=[*readings, ("presence", {})], verbs={"status": 1})
    async with hub.serve(trust), connect(target(hub, trust)) as operator:
        updates = await operator.subscribe()
        await operator.call("status")  # answered after all updates were read
        assert [(await updates.receive()).kind for _ in range(3)] == ["readings", "readings", "presence"]
        updates.take(Update(updates.id, "hub", None))
        skipped = await updates.receive()
        assert (skipped.kind, skipped.body) == ("skipped", {"count": 6})


async def test_what_the_block_raises_comes_out_as_it_is(trust: Trust) -> None:
    async with FakeHub().serve(trust) as hub:
        with pytest.raises(KeyError):
            async with connect(target(hub, trust)):
                raise KeyError


async def test_a_hub_that_talks_nonsense_is_left(trust: Trust) -> None:
    async def nonsense(link: object) -> None:
        await link.send_message(b"\xff")  # type: ignore[attr-defined]
        await trio.sleep_forever()

    async with websocket_server(nonsense, trust) as server:
        with pytest.raises(shell_module.Unreachable, match="another protocol"):
            async with connect(Target(f"wss://localhost:{server.port}", ca=trust.ca)):
                pass


async def test_ordinary_python_asks_too(trust: Trust) -> None:
    parts = [{"columns": {"device": ["a"]}, "truncated": False}]
    states = [{"state": "succeeded"}]
    async with FakeHub(verbs={"status": 1}, parts=parts, states=states).serve(trust) as fake:
        hub = Hub(target(fake, trust))
        assert await trio.to_thread.run_sync(hub.call, "status") == 1
        assert len(await trio.to_thread.run_sync(hub.ask, Question())) == 1
        info = await trio.to_thread.run_sync(hub.send_command, "d", "reboot", {}, 1.0)
        assert info["state"] == "succeeded"
