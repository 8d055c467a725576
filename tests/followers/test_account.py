"""Account and ledger: both equations, from a real journal, a real state file, and a store that counts for itself."""

import math
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trio
from trio.testing import MockClock

from hub.followers import AccountFollower, Followers, Ledger
from hub.followers.tally import MOST_TOLD
from hub.ports import InlineWorker
from hub.state import State, StateError
from hub.wire.messages import Columns, Malformed, Regular, Rejection, Row
from hub.wire.shapes import LedgerEntry
from tests.followers.making import T0, Ink, journaling

pytestmark = pytest.mark.trio


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    state = State(tmp_path / "state.sqlite")
    state.open()
    yield state
    state.close()


class Books:
    """An account that follows, and a ledger on it."""

    def __init__(self, ink: Ink, state: State) -> None:
        self.ink, self.state, self.worker = ink, state, InlineWorker()
        self.account = AccountFollower(state, self.worker)
        self.loop = Followers(ink.journal, [self.account])
        self.counted: tuple[int, Mapping[Any, int]] = (0, {})
        self.said: dict[str, tuple[int, int]] = {}
        self.ledger = Ledger(ink.journal, state, self.worker, self._count, self.said.get)

    async def _count(self, device: str | None) -> tuple[int, Mapping[Any, int]]:
        return self.counted

    async def up_to_date(self) -> int:
        lsn = await self.ink.durable()
        await self.loop.reached(lsn)
        return lsn

    async def entries(self) -> list[LedgerEntry]:
        return await self.ledger.entries()


@asynccontextmanager
async def keeping(state: State, **options: Any) -> AsyncIterator[Books]:
    async with journaling(**options) as ink, trio.open_nursery() as nursery:
        books = Books(ink, state)
        await nursery.start(books.loop.run)
        yield books
        nursery.cancel_scope.cancel()


async def test_ledger_both_equations_hold(autojump_clock: MockClock, state: State) -> None:
    async with keeping(state) as books:
        ink = books.ink
        for seq in range(1, 11):
            ink.keep(seq)
        ink.gap(11, 14, readings=9)
        ink.gap(15, 15, lost=True)
        ink.keep(16, rejections=(Rejection(1, "out_of_range", 0, 1, ""),))
        books.counted = (await books.up_to_date(), {("pump-1", 1): 21})
        books.said["pump-1"] = (1, 20)
        [entry] = await books.entries()
    assert entry["balanced"], entry
    assert (entry["next"], entry["kept"], entry["waiting"]) == (20, [[1, 10], [16, 16]], [[17, 19]])
    assert (entry["dropped"], entry["lost"], entry["dropped_readings"]) == ([[11, 14]], [[15, 15]], 9)
    assert (entry["received"], entry["stored"], entry["rejected"]) == (22, 21, {"out_of_range": 1})
    assert (books.account.received, books.account.accepted, books.account.rejected) == (22, 21, 1)


async def test_no_number_that_a_device_tells_stops_the_account(autojump_clock: MockClock, state: State) -> None:
    async with keeping(state) as books:
        for seq in range(1, 1_026):
            books.ink.gap(seq, seq, readings=MOST_TOLD)
        with trio.fail_after(60):
            books.counted = (await books.up_to_date(), {})
        [entry] = await books.entries()
    assert (entry["dropped"], entry["dropped_readings"], entry["balanced"]) == ([[1, 1_025]], MOST_TOLD, True)


async def test_a_store_that_is_behind_has_the_rest_pending(autojump_clock: MockClock, state: State) -> None:
    async with keeping(state) as books:
        kepts = [books.ink.keep(seq) for seq in range(1, 11)]
        await books.up_to_date()
        books.counted = (kepts[5].lsn, {("pump-1", 1): 12})
        [entry] = await books.entries()
        assert (entry["stored"], entry["pending"], entry["balanced"]) == (12, 8, True)
        books.counted = (kepts[5].lsn, {("pump-1", 1): 10})  # it has lost one
        [entry] = await books.entries()
        assert not entry["balanced"]
        assert entry["problem"] == "20 readings were received, 18 are accounted for"


async def test_a_store_that_is_ahead_of_the_account(autojump_clock: MockClock, state: State) -> None:
    async with journaling() as ink:
        books = Books(ink, state)
        await books.account.start()
        for seq in range(1, 6):
            ink.keep(seq)
        lsn = await ink.durable()
        entries = [entry for entry in ink.journal.tail(1, 3) or [] if entry is not None]
        await books.account.take(entries, 4)  # type: ignore[arg-type]
        books.counted = (lsn, {("pump-1", 1): 10})
        [entry] = await books.entries()
    assert (entry["received"], entry["stored"], entry["pending"], entry["kept"]) == (10, 10, 0, [[1, 5]])
    assert entry["balanced"]


