"""Quarantine's verbs. One change at a time, each a record: whatever leaves quarantine leaves it once.

A change begins when the account has booked all that was recorded before, so that what it reads is what there is; it is
answered when account and store have booked it. Killed in between, it has happened up to the last durable record.
"""

from itertools import groupby
from typing import Final

import trio

from hub.control.tokens import Principal
from hub.edge.arguments import Arguments, Refused
from hub.edge.rooms import Rooms
from hub.ingest.again import judge_again
from hub.state import Deed, Rejected, StateError, Which
from hub.wire import kept
from hub.wire.messages import TIME_UNKNOWN, Declared
from hub.wire.shapes import QuarantineDropped, QuarantineEntry, QuarantineGroup, QuarantineRetried

LISTED: Final = 1_000  # when the operator names no limit
MOST: Final = 10_000  # in one answer
AT_ONCE: Final = 5_000  # readings that one call retries or drops: about a tenth of a second
IN_RECORD: Final = 1_000  # readings: about 100 KB
IDS: Final = 300  # named in one call; SQLite bounds what a statement binds
MOST_INTEGER: Final = 2**63 - 1  # that SQLite takes
FILTERS: Final = ("devices", "metric", "reason", "since", "until", "ids")


class QuarantineCalls:
    """Answers the verbs."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms
        self._changing = trio.Lock()
        self.verbs = {
            "quarantine.list": self._list, "quarantine.show": self._show, "quarantine.retry": self._retry,
            "quarantine.drop": self._drop,
        }  # fmt: skip

    async def _list(self, args: Arguments, _who: Principal) -> list[QuarantineGroup]:
        args.only(*FILTERS, "limit")
        desk, which, limit = self._rooms.quarantine, self._which(args), args.number("limit", LISTED, 1, MOST)
        return [
            QuarantineGroup(device=device, metric=metric, reason=code, readings=readings, first_at=first, last_at=last,
                            text=text)
            for device, metric, code, readings, first, last, text in await desk.worker.run(
                desk.state.quarantine.groups, which, limit)
        ]  # fmt: skip

    async def _show(self, args: Arguments, _who: Principal) -> list[QuarantineEntry]:
        args.only(*FILTERS, "limit")
        desk, which, limit = self._rooms.quarantine, self._which(args), args.number("limit", LISTED, 1, MOST)
        return [_entry(each) for _, each in await desk.worker.run(desk.state.quarantine.find, which, limit)]

    async def _retry(self, args: Arguments, who: Principal) -> QuarantineRetried:
        args.only(*FILTERS, "after")
        told = QuarantineRetried(stored=0, kept={}, why={}, more=False, after=0)
        async with self._changing:
            found, told["after"], told["more"] = await self._found(args)
            good: list[tuple[Rejected, kept.Freed]] = []
            for each in found:
                model, declared = self._rooms.models.get(each.model), Declared(each.metric, each.unit, each.type)
                metric, fault = judge_again(model, declared, each.code, each.value)
                if fault is None:
                    time = each.received + each.row if each.quality == TIME_UNKNOWN else each.time
                    assert time is not None  # what has none was rejected for that
                    good.append((each, kept.Freed(each.row, metric, each.code, time, each.value)))
                else:
                    told["kept"][fault.code] = told["kept"].get(fault.code, 0) + 1
                    told["why"].setdefault(fault.code, fault.text)
            told["stored"] = len(good)
            for _, batch in groupby(good, key=lambda pair: pair[0].lsn):
                pairs = list(batch)
                for at in range(0, len(pairs), IN_RECORD):
                    self._retried(pairs[at : at + IN_RECORD], who.subject)
            await self._recorded("quarantine.retry", who.subject, len(good))
        return told

    async def _drop(self, args: Arguments, who: Principal) -> QuarantineDropped:
        args.only(*FILTERS, "after")
        async with self._changing:
            found, after, more = await self._found(args)
            for _, batch in groupby(found, key=lambda each: each.lsn):
                entries = list(batch)
                for at in range(0, len(entries), IN_RECORD):
                    self._removed(entries[at : at + IN_RECORD], who.subject)
            await self._recorded("quarantine.drop", who.subject, len(found))
        return QuarantineDropped(removed=len(found), more=more, after=after)

    # --- inside ----------------------------------------------------------------------------------------------------

    async def _found(self, args: Arguments) -> tuple[list[Rejected], int, bool]:
        """What there is to change, after what was changed before; the id of the last of it; whether there is more."""
        rooms, desk = self._rooms, self._rooms.quarantine
        which, after = self._which(args), args.number("after", 0, 0, 1 << 62)
        if rooms.journal.stalled:
            raise Refused("overload", "the hub's disk is full: nothing can be recorded until there is space")
        await self._booked(rooms.journal.appended)
        found = await desk.worker.run(desk.state.quarantine.after, which, after, AT_ONCE + 1)
        more, found = len(found) > AT_ONCE, found[:AT_ONCE]
        return [each for _, each in found], found[-1][0] if found else after, more

    def _retried(self, pairs: list[tuple[Rejected, kept.Freed]], by: str) -> None:
        batch, now = pairs[0][0], self._rooms.clock.now()
        freed = tuple(reading for _, reading in pairs)
        self._rooms.ingest.release(
            lambda lsn: kept.Retried(
                lsn, batch.device, batch.model, batch.epoch, batch.seq, batch.received, batch.rows_before,
                batch.quality, batch.lsn, by, now, freed,
            )
        )  # fmt: skip

    def _removed(self, entries: list[Rejected], by: str) -> None:
        batch, now = entries[0], self._rooms.clock.now()
        spots = tuple(kept.Refused(each.row, each.metric, each.code) for each in entries)
        self._rooms.ingest.release(
            lambda lsn: kept.Removed(lsn, batch.device, batch.epoch, batch.lsn, by, now, spots, batch.seq)
        )

    async def _recorded(self, action: str, by: str, readings: int) -> None:
        if not readings:
            return
        desk, now = self._rooms.quarantine, self._rooms.clock.now()
        await self._booked(self._rooms.journal.appended)
        await desk.worker.run(desk.state.audit.add, Deed(now, by, action, "", f"{readings} readings"))

    async def _booked(self, lsn: int) -> None:
        try:
            await self._rooms.quarantine.booked(lsn)
        except StateError as error:
            raise Refused("overload", str(error)) from None

    def _which(self, args: Arguments) -> Which:
        globs = args.texts("devices")
        devices = self._rooms.registry.resolve(globs, {}) if globs else None
        ids = args.texts("ids")
        if len(ids) > IDS:
            raise Refused("bad_request", f"{args.verb}: at most {IDS} ids at once")
        return Which(
            devices, args.optional_text("metric"), args.optional_text("reason"), args.optional_number("since"),
            args.optional_number("until"), [_spot(each, args.verb) for each in ids],
        )  # fmt: skip


def _spot(id: str, verb: str) -> tuple[int, int, str]:
    try:
        lsn, row, metric = id.split(":", 2)
        spot = int(lsn), int(row), metric
        if not (0 <= spot[0] <= MOST_INTEGER and 0 <= spot[1] <= MOST_INTEGER):
            raise ValueError
        return spot
    except ValueError:
        raise Refused("bad_request", f"{verb}: {id[:80]!r} is no id; copy one of quarantine.show") from None


def _entry(each: Rejected) -> QuarantineEntry:
    return QuarantineEntry(
        id=f"{each.lsn}:{each.row}:{each.metric}", device=each.device, epoch=each.epoch, seq=each.seq, row=each.row,
        metric=each.metric, unit=each.unit, type=each.type, time=each.time, at=each.received, reason=each.code,
        text=each.text, value=each.value,
    )  # fmt: skip
