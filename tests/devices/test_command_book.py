"""Commands over a restart of the device: whatever the moment it dies at, an id is acted upon once at most."""

from pathlib import Path
from typing import Any

import pytest
import trio

from devices.commands import INTERRUPTED, CommandDesk
from devices.disk import CommandBook
from devices.disk.book import REMEMBERED, TOO_LONG, VALUE_BYTES
from hub.ports import InlineWorker
from hub.wire.messages import Command, Result
from tests.devices.conftest import Counting
from tests.devices.hubend import TrioClock
from tests.journal.driving import simulate
from tests.simulation.files import SimulatedFiles

SPOOL = Path("/spool")
FAR = 2**52  # us; a deadline that does not come
ADD = Command("00aa", "add", {"amount": 3}, FAR)


class PowerCut(Exception):
    """The device stops here."""


class Life:
    """One life of a device: ``said`` and ``ended`` are what the hub hears, ``ran`` what it acted upon."""

    def __init__(self, files: SimulatedFiles) -> None:
        self.source = Counting()
        self.said: list[Result] = []
        self.ended: list[Result] = []
        self.book = CommandBook(SPOOL, files, InlineWorker())
        self.desk = CommandDesk(
            self.source, TrioClock(), self.said.append, self.ended.append, self.book, trio.lowlevel.checkpoint
        )

    @property
    def ran(self) -> list[str]:
        return self.source.ran

    async def live(self, *commands: Command, seconds: float = 60.0) -> None:
        await self.desk.open()
        with trio.move_on_after(seconds):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self.desk.serve)
                await trio.testing.wait_all_tasks_blocked()
                for command in commands:
                    self.desk.receive(command)
                    await trio.testing.wait_all_tasks_blocked()

    def lived(self, *commands: Command, **options: Any) -> bool:
        """Whether it lived to its end."""
        cut = False
        try:
            simulate(lambda: self.live(*commands, **options))
        except* PowerCut:
            cut = True
        return not cut


def stops_at(files: SimulatedFiles, call: int) -> None:
    left = call

    def count_down(_: str) -> None:
        nonlocal left
        if left == 0:
            raise PowerCut
        left -= 1

    files.on_call = count_down


@pytest.mark.parametrize("keep", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("before", [(), (Command("0001", "add", {"amount": 1}, FAR),)])
def test_commands_an_id_is_acted_upon_once_at_most_whatever_call_the_power_is_cut_at(
    before: tuple[Command, ...], keep: float
) -> None:
    call, lived = 0, False
    outcomes = set()
    while not lived:
        files = SimulatedFiles(call)
        assert Life(files).lived(*before)
        first, second = Life(files), Life(files)
        stops_at(files, call)
        lived = first.lived(ADD)
        files.on_call = None
        files.power_cut(keep)
        assert second.lived(ADD)  # the hub never sends an id twice; who copies its files may
        told = [
            result for result in second.said + second.ended if result.id == ADD.id and result.state != "acknowledged"
        ]
        assert len(first.ran) + len(second.ran) <= 1, call
        assert told, f"cut at call {call}: the device does not say what came of it"
        outcomes.add((len(first.ran), len(second.ran), told[-1].state))
        call += 1
    assert {(0, 1, "succeeded"), (1, 0, "failed"), (1, 0, "succeeded")} <= outcomes, "every case was met"


def test_commands_what_was_under_way_ends_as_failed_and_is_told_to_be_unknown() -> None:
    files = SimulatedFiles()
    slow = Command("00bb", "slow", {}, FAR)
    assert Life(files).lived(slow, seconds=5)
    second = Life(files)
    assert second.lived(slow)
    assert second.ran == []
    assert [(result.state, result.value) for result in second.ended] == [("failed", INTERRUPTED)]
    third = Life(files)
    assert third.lived(slow)
    assert (third.ran, third.ended) == ([], []), "its end is remembered, and told again when it is asked"
    assert [(result.state, result.value) for result in third.said] == [("failed", INTERRUPTED)]


def test_commands_an_id_that_cannot_be_written_down_is_not_acted_upon() -> None:
    files = SimulatedFiles()
    life = Life(files)
    files.capacity = 0
    assert life.lived(ADD)
    assert life.ran == []
    (result,) = life.ended
    assert result.state == "rejected"
    assert "cannot write the command down" in str(result.value)


def test_commands_so_many_ids_are_remembered_and_long_values_are_not() -> None:
    files = SimulatedFiles()

    async def write() -> None:
        book = CommandBook(SPOOL, files, InlineWorker())
        await book.open()
        for number in range(REMEMBERED + 10):
            await book.end(Result(None, f"{number:04x}", "succeeded", "x" * (VALUE_BYTES + number - 10)))

    async def read() -> list[Result]:
        return await CommandBook(SPOOL, files, InlineWorker()).open()

    simulate(write)
    known = simulate(read)
    assert [result.id for result in known] == [f"{number:04x}" for number in range(10, REMEMBERED + 10)]
    assert {result.value for result in known} == {TOO_LONG}