async def test_ledger_what_a_store_made_up_is_seen(autojump_clock: MockClock, state: State) -> None:
    async with keeping(state) as books:
        books.ink.keep(1)
        books.counted = (await books.up_to_date(), {("pump-1", 1): 2, ("ghost", 1): 3})
        entries = {entry["device"]: entry["balanced"] for entry in await books.entries()}
    assert entries == {"pump-1": True, "ghost": False}


async def test_ledger_a_number_nobody_accounts_for_is_waiting_only_while_the_device_may_have_it(
    autojump_clock: MockClock, state: State
) -> None:
    async with keeping(state) as books:
        books.ink.keep(1)
        books.ink.keep(5)
        books.counted = (await books.up_to_date(), {("pump-1", 1): 4})
        [entry] = await books.entries()
        assert (entry["waiting"], entry["balanced"]) == ([[2, 4]], True)
        books.ink.epoch(2, 1, "null_hello")
        books.ink.keep(1, epoch=2)
        books.counted = (await books.up_to_date(), {("pump-1", 1): 4, ("pump-1", 2): 2})
        first, second = await books.entries()
    assert (first["closed"], first["unknown_above"], first["lost"], first["waiting"]) == (True, True, [[2, 4]], [])
    assert first["balanced"]
    assert second["balanced"]


async def test_ledger_what_moved_to_a_fresh_epoch_names_it(autojump_clock: MockClock, state: State) -> None:
    async with keeping(state) as books:
        books.ink.keep(1)
        books.ink.epoch(2, 1, "unconfirmed", next=4)
        books.ink.keep(1, epoch=2)
        books.counted = (await books.up_to_date(), {("pump-1", 1): 2, ("pump-1", 2): 2})
        first, second = await books.entries()
    assert (first["moved"], first["moved_to"], first["balanced"]) == ([[2, 3]], 2, True)
    assert "moved_to" not in second


async def test_followers_account_and_cursor_are_one_transaction(autojump_clock: MockClock, state: State) -> None:
    async with keeping(state) as books:
        for seq in range(1, 4):
            books.ink.keep(seq)
        await books.up_to_date()
        add, broken = state.quarantine.add, iter([True, True, False])

        def refuse(readings: Any) -> None:
            add(readings)
            if next(broken, False):
                raise StateError("the disk is full")

        state.quarantine.add = refuse  # type: ignore[method-assign]
        books.ink.keep(4, rejections=(Rejection(0, "out_of_range", 0, 1, "high"),))
        lsn = await books.ink.durable()
        await trio.sleep(0.25)
        assert (state.cursors.get("account"), state.quarantine.count()) == (lsn - 1, 0)
        assert state.account.totals() == (6, 0)
        await books.loop.reached(lsn)
    assert (state.cursors.get("account"), state.quarantine.count()) == (lsn, 1)
    assert state.account.totals() == (8, 1)


async def test_it_goes_on_where_it_was(autojump_clock: MockClock, state: State) -> None:
    async with journaling() as ink:
        for _ in range(3):
            books = Books(ink, state)
            async with trio.open_nursery() as nursery:
                await nursery.start(books.loop.run)
                for _ in range(4):
                    ink.keep(ink.journal.appended or 1, readings=1)
                await books.up_to_date()
                nursery.cancel_scope.cancel()
    assert state.account.totals() == (12, 0)
    assert books.account.received == 12


async def test_quarantine_has_every_rejected_reading_with_its_value(autojump_clock: MockClock, state: State) -> None:
    async with keeping(state) as books:
        ink = books.ink
        ink.keep(1, Row(1, T0, [math.inf, 2.0]), rejections=(Rejection(0, "not_finite", 0, 1, "inf"),))
        ink.keep(2, Row(2, T0 + 9, [7.0, None, True]), rejections=(Rejection(-1, "future_time", 0, 2, "late"),))
        flow = np.array([1.0, 900.0, 901.0, 4.0])
        ink.keep(
            3, Columns(3, Regular(T0, 10, 4), [(0, flow)]), rejections=(Rejection(0, "out_of_range", 1, 2, "big"),)
        )
        ink.keep(4, Malformed(4, "no list"), readings=1, rejections=(Rejection(-1, "malformed", 0, 1, "no list"),))
        await books.up_to_date()
    found = [
        (reading.seq, reading.row, reading.metric, reading.code, reading.time and reading.time - T0, reading.value)
        for _, reading in reversed(state.quarantine.list("pump-1"))
    ]
    assert found == [
        (1, 0, "flow", "not_finite", 0, math.inf),
        (2, 0, "flow", "future_time", 9, 7.0),
        (2, 0, "#2", "future_time", 9, True),
        (3, 1, "flow", "out_of_range", 10, 900.0),
        (3, 2, "flow", "out_of_range", 20, 901.0),
        (4, -1, "", "malformed", None, None),
    ]
