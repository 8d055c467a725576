"""What is legal on a device link: the tables, and the rules of numbers, jumps and credit."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.wire import messages as m
from hub.wire.errors import CloseCode, LocalProtocolError, RemoteProtocolError
from hub.wire.ranges import Ranges
from hub.wire.session import (
    DEVICE_TRANSITIONS,
    HUB_TRANSITIONS,
    DeviceSession,
    HubSession,
    Poison,
    State,
    Step,
)  # fmt: skip
from tests.wire import strategies as draw

LOG = "b4c9"
WIDE = m.Window(1000, 1_000_000)
BIRTH: dict[str, Any] = {
    "model": "m", "metrics": (), "time": None, "uptime": None, "software": "", "token": None,
}  # fmt: skip


def hello(epoch: int | None = 7, acked: int = 0, first: int = 1, next: int = 1) -> m.Hello:
    return m.Hello(
        epoch=epoch, log=LOG if epoch else None, acked=acked, first=first, next=next, **BIRTH
    )  # fmt: skip


def welcome(
    epoch: int = 7, through: int = 0, held: tuple[tuple[int, int], ...] = (), window: m.Window = WIDE
) -> m.Welcome:
    return m.Welcome(epoch, through, held, window, 65_536, 50.0, 0, LOG)


def hub(said: m.Hello, answer: m.Welcome) -> HubSession:
    session = HubSession()
    session.receive(said)
    session.welcome(answer)
    return session


def row(seq: int) -> m.Row:
    return m.Row(seq, None, [])


def snapshot(session: HubSession | DeviceSession) -> Any:
    def plain(thing: Any) -> Any:
        if hasattr(type(thing), "__slots__") and type(thing).__module__ in {"hub.wire.credit", "hub.wire.hub_session"}:
            return [plain(getattr(thing, name)) for name in type(thing).__slots__]
        if isinstance(thing, DeviceSession):
            return {name: plain(value) for name, value in vars(thing).items()}
        return repr(thing)

    return plain(session)


def refused(session: HubSession | DeviceSession, message: Any, code: CloseCode, size: int = 0) -> str:
    """The message is refused with this code, and nothing changed."""
    before = snapshot(session)
    with pytest.raises(RemoteProtocolError) as caught:
        session.receive(message, size) if isinstance(session, HubSession) else session.receive(message)
    assert caught.value.code is code
    assert snapshot(session) == before
    return caught.value.text


# --- the tables ----------------------------------------------------------------------------------------------------

EVERY_DEVICE_MESSAGE: list[Any] = [
    hello(), row(1), m.Columns(1, m.Regular(None, 1, 1), [(0, [1])]), m.Malformed(1, ""), m.Dropped(1, 1, None, ""),
    m.Event(1, None, "info", ""), m.Reported(1, {}), m.Result(1, "c", "failed", None),
    m.Result(None, "c", "acknowledged", None), m.Bye(""),
]  # fmt: skip
EVERY_HUB_MESSAGE: list[Any] = [
    welcome(), m.Ack(0, WIDE), m.Reject(1, (), 0), m.Command("c", "n", {}, 0), m.Cancel("c"), m.Desired(1, {}),
    m.Goaway(1.0, ""),
]  # fmt: skip


def hub_in(state: State) -> HubSession:
    session = HubSession()
    if state is not State.OPENING:
        session.receive(hello())
    if state in {State.OPEN, State.CLOSED}:
        session.welcome(welcome())
    if state is State.CLOSED:
        session.receive(m.Bye(""))
    assert session.state is state
    return session


def device_in(state: State) -> DeviceSession:
    session = DeviceSession(7, LOG)
    if state is not State.OPENING:
        session.hello(**BIRTH)
    if state in {State.OPEN, State.CLOSED}:
        session.receive(welcome())
    if state is State.CLOSED:
        session.bye("")
    assert session.state is state
    return session


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("message", EVERY_DEVICE_MESSAGE, ids=repr)
def test_the_hub_follows_its_table(state: State, message: Any) -> None:
    session = hub_in(state)
    after = HUB_TRANSITIONS[state].get(type(message))
    if after is None:
        assert state.value in refused(session, message, CloseCode.PROTOCOL)
    else:
        session.receive(message)
        assert session.state is after


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("message", EVERY_HUB_MESSAGE, ids=repr)
def test_the_device_follows_its_table(state: State, message: Any) -> None:
    session = device_in(state)
    after = DEVICE_TRANSITIONS[state].get(type(message))
    if after is None:
        assert state.value in refused(session, message, CloseCode.PROTOCOL)
    else:
        session.receive(message)
        assert session.state is after


def test_each_end_says_only_what_is_legal() -> None:
    for state in (State.OPENING, State.OPEN, State.CLOSED):
        with pytest.raises(LocalProtocolError):
            hub_in(state).welcome(welcome())
    for state in (State.OPENING, State.CHECKING):
        with pytest.raises(LocalProtocolError):
            hub_in(state).acked(1, WIDE)
    hub_in(State.CLOSED).acked(1, WIDE)  # the ack may have been on its way
    for state in (State.CHECKING, State.OPEN, State.CLOSED):
        with pytest.raises(LocalProtocolError):
            device_in(state).hello(**BIRTH)
    for state in (State.OPENING, State.CHECKING, State.CLOSED):
        session = device_in(state)
        assert not session.may_send(1)
        with pytest.raises(LocalProtocolError):
            session.sent(1, 1)
        with pytest.raises(LocalProtocolError):
            session.dropped(m.Dropped(1, 1, None, ""), 9)


# --- numbers -------------------------------------------------------------------------------------------------------


def test_p2_the_named_epoch_goes_on_above_what_is_here() -> None:
    session = hub(hello(acked=5, first=6, next=20), welcome(through=8, held=((9, 10), (12, 12))))
    assert session.expected == 11
    assert session.receive(row(11)) is Step.FRESH
    assert session.expected == 13


@pytest.mark.parametrize("said", [hello(None, next=9), hello(6, next=9)])
def test_p2_a_fresh_epoch_starts_at_one(said: m.Hello) -> None:
    session = hub(said, welcome(epoch=7, through=8, held=((10, 11),)))
    assert session.expected == 1
    assert session.receive(row(1)) is Step.FRESH
    refused(session, row(9), CloseCode.SEQ_JUMP)


def test_p4_in_rising_seq_each_once() -> None:
    session = hub(hello(next=4), welcome())
    assert [session.receive(row(seq)) for seq in (1, 2, 3)] == [Step.FRESH] * 3
    refused(session, row(3), CloseCode.SEQ_JUMP)
    assert "expected seq 4" in refused(session, row(5), CloseCode.SEQ_JUMP)
    assert session.receive(row(4)) is Step.FRESH


def test_p4_what_welcome_called_settled_is_a_duplicate() -> None:
    session = hub(hello(next=9), welcome(through=3, held=((5, 6),)))
    assert session.receive(row(2)) is Step.DUPLICATE
    assert session.receive(row(3)) is Step.DUPLICATE
    refused(session, row(1), CloseCode.SEQ_JUMP)  # falling
    refused(session, row(5), CloseCode.SEQ_JUMP)  # over 4, which is not here
    assert session.receive(row(4)) is Step.FRESH
    assert session.receive(row(5)) is Step.DUPLICATE
    assert session.receive(row(7)) is Step.FRESH  # over 6, which is held


def test_p4_a_jump_needs_dropped_from_the_expected_number() -> None:
    session = hub(hello(next=9), welcome(through=3))
    refused(session, m.Dropped(5, 6, None, ""), CloseCode.SEQ_JUMP)
    refused(session, m.Dropped(3, 6, None, ""), CloseCode.SEQ_JUMP)
    assert session.receive(m.Dropped(4, 6, None, "")) is Step.OTHER
    refused(session, row(6), CloseCode.SEQ_JUMP)
    assert session.receive(row(7)) is Step.FRESH


def test_p4_what_welcome_had_no_room_for_is_a_duplicate() -> None:
    session = HubSession()
    session.receive(hello(next=20))
    session.welcome(welcome(through=1, held=((3, 4),)), untold=((6, 8), (10, 12)))
    assert session.receive(row(2)) is Step.FRESH
    assert session.known == 4
    assert session.receive(row(5)) is Step.FRESH
    assert session.known == 5, "the device does not know of 6 to 8"
    assert [session.receive(row(seq)) for seq in (6, 7, 8)] == [Step.DUPLICATE] * 3
    refused(session, row(8), CloseCode.SEQ_JUMP)
    assert session.receive(row(9)) is Step.FRESH
    session.acked(9, WIDE)
    assert session.receive(m.Dropped(10, 11, None, "")) is Step.OTHER
    assert (session.known, session.expected) == (11, 13)
    assert session.receive(m.Dropped(12, 14, None, "")) is Step.OTHER
    assert session.receive(row(15)) is Step.FRESH
    refused(session, m.Dropped(12, 14, None, ""), CloseCode.SEQ_JUMP)


def test_p4_dropped_may_reach_over_what_is_held() -> None:
    session = hub(hello(next=20), welcome(through=3, held=((6, 7), (11, 12))))
    session.receive(m.Dropped(4, 10, None, ""))
    assert session.expected == 13


def test_p12_what_has_no_number_needs_none() -> None:
    session = hub(hello(), welcome(window=m.Window(1, 65_536)))
    session.receive(row(1), 60_000)
    for _ in range(3):  # answers pass a closed window
        assert session.receive(m.Result(None, "c", "succeeded", None), 100) is Step.OTHER
    assert session.expected == 2
    refused(session, m.Result(2, "c", "succeeded", None), CloseCode.POLICY, 100)


# --- credit --------------------------------------------------------------------------------------------------------


def test_who_overruns_the_window_is_refused() -> None:
    session = hub(hello(), welcome(window=m.Window(2, 100)))
    session.receive(row(1), 60)
    refused(session, row(2), CloseCode.POLICY, 41)
    session.receive(row(2), 40)
    refused(session, row(3), CloseCode.POLICY, 0)
    session.acked(1, m.Window(2, 100))
    session.receive(row(3), 60)
    assert session.outstanding == m.Window(2, 100)


def test_a_window_that_shrinks_takes_nothing_back() -> None:
    session = hub(hello(), welcome(window=m.Window(4, 400)))
    for seq in (1, 2):
        session.receive(row(seq), 100)
    session.acked(2, m.Window(1, 100))
    for seq in (3, 4):  # granted by welcome
        session.receive(row(seq), 100)
    refused(session, row(5), CloseCode.POLICY, 100)


def test_frames_above_the_limit_of_welcome_are_too_big() -> None:
    session = hub(hello(), welcome())
    refused(session, row(1), CloseCode.TOO_BIG, 65_537)


def test_p7_an_ack_is_never_taken_back() -> None:
    session = hub(hello(next=4), welcome(through=3))
    with pytest.raises(LocalProtocolError):
        session.acked(2, WIDE)
    device = DeviceSession(7, LOG, 3, 4, 9)
    device.hello(**BIRTH)
    device.receive(welcome(through=5))
    refused(device, m.Ack(4, WIDE), CloseCode.PROTOCOL)
    refused(device, m.Ack(9, WIDE), CloseCode.PROTOCOL)  # never given
    device.receive(m.Ack(8, WIDE))
    assert device.through == 8


# --- the device's end ----------------------------------------------------------------------------------------------


def test_p1_hello_names_the_numbers() -> None:
    said = DeviceSession(7, LOG, 41, 42, 45).hello(**BIRTH)
    assert (said.epoch, said.log, said.acked, said.first, said.next) == (7, LOG, 41, 42, 45)
    said = DeviceSession().hello(**BIRTH)
    assert (said.epoch, said.log, said.acked, said.first, said.next) == (None, None, 0, 1, 1)


def test_p2_same_epoch_means_resend_the_rest_as_it_is() -> None:
    session = DeviceSession(7, LOG, 3, 4, 9)
    session.hello(**BIRTH)
    answer = welcome(through=4, held=((6, 7),))
    session.receive(answer)
    plan = session.renumbering(answer)
    assert not plan.fresh
    assert plan.settled == Ranges([(1, 4), (6, 7)])
    assert (session.expected, session.next, session.through) == (5, 9, 4)
    session.sent(5, 10)
    with pytest.raises(LocalProtocolError):
        session.sent(6, 10)
    session.sent(8, 10)


def test_p2_a_fresh_epoch_means_number_the_rest_from_one() -> None:
    session = DeviceSession(7, LOG, 3, 4, 9)
    session.hello(**BIRTH)
    answer = welcome(epoch=9, through=4, held=((6, 7),))
    assert session.renumbering(answer).fresh
    session.receive(answer)
    plan = session.renumbering(answer)
    assert plan.fresh
    assert (plan.epoch, plan.log, plan.settled) == (9, LOG, Ranges([(1, 4), (6, 7)]))
    assert (session.epoch, session.expected, session.next, session.through) == (9, 1, 1, 0)


def test_p2_nothing_is_settled_for_a_device_without_numbers() -> None:
    session = DeviceSession(None, None, 0, 1, 9)
    session.hello(**BIRTH)
    assert session.renumbering(welcome(epoch=2)).settled == Ranges()


@pytest.mark.parametrize("answer", [welcome(through=9), welcome(held=((9, 9),)), welcome(epoch=6)])
def test_p2_a_welcome_that_cannot_be_is_refused(answer: m.Welcome) -> None:
    session = DeviceSession(7, LOG, 3, 4, 9)
    session.hello(**BIRTH)
    refused(session, answer, CloseCode.PROTOCOL)


def test_p4_dropped_goes_from_the_expected_number() -> None:
    session = DeviceSession(7, LOG, 0, 1, 9)
    session.hello(**BIRTH)
    session.receive(welcome(held=((4, 5),)))
    with pytest.raises(LocalProtocolError):
        session.dropped(m.Dropped(2, 3, None, ""), 9)
    session.dropped(m.Dropped(1, 3, None, ""), 9)
    assert session.expected == 6


def test_dropped_needs_credit_as_a_batch_does() -> None:
    device = device_in(State.OPENING)
    device.hello(**BIRTH)
    device.receive(welcome(window=m.Window(2, 100)))
    device.dropped(m.Dropped(1, 3, None, ""), 60)
    with pytest.raises(LocalProtocolError):
        device.dropped(m.Dropped(4, 6, None, ""), 41)
    device.dropped(m.Dropped(4, 6, None, ""), 40)
    assert not device.may_send(1)
    device.receive(m.Ack(3, m.Window(2, 100)))
    assert device.may_send(60)

    session = hub(hello(next=20), welcome(window=m.Window(2, 100)))
    session.receive(m.Dropped(1, 3, None, ""), 60)
    session.receive(m.Dropped(4, 6, None, ""), 40)
    assert session.outstanding == m.Window(2, 100)
    with pytest.raises(RemoteProtocolError) as caught:
        session.receive(m.Dropped(7, 7, None, ""), 1)
    assert caught.value.code is CloseCode.POLICY
    session.acked(3, m.Window(2, 100))
    assert session.receive(m.Dropped(7, 7, None, ""), 60) is Step.OTHER


def test_the_device_waits_for_credit() -> None:
    session = device_in(State.OPENING)
    session.hello(**BIRTH)
    session.receive(welcome(window=m.Window(2, 100)))
    assert not session.may_send(101)
    session.sent(1, 60)
    assert session.may_send(40)
    assert not session.may_send(41)
    with pytest.raises(LocalProtocolError):
        session.sent(2, 41)
    session.receive(m.Ack(1, m.Window(2, 100)))
    assert session.may_send(100)
    with pytest.raises(LocalProtocolError):
        session.sent(2, 65_537)


def test_the_device_hears_when_to_come_back() -> None:
    session = device_in(State.CHECKING)
    session.receive(m.Goaway(2.5, "full"))
    assert session.retry_after == 2.5


def test_p11_two_closings_at_one_place_make_a_batch_poison() -> None:
    poison = Poison()
    assert not poison.closed(7, 4, CloseCode.PROTOCOL)
    assert not poison.closed(7, 4, None)  # a lost link counts for nothing
    assert not poison.closed(7, 4, CloseCode.DRAIN)
    assert poison.closed(7, 4, CloseCode.GARBLED)
    assert not poison.closed(7, 4, CloseCode.TOO_BIG)  # counting starts anew for the batch after it
    assert not poison.closed(7, 5, CloseCode.TOO_BIG)  # it moved on in between
    assert not poison.closed(8, 5, CloseCode.TOO_BIG)
    assert Poison(poison.at).closed(8, 5, CloseCode.TOO_BIG), "over a restart of the device, too"


# --- whatever comes ------------------------------------------------------------------------------------------------


@settings(max_examples=150, deadline=None)
@given(st.lists(draw.device_messages | st.builds(row, st.integers(1, 12)), max_size=25), st.booleans())
def test_an_illegal_message_changes_nothing(said: list[Any], welcomed: bool) -> None:
    session = (
        hub(hello(next=9), welcome(through=2, held=((4, 5),), window=m.Window(3, 300))) if welcomed else HubSession()
    )
    fresh: list[int] = []
    for message in said:
        before = snapshot(session)
        try:
            step = session.receive(message, 50)
        except RemoteProtocolError as refusal:
            assert snapshot(session) == before, refusal  # noqa: PT017
            continue
        if step is Step.FRESH:
            fresh.append(message.seq)
        if isinstance(message, m.Hello) and session.state is State.CHECKING:
            session.welcome(welcome())
    assert fresh == sorted(set(fresh))
    if welcomed:
        assert not {1, 2, 4, 5} & set(fresh)


@settings(max_examples=150, deadline=None)
@given(st.lists(draw.hub_messages | st.builds(m.Ack, st.integers(0, 12), draw.windows), max_size=25))
def test_a_device_takes_in_nothing_illegal(said: list[Any]) -> None:
    session = DeviceSession(7, LOG, 0, 1, 9)
    session.hello(**BIRTH)
    session.receive(welcome())
    for message in said:
        before, through = snapshot(session), session.through
        try:
            session.receive(message)
        except RemoteProtocolError as refusal:
            assert snapshot(session) == before, refusal  # noqa: PT017
        assert through <= session.through < 9
