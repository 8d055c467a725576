"""A random history: devices, followers that lag, what leaves quarantine, restarts, and records that are damaged."""

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from hub.followers.account import AccountFollower
from hub.followers.tally import Key
from hub.ingest.ingest import Opening
from hub.journal import records_after
from hub.journal.search import Search
from hub.journal.segments import segments
from hub.state import Rejected
from hub.store.memory import MemoryStore
from hub.upkeep.remains import entries_after
from hub.wire.kept import Birth, Born, Entry, Freed, Kept, Refused, Removed, Retried
from hub.wire.messages import Declared, Dropped, Event, Malformed, Row
from hub.wire.ranges import Ranges
from hub.wire.records import RecordError, is_birth, unpack_with
from tests.ingest.house import NOON, House, framed
from tests.journal.driving import DIRECTORY
from tests.upkeep.machine import Machine
from tests.upkeep.parties import Device, Truth, numbered

BY: Final = "admin"
LOOKED_AT: Final = 5  # segments: the newest one and the four before it
STEPS: Final = {"batch": 10, "hole": 1, "hello": 1, "roll": 1, "account": 2, "store": 2, "leave": 3, "reboot": 0.3}
KINDS: Final = {"row": 10, "bad": 2, "event": 1, "malformed": 0.5}


class History:
    """What happens, all of it decided by ``seed``."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.chance = random.Random(seed)
        self.machine = Machine(folder, ahead_bytes=4096)
        self.truth = Truth()
        self.births = self.chance.random() < 0.3  # may be damaged, too
        names = [f"d{n}" for n in range(self.chance.choice([1, 1, 2, 3]))]
        self.devices = [Device(name, self.chance.random() < 0.6) for name in names]
        self._readings = 0
        self._halves: dict[int, set[type]] = {}  # by LSN of a batch: damaged, of it and what was dropped of it

    # --- lives of the hub

    async def live(self, steps: int) -> None:
        """Devices and followers do this and that."""
        self.begin()
        async with self.machine.hub() as hub:
            for _ in range(steps):
                await self._step(hub)
            await hub.journal.wait_durable(hub.journal.appended)
            self._ack(hub)

    async def wait(self) -> None:
        """No device comes."""
        self.begin()
        async with self.machine.hub() as hub:
            account, store = (self.chance.choice([0, 0, 0.5, 1]) for _ in range(2))
            await self._follow(hub, account=account, store=store)
            await hub.journal.wait_durable(hub.journal.appended)

    def begin(self) -> None:
        """A start: all links are new, and what is damaged may be further back now."""
        for device in self.devices:
            device.opening = None
        edges = segments(DIRECTORY, self.machine.files)[-LOOKED_AT : -LOOKED_AT + 1]
        self.truth.far = self.truth.far or any(lsn < edge for lsn in self.truth.opened for edge in edges)

    async def come(self, hub: House, away: float) -> None:
        """Devices say hello, but for a share that stays away; followers come to the end."""
        for device in self.devices:
            if self.chance.random() >= away:
                await self._send(hub, device)
        await self._follow(hub, account=1, store=1)
        self._ack(hub)

    # --- steps

    async def _step(self, hub: House) -> None:
        chance = self.chance
        device = chance.choice(self.devices)
        match chance.choices(list(STEPS), list(STEPS.values()))[0]:
            case "batch":
                for _ in range(chance.choice([1, 1, 2, 3])):
                    self._make(device)
                await self._send(hub, device)
            case "hole":
                for _ in range(chance.choice([1, 2])):
                    device.items[device.next] = None
                    device.next += 1
                await self._send(hub, device)
            case "hello":
                device.opening = None
                await self._send(hub, device)
            case "roll":
                hub.ingest.roll()
                await hub.journal.wait_durable(hub.journal.appended)
            case "account":
                await self._follow(hub, account=chance.choice([1, 0.5]))
            case "store":
                await self._follow(hub, store=chance.choice([1, 0.5]))
            case "leave":
                await self._leave(hub)
            case "reboot" if device.epoch == 1:
                device.reboot()
                await self._send(hub, device)

    def _make(self, device: Device) -> None:
        """Its next batch. No value comes twice."""
        seq = device.next
        device.next += 1
        kind = self.chance.choices(list(KINDS), list(KINDS.values()))[0]
        if kind == "event":
            device.items[seq] = framed(Event(seq, NOON, "info", "x"))
        elif kind == "malformed":
            device.items[seq] = numbered(Malformed(seq, "bad"), seq)
        else:
            values = [self._value(at, kind == "bad") for at in range(3)]
            device.items[seq] = framed(Row(seq, NOON, values))

    def _value(self, at: int, bad: bool) -> float | int | None:
        """Of a metric: temperature, gust or count."""
        if at and self.chance.random() < 0.3:
            return None
        bad = bad or self.chance.random() < 0.25
        self._readings += 1
        n = self._readings
        return (-50 + n / 1024 + 150 * bad, n / 64 + 200 * bad, -n if bad else n)[at]

    async def _send(self, hub: House, device: Device) -> None:
        """All that the hub has not, in order."""
        opening = device.opening or self._hello(hub, device)
        here = Ranges([(1, opening.welcome.through), *opening.welcome.held])
        while device.at < device.next:
            seq, epoch = device.at, opening.welcome.epoch
            device.at += 1
            if seq in here:
                continue
            item = device.items[seq]
            if item is None:
                opening.intake.gap(Dropped(seq, seq, None, "full"))
            else:
                opening.intake.keep(*item)
            self.truth.sent[device.name, epoch, seq] = None if item is None else item[0]
        if self.chance.random() < 0.5:
            await hub.journal.wait_durable(hub.journal.appended)
            self._ack(hub)

    def _hello(self, hub: House, device: Device) -> Opening:
        first, acked = min(device.items, default=device.next), min(device.acked, device.next - 1)
        opening = hub.open(device.name, epoch=device.epoch, acked=acked, first=first, next=device.next)
        welcome = opening.welcome
        if device.epoch is not None and welcome.epoch != device.epoch:
            device.renumber(welcome.epoch, Ranges([(1, welcome.through), *welcome.held]))
            return self._hello(hub, device)
        if device.epoch is not None:
            device.acked = max(device.acked, welcome.through)
        device.epoch, device.at, device.opening = welcome.epoch, 1, opening
        return opening

    def _ack(self, hub: House) -> None:
        """What is durable is acked."""
        for device in self.devices:
            numbering = hub.marks.of(device.name).current
            if device.opening is None or numbering is None or hub.journal.durable < hub.journal.appended:
                continue
            device.acked = max(device.acked, min(numbering.prefix, device.next - 1))
            if not device.keeps:
                device.items = {seq: item for seq, item in device.items.items() if seq > device.acked}

    async def _follow(self, hub: House, account: float = 0, store: float = 0) -> None:
        """Each goes on by this share of what is before it."""
        await hub.journal.wait_durable(hub.journal.appended)
        entries, durable = list(entries_after(hub.journal, 0)), hub.journal.durable
        follower = AccountFollower(self.machine.state, self.machine.worker)
        after = await follower.start()
        if (to := after + int((durable - after) * account)) > after:
            await follower.take([entry for entry in entries if after < entry.lsn <= to], to)
        after = self.machine.store.open()
        if (to := after + int((durable - after) * store)) > after:
            self.machine.store.take([entry for entry in entries if after < entry.lsn <= to], to)

    async def _leave(self, hub: House) -> None:
        """Some of quarantine leaves it, as the verbs do it: once the account has booked all there is."""
        await self._follow(hub, account=1)
        there = [each for _, each in self.machine.state.quarantine.list()]
        if not there:
            return
        one = self.chance.choice(there)
        chosen = [each for each in there if each.lsn == one.lsn and (each is one or self.chance.random() < 0.5)]
        if one.row >= 0 and self.chance.random() < 0.5:
            self._retry(hub, chosen)
        else:
            spots = tuple(Refused(each.row, each.metric, each.code) for each in chosen)
            hub.ingest.release(lambda lsn: Removed(lsn, one.device, one.epoch, one.lsn, BY, NOON, spots, one.seq))

    def _retry(self, hub: House, chosen: Sequence[Rejected]) -> None:
        one = chosen[0]
        freed = tuple(
            Freed(each.row, Declared(each.metric, each.unit, each.type), each.code, each.time or 0, each.value)
            for each in chosen
        )
        hub.ingest.release(
            lambda lsn: Retried(
                lsn, one.device, one.model, one.epoch, one.seq, one.received, one.rows_before, one.quality, one.lsn,
                BY, NOON, freed,
            )
        )  # fmt: skip
        self.truth.retried.add((one.device, one.epoch, one.seq))

    # --- damage

    def damage(self) -> None:
        """One to three records, perhaps the journal's end, perhaps the store."""
        chance, machine = self.chance, self.machine
        before = self._on_disk()
        left = [entry for entry in before if self.births or not isinstance(entry, Born)]
        for entry in chance.sample(left, min(len(left), chance.choice([1, 1, 2, 3]))):
            machine.flip(entry.lsn)
        tail = [entry for entry in self._on_disk() if entry.lsn > segments(DIRECTORY, machine.files)[-1]][-4:]
        if tail and chance.random() < 0.1 and not any(isinstance(entry, Born) for entry in tail):
            machine.cut(chance.choice(tail).lsn)
        here = {entry.lsn for entry in self._on_disk()}
        for entry in before:
            if entry.lsn not in here:
                self._gone(entry)
        if chance.random() < 0.2:
            machine.store = MemoryStore()
        come_to = min(machine.store.open(), machine.state.cursors.get("account"))
        self.truth.opened |= set(range(come_to + 1, max(here, default=0))) - here

    def _gone(self, entry: Entry) -> None:
        """A record cannot be read any more: the limits that this meets."""
        truth = self.truth
        if isinstance(entry, Retried):
            truth.unsure.add((entry.device, entry.epoch))
            truth.unretried.add((entry.device, entry.epoch, entry.seq))
        elif isinstance(entry, Removed):
            self._half(entry.of, entry, (entry.device, entry.epoch))
        elif isinstance(entry, Kept):
            key = entry.birth.device, entry.epoch
            self._half(entry.lsn, entry, key)
            truth.hit.add(key)
            truth.vanished[*key, entry.seq] += 1
            if truth.vanished[*key, entry.seq] > 1:
                truth.unsure.add(key)
            if entry.lsn > self.machine.state.cursors.get("account"):
                truth.unbooked.add((*key, entry.seq))

    def _half(self, lsn: int, entry: Entry, key: Key) -> None:
        halves = self._halves.setdefault(lsn, set())
        halves.add(type(entry))
        if len(halves) == 2:
            self.truth.unsure.add(key)

    def _on_disk(self) -> list[Entry]:
        births: dict[int, Birth] = {}
        search = Search(DIRECTORY, self.machine.files, is_birth)
        found: list[Entry] = []
        for lsn, payload in records_after(DIRECTORY, self.machine.files, 0):
            try:
                found.append(unpack_with(lsn, payload, births, search.find))
            except RecordError:
                continue
        return found
