"""What a hello means for a device's numbers."""

import pytest

from hub.ingest.numbering import DeviceMarks
from hub.ingest.opening import FAR_ABOVE, MAX_HELD, Missing, Plan, plan
from hub.wire.errors import CloseCode, RemoteProtocolError
from tests.ingest.house import LOG, hello


def marks(epoch: int = 3, prefix: int = 10, *held: tuple[int, int]) -> DeviceMarks:
    made = DeviceMarks()
    numbering = made.give(epoch)
    numbering.settle(1, prefix)
    for first, last in held:
        numbering.settle(first, last)
    return made


def test_p1_the_first_hello_of_a_device_gets_an_epoch() -> None:
    assert plan(hello(), DeviceMarks(), LOG) == Plan("first", 0)


def test_p1_a_hello_without_epoch_gets_a_fresh_one_and_nothing_is_booked_as_lost() -> None:
    assert plan(hello(first=7, next=9), marks(), LOG) == Plan("null_hello", 0, from_epoch=3)


def test_p1_the_epoch_of_another_log_means_nothing_here() -> None:
    found = plan(hello(epoch=3, log="b" * 32, acked=50, first=51, next=60), marks(), LOG)
    assert found == Plan("other_log", 0, from_epoch=3)


def test_p2_the_current_epoch_goes_on() -> None:
    found = plan(hello(epoch=3, acked=9, first=10, next=15), marks(3, 10, (13, 13)), LOG)
    assert found == Plan(None, 10, ((13, 13),), [], 3, 15)


def test_p2_a_rewound_device_gets_a_fresh_epoch_that_takes_nothing_as_settled() -> None:
    found = plan(hello(epoch=3, acked=4, first=5, next=8), marks(3, 10), LOG)
    assert found == Plan("rewound", 4, (), [], 3, 8, double=3)


def test_p2_next_just_above_the_highest_seq_here_is_no_rewind() -> None:
    assert plan(hello(epoch=3, acked=4, first=5, next=13), marks(3, 10, (12, 12)), LOG).fresh is None
    assert plan(hello(epoch=3, acked=4, first=5, next=12), marks(3, 10, (12, 12)), LOG).fresh == "rewound"


def test_p2_a_device_that_never_heard_of_its_new_epoch_may_name_the_one_before() -> None:
    made = marks(3, 10)
    made.give(4, continues=True)
    found = plan(hello(epoch=3, acked=8, first=9, next=13), made, LOG)
    assert found == Plan("unconfirmed", 10, (), [], 3, 13)
    made.give(5, continues=True)
    assert plan(hello(epoch=3, acked=8, first=9, next=13), made, LOG) == found


def test_p2_a_rewound_device_stays_one_however_far_it_has_counted_when_its_welcome_was_lost() -> None:
    made = marks(3, 10)
    made.give(4)
    assert plan(hello(epoch=3, acked=4, first=5, next=13), made, LOG).fresh == "rewound"


def test_p2_an_epoch_that_was_left_behind_is_a_rewind() -> None:
    made = marks(3, 10)
    made.give(4, continues=True).settle(1, 1)
    assert plan(hello(epoch=3, acked=8, first=9, next=13), made, LOG).fresh == "rewound"


def test_p4_numbers_the_device_has_no_more_are_lost_at_the_hub_up_to_acked_and_dropped_above() -> None:
    found = plan(hello(epoch=3, acked=14, first=21, next=25), marks(3, 10, (16, 17)), LOG)
    assert found.missing == [Missing(11, 14, True), Missing(15, 15, False), Missing(18, 20, False)]
    assert (found.through, found.held) == (20, ())


def test_p4_a_gap_never_covers_what_is_here() -> None:
    found = plan(hello(epoch=3, acked=20, first=21, next=25), marks(3, 10, (12, 20), (23, 23)), LOG)
    assert found.missing == [Missing(11, 11, True)]
    assert (found.through, found.held) == (20, ((23, 23),))


def test_nothing_settled_but_something_held_is_through_0() -> None:
    found = plan(hello(epoch=3, first=1, next=9), marks(3, 0, (5, 6)), LOG)
    assert (found.through, found.held, found.missing) == (0, ((5, 6),), [])


def test_an_epoch_that_only_the_device_remembers_is_told_as_lost_by_a_restored_hub() -> None:
    found = plan(hello(epoch=9, acked=30, first=31, next=40), marks(3, 10), LOG)
    assert found == Plan("restored", 30, (), [Missing(1, 30, True)], 9, 40)


def test_p1_a_restored_hub_goes_on_above_what_it_may_have_given() -> None:
    found = plan(hello(epoch=3 + FAR_ABOVE, acked=3, first=4, next=4), marks(3, 10), LOG)
    assert found.fresh == "restored"


def test_a_welcome_holds_so_many_ranges_at_most() -> None:
    made = marks(3, 0, *[(seq, seq) for seq in range(2, 2 * MAX_HELD + 100, 2)])
    found = plan(hello(epoch=3, first=1, next=9999), made, LOG)
    assert (len(found.held), len(found.untold), found.double) == (MAX_HELD, 49, 0)
    assert found.untold[0] == (2 * MAX_HELD + 2, 2 * MAX_HELD + 2)


def test_p2_what_a_welcome_into_a_fresh_epoch_has_no_room_for_may_be_double() -> None:
    made = marks(3, 0, *[(seq, seq) for seq in range(2, 2 * MAX_HELD + 100, 2)])
    made.give(4, continues=True)
    found = plan(hello(epoch=3, first=1, next=9999), made, LOG)
    assert (found.fresh, found.untold, found.double) == ("unconfirmed", (), 9998)


@pytest.mark.parametrize(
    "numbers",
    [
        {"acked": 5, "first": 1, "next": 5}, {"first": 6, "next": 5}, {"first": 0, "next": 5},
        {"first": 1, "next": 2**60}, {"epoch": 2**53 - 1, "first": 1, "next": 2},
        {"epoch": 4 + FAR_ABOVE, "first": 1, "next": 2}, {"epoch": 0, "first": 1, "next": 1},
    ],
)  # fmt: skip
def test_numbers_that_contradict_each_other_are_refused(numbers: dict[str, int]) -> None:
    with pytest.raises(RemoteProtocolError) as refused:
        plan(hello(**({"epoch": 3} | numbers)), marks(), LOG)
    assert refused.value.code == CloseCode.PROTOCOL
