"""Whoever reads the journal's files keeps them there: from another process by a pin, in this one by holding them."""

from contextlib import suppress

import pytest
import trio
from trio.testing import MockClock

from hub.journal.on_disk import PIN_SECONDS, PINS, OnDisk, TooManyPins

pytestmark = pytest.mark.trio


async def test_several_pins_hold_for_themselves(autojump_clock: MockClock) -> None:
    on_disk = OnDisk()
    assert not on_disk.pinned
    first, second = on_disk.pin("ada"), on_disk.pin("ada")
    on_disk.release(first, "ada")
    on_disk.release(first, "ada")
    assert on_disk.pinned, "the other one still reads"
    on_disk.release(second, "bob")
    assert on_disk.pinned, "it is not his"
    on_disk.release(second, "ada")
    assert not on_disk.pinned
    on_disk.release(99, "ada")  # nobody has it


async def test_a_pin_that_nobody_lets_go_of_ends(autojump_clock: MockClock) -> None:
    on_disk = OnDisk()
    first = on_disk.pin("ada")
    await trio.sleep(PIN_SECONDS / 2)
    second = on_disk.pin("ada")
    await trio.sleep(PIN_SECONDS / 2)
    on_disk.release(second, "ada")
    assert not on_disk.pinned, "the first has ended by itself"
    on_disk.release(first, "ada")
    assert on_disk.pin("ada") not in (first, second), "an id is not given twice"


async def test_pins_are_bounded_in_number_and_those_that_ended_make_room(autojump_clock: MockClock) -> None:
    on_disk = OnDisk()
    pins = [on_disk.pin("ada") for _ in range(PINS)]
    with pytest.raises(TooManyPins, match="try again when one has ended"):
        on_disk.pin("ada")
    on_disk.release(pins[0], "ada")
    on_disk.pin("ada")
    await trio.sleep(PIN_SECONDS)
    on_disk.pin("ada")
    assert len(on_disk._pins) == 1


async def test_who_reads_in_this_process_holds_for_as_long_as_that_takes(autojump_clock: MockClock) -> None:
    on_disk = OnDisk()
    with on_disk.held():
        with on_disk.held():
            await trio.sleep(2 * PIN_SECONDS)
            assert on_disk.pinned
        assert on_disk.pinned
    assert not on_disk.pinned
    with suppress(OSError), on_disk.held():
        raise OSError
    assert not on_disk.pinned
