import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.client.operator import OperatorConversation
from hub.query import Question
from hub.wire.codec import decode_request, encode
from hub.wire.errors import LocalProtocolError, RemoteProtocolError
from hub.wire.operator import Answer, Ask, Call, Failure, Greeting, OperatorReply, Send, Subscribe, Unsubscribe, Update

GREETING = Greeting("viewer", "me", "0.1.0", 1, "log")


@pytest.fixture
def greeted() -> OperatorConversation:
    conversation = OperatorConversation()
    assert conversation.receive(encode(GREETING)) == GREETING
    return conversation


def test_nothing_is_asked_before_the_greeting() -> None:
    with pytest.raises(LocalProtocolError):
        OperatorConversation().call("status", {})


@pytest.mark.parametrize("reply", [Answer(1, None, False), Failure(1, "internal", "x"), Update(1, "hub", None)])
def test_nothing_is_answered_before_the_greeting(reply: OperatorReply) -> None:
    with pytest.raises(RemoteProtocolError):
        OperatorConversation().receive(encode(reply))


def test_the_hub_greets_once(greeted: OperatorConversation) -> None:
    with pytest.raises(RemoteProtocolError):
        greeted.receive(encode(GREETING))


def test_requests_are_what_the_hub_reads(greeted: OperatorConversation) -> None:
    frames = [
        greeted.call("status", {"a": 1}),
        greeted.ask(Question(metrics=("t",))),
        greeted.send("d", "reboot", {"now": True}, 10, True),
        greeted.subscribe(["hub"], ["*"], ["*"]),
    ]
    assert [decode_request(frame) for _, frame in frames] == [
        Call(1, "status", {"a": 1}),
        Ask(2, {"metrics": ["t"]}),
        Send(3, "d", "reboot", {"now": True}, 10.0, True),
        Subscribe(4, ("hub",), ("*",), ("*",)),
    ]
    assert decode_request(greeted.unsubscribe(4)) == Unsubscribe(4)


def test_an_answer_closes_its_request(greeted: OperatorConversation) -> None:
    id, _ = greeted.call("status", {})
    assert greeted.receive(encode(Answer(id, 1, True))) == Answer(id, 1, True)
    assert greeted.receive(encode(Answer(id, 2, False))) == Answer(id, 2, False)
    with pytest.raises(RemoteProtocolError, match="not asked"):
        greeted.receive(encode(Answer(id, 3, False)))


def test_an_update_to_a_request_is_refused_and_changes_nothing(greeted: OperatorConversation) -> None:
    id, _ = greeted.call("status", {})
    with pytest.raises(RemoteProtocolError):
        greeted.receive(encode(Update(id, "hub", None)))
    assert greeted.receive(encode(Failure(id, "internal", "x"))) is not None


def test_updates_under_way_after_unsubscribe_are_passed_over(greeted: OperatorConversation) -> None:
    id, _ = greeted.subscribe(["hub"], ["*"], ["*"])
    assert greeted.receive(encode(Update(id, "hub", None))) is not None
    greeted.unsubscribe(id)
    assert greeted.receive(encode(Update(id, "hub", None))) is None
    with pytest.raises(LocalProtocolError):
        greeted.unsubscribe(id)


def test_what_cannot_be_encoded_leaves_no_request_open(greeted: OperatorConversation) -> None:
    with pytest.raises(Exception, match=r".*"):
        greeted.call("status", {"a": object()})  # type: ignore[dict-item]
    with pytest.raises(RemoteProtocolError):
        greeted.receive(encode(Answer(1, None, False)))


@given(st.binary(max_size=64))
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_a_reply_or_a_refusal(frame: bytes) -> None:
    conversation = OperatorConversation()
    conversation.receive(encode(GREETING))
    conversation.subscribe(["hub"], ["*"], ["*"])
    try:
        conversation.receive(frame)
    except RemoteProtocolError:
        assert conversation.greeting == GREETING


def test_columns_come_as_arrays(greeted: OperatorConversation) -> None:
    id, _ = greeted.ask(Question())
    part = {"columns": {"time": np.array([1, 2], np.int64), "device": ["a", "b"]}, "truncated": False}
    reply = greeted.receive(encode(Answer(id, part, False)))
    assert isinstance(reply, Answer)
    assert reply.value["columns"]["time"].tolist() == [1, 2]
