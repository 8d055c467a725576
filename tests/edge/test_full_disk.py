"""A full disk as devices meet it: who needs a record is sent away and comes back; who dials again and again does not
fill the memory."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import trio
from trio.testing import MockClock

from devices.device import Device
from devices.link import Linkage
from devices.report import Figures
from devices.spool import MemorySpool, Numbered
from hub.client.errors import SocketClosed
from hub.ingest.credit import LEAST_BATCHES, Credit, cost
from hub.ports import SystemClock, SystemRandomness
from hub.wire.codec import decode_hub, encode
from hub.wire.errors import CloseCode
from hub.wire.messages import MAX_FRAME, Ack, Columns, Goaway, Hello, Regular, Row, Welcome, Window
from hub.wire.session import DeviceSession
from tests.devices.conftest import Counting
from tests.edge.house import METRICS, House, Tank, house, tank
from tests.simulation.files import SimulatedFiles

pytestmark = pytest.mark.trio

LINKS = 3
TANKS = 10
ROUNDS = 4
RECORDS = 40_000  # bytes of births, marks and headers, which no credit counts


def fill(files: SimulatedFiles) -> None:
    """Nothing more can be written from now on."""
    files.capacity = files.used()


class Wanderer:
    """A device that dials, sends what its window allows, and leaves without waiting for an ack."""

    def __init__(self, token: str) -> None:
        self.token = token
        self.session = DeviceSession()
        self.sent: list[int] = []

    async def stay(self, hub: House) -> bool:
        """Whether it was welcomed; it leaves with its window spent."""
        before = self.session
        self.session = DeviceSession(before.epoch, before.log, before.through, 1, before.next)
        try:
            async with tank(hub, self.token, self.session) as device:
                while await self._send(device):
                    pass
                await trio.sleep(0.5)  # the hub has read all of it
        except (SocketClosed, AssertionError):  # sent away
            return False
        return True

    async def _send(self, device: Tank) -> bool:
        seq = self.session.expected
        values = np.full(3_900, float(seq))
        frame = encode(Columns(seq, Regular(SystemClock().now(), 1, len(values)), [(1, values)]))
        if not self.session.may_send(len(frame)):
            return False
        self.session.next = max(self.session.next, seq + 1)
        self.session.sent(seq, len(frame))
        await device.socket.send(frame)
        self.sent.append(seq)
        return True


async def test_full_disk_what_a_link_that_left_had_sent_counts_until_it_is_durable(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    files, credit = SimulatedFiles(), Credit(0, LINKS)
    budget = LINKS * cost(Window(LEAST_BATCHES, MAX_FRAME))
    async with house(tmp_path, files=files, credit=credit, ahead_bytes=0) as hub:
        wanderers = [Wanderer(await hub.token(f"tank-{number}")) for number in range(TANKS)]
        for wanderer in wanderers:  # their births and epochs are here
            async with tank(hub, wanderer.token, wanderer.session):
                pass
        await trio.sleep(1)
        fill(files)
        came = refused = 0
        for _ in range(ROUNDS):
            for wanderer in wanderers:
                welcomed = await wanderer.stay(hub)
                came, refused = came + welcomed, refused + (not welcomed)
                assert hub.journal.statistics().pending <= budget + RECORDS, "what waits in memory is within the budget"
                assert credit.granted <= budget
        assert hub.journal.stalled
        assert came >= LINKS
        assert refused > TANKS, "the budget is spent: until there is space, nobody gets any"
        files.capacity = None
        await trio.sleep(2)
        assert hub.journal.durable == hub.journal.appended
        assert hub.ingest.statistics().granted == 0
        assert hub.ingest.statistics().links == 0
        assert len(hub.kept) == sum(len(set(wanderer.sent)) for wanderer in wanderers), "nothing was lost meanwhile"
        assert await wanderers[-1].stay(hub)


async def test_full_disk_a_hello_that_needs_a_record_gets_goaway_and_1013(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    files = SimulatedFiles()
    async with house(tmp_path, files=files, ahead_bytes=0) as hub, tank(hub, await hub.token("tank-0")) as known:
        fill(files)
        await known.socket.send(known.row())
        await trio.sleep(1)
        assert hub.journal.stalled
        appended = hub.journal.appended
        stranger = Hello("tank", None, None, 0, 1, 1, METRICS, None, None, "test", None)
        async with hub.socket(await hub.token("tank-1")) as socket:
            await socket.send(encode(stranger))
            told = decode_hub(await socket.receive())
            assert isinstance(told, Goaway)
            assert told.retry_after > 0
            assert "disk is full" in told.reason
            with pytest.raises(SocketClosed) as closed:
                await socket.receive()
            assert closed.value.code == CloseCode.OVERLOAD
        assert hub.journal.appended == appended, "nothing more waits in memory"
        assert hub.edge.statistics()["devices"] == 1, "the link that was welcomed lives"
        files.capacity = None
        await known.acked()
        async with hub.socket(await hub.token("tank-1")) as socket:
            await socket.send(encode(stranger))
            assert isinstance(decode_hub(await socket.receive()), Welcome)


async def test_full_disk_who_dials_anew_is_granted_one_frame_until_that_is_acked(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    files = SimulatedFiles()
    async with house(tmp_path, files=files, ahead_bytes=0) as hub:
        token, before = await hub.token("tank-0"), DeviceSession()
        async with tank(hub, token, before) as device:
            await device.rows(3)
        async with tank(hub, await hub.token("tank-1")) as other:
            fill(files)
            await other.socket.send(other.row())
            await trio.sleep(1)
            assert hub.journal.stalled
            session = DeviceSession(before.epoch, before.log, before.through, before.next, before.next)
            async with tank(hub, token, session) as device:
                assert device.welcome is not None
                assert device.welcome.window == Window(1, MAX_FRAME)
                await device.socket.send(device.row())
                assert not session.may_send(1)
                files.capacity = None
                ack = await device.hear()
                assert isinstance(ack, Ack)
                assert ack.through == 4
                assert ack.window.batches >= LEAST_BATCHES


class Level(Counting):
    """Measures the test's tank."""

    model = "tank"
    metrics = METRICS

    async def sample(self, time: int) -> Sequence[Numbered]:
        self.count += 1
        return [Row(0, time, [1.0, float(self.count)])]


async def test_full_disk_a_device_that_was_sent_away_comes_back_by_itself(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    files = SimulatedFiles()
    async with house(tmp_path, files=files, ahead_bytes=0) as hub, tank(hub, await hub.token("tank-0")) as known:
        fill(files)
        await known.socket.send(known.row())
        await trio.sleep(1)
        device = Device("tank-1", Level(), MemorySpool(), SystemClock(), Figures())
        linkage = Linkage(device, hub.target(await hub.token("tank-1")), hub.streams, SystemRandomness())
        async with trio.open_nursery() as nursery:
            for part in (device.desk.serve, linkage.keep, device.measure):
                nursery.start_soon(part)
            await trio.sleep(300)
            assert not device.linked
            assert "1013" in (linkage.trouble or "")
            files.capacity = None
            with trio.fail_after(120):
                while sum(kept.birth.device == "tank-1" for kept in hub.kept) < 300:  # noqa: ASYNC110
                    await trio.sleep(0.5)
            nursery.cancel_scope.cancel()
    seqs = [kept.seq for kept in hub.kept if kept.birth.device == "tank-1"]
    assert seqs == list(range(1, len(seqs) + 1)), "what it measured meanwhile came too, once"
