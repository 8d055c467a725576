"""A journal on a disk in memory, damaged in one place; a hub that recovers it, and devices that say hello to it.

Either the devices still hold all that they sent, and send what is missing again; or they hold nothing of it, and it is
booked as lost. What was damaged is known byte by byte, so what has to be missing is known, too.
"""

import itertools
import random
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import trio
import trio.testing

from hub.followers.tally import Tally, touched
from hub.ingest.marks import Marks
from hub.ingest.reopening import reconsider
from hub.journal import Search, look_back, records_after
from hub.journal.archive import archive_path
from hub.journal.archiving import archive_segment
from hub.journal.recovery import survey
from hub.journal.segments import Damage, SegmentReader, segment_path, segments
from hub.ports import File
from hub.wire.kept import Birth, Entry, Kept
from hub.wire.messages import Batch, Row
from hub.wire.records import RecordError, is_birth, unpack_with
from tests.ingest.house import NOON, HandClock, House, framed, house
from tests.journal.driving import DIRECTORY
from tests.simulation.files import SimulatedFiles

DEVICES = 4
SEGMENT_BYTES = 22_000  # three segments in 64 KiB
NOTE = "door open; " * 20  # in most batches, so that there are few enough records to recover a thousand times
Key = tuple[str, int]  # device, seq


def in_virtual_time(function: Any, *arguments: Any) -> Any:
    """Run it to its end."""
    return trio.run(function, *arguments, clock=trio.testing.MockClock(autojump_threshold=0))


@dataclass
class Where:
    """A record: bytes of its segment, and the batch that it is (null: none)."""

    segment: int
    start: int
    stop: int
    lsn: int
    batch: Key | None


@dataclass
class Sound:
    """A journal as it was written: its files, the batches that devices sent, and where each record stands."""

    contents: dict[Path, bytes] = field(default_factory=dict)
    sent: dict[str, list[tuple[Batch, bytes]]] = field(default_factory=dict)
    records: list[Where] = field(default_factory=list)

    def disk(self, damaged: dict[Path, bytes] | None = None) -> SimulatedFiles:
        """A disk with these files, some of them otherwise."""
        files = SimulatedFiles()
        files.make_directory(DIRECTORY)
        for path, content in (self.contents | (damaged or {})).items():
            file = files.open(path, create=True)
            file.append(content)
            file.sync()
        files.sync_directory(DIRECTORY)
        return files

    def hit(self, segment: int, start: int, stop: int) -> list[Where]:
        """The records that have some of these bytes of their segment."""
        return [each for each in self.records if each.segment == segment and each.start < stop and start < each.stop]

    @property
    def newest(self) -> Path:
        return max(self.contents)


def first_of(path: Path) -> int:
    """The first LSN of a segment."""
    return int(path.stem)


class Places(SegmentReader):
    """Notes where each record stands."""

    def __init__(self, file: File, first: int) -> None:
        super().__init__(file, first)
        self.places: dict[int, tuple[int, int]] = {}

    def _took(self, lsn: int, start: int, stop: int) -> None:
        super()._took(lsn, start, stop)
        self.places[lsn] = start, stop


def written(size: int, segment_bytes: int = SEGMENT_BYTES) -> Sound:
    """A journal of about so many bytes."""
    sound: Sound = in_virtual_time(_write, size, segment_bytes)
    return sound


async def _write(size: int, segment_bytes: int) -> Sound:
    sound, files = Sound(), SimulatedFiles()
    async with house(files, HandClock(), segment_bytes=segment_bytes) as hub:
        intakes = {f"device-{n}": hub.open(f"device-{n}").intake for n in range(DEVICES)}
        sound.sent = {name: [] for name in intakes}
        while hub.journal.statistics().bytes < size:
            for name, intake in intakes.items():
                count = len(sound.sent[name])
                batch = framed(
                    Row(count + 1, NOON, [float(count % 50), None, None, None, None, NOTE if count % 4 else None])
                )
                intake.keep(*batch)
                sound.sent[name].append(batch)
        await hub.journal.wait_durable(hub.journal.appended)
    entries = {entry.lsn: entry for entry in _entries(files)}
    for first in segments(DIRECTORY, files):
        reader = Places(files.open(segment_path(DIRECTORY, first)), first)
        while reader.read():
            pass
        for lsn, (start, stop) in reader.places.items():
            entry = entries[lsn]
            batch_of = (entry.birth.device, entry.seq) if isinstance(entry, Kept) else None
            sound.records.append(Where(first, start, stop, lsn, batch_of))
    sound.contents = {DIRECTORY / name: bytes(files.content(DIRECTORY / name)) for name in files.list(DIRECTORY)}
    return sound


def archived(sound: Sound) -> SimulatedFiles:
    """The same on a disk where all segments but the newest are archived."""
    files = sound.disk()
    firsts = segments(DIRECTORY, files)
    for first, following in itertools.pairwise(firsts):
        for _ in archive_segment(DIRECTORY, files, first, following):
            pass
        assert archive_path(DIRECTORY, first).name in files.list(DIRECTORY)
    return files


def _entries(files: SimulatedFiles) -> list[Entry]:
    """All that can be read, as every reader reads it."""
    births: dict[int, Birth] = {}
    search = Search(DIRECTORY, files, is_birth)
    found: list[Entry] = []
    for lsn, payload in records_after(DIRECTORY, files, 0):
        try:
            found.append(unpack_with(lsn, payload, births, search.find))
        except RecordError:
            continue
    return found


@dataclass
class Outcome:
    """What became of it. ``damage``: as whoever reads all of it finds it, before anything is mended; ``missing``:
    batches that were not there; ``lost``: booked as lost; ``again``: sent again."""

    damage: list[Damage]
    missing: set[Key] = field(default_factory=set)
    again: set[Key] = field(default_factory=set)
    lost: set[Key] = field(default_factory=set)
    gone: int = 0  # batches that are neither here nor booked in the end
    doubled: int = 0


def recovered(sound: Sound, files: SimulatedFiles, holding: bool) -> Outcome:
    """A hub starts on this disk, whose store has nothing yet; each device says hello, ``holding`` all it sent."""
    outcome: Outcome = in_virtual_time(_recover, sound, files, holding)
    return outcome


async def _recover(sound: Sound, files: SimulatedFiles, holding: bool) -> Outcome:
    firsts = segments(DIRECTORY, files)
    surveys = [survey(DIRECTORY, files, *each) for each in zip(firsts, [*firsts[1:], None], strict=True)]
    outcome = Outcome([one for each in surveys for one in each.damage])
    async with house(files, HandClock()) as hub:
        older = look_back(DIRECTORY, files, 0)
        if older is not None:
            shown = Marks()
            shown.recover(older)
            reconsider(hub.marks, shown)
            hub.journal.noticed(older.damage)
        for device, batches in sound.sent.items():
            _say_hello(hub, outcome, device, batches, holding)
        await hub.journal.wait_durable(hub.journal.appended)
    _book(sound, files, outcome)
    return outcome


def _say_hello(hub: House, outcome: Outcome, device: str, batches: list[tuple[Batch, bytes]], holding: bool) -> None:
    end = len(batches)
    acked, first = (0, 1) if holding else (end, end + 1)
    before = hub.journal.appended
    opening = hub.open(device, epoch=1, acked=acked, first=first, next=end + 1)
    assert opening.welcome.epoch == 1, "no fresh epoch: nobody was rewound"
    here = set(range(1, opening.welcome.through + 1))
    for low, high in opening.welcome.held:
        here |= set(range(low, high + 1))
    for seq in range(1, end + 1):
        if holding and seq not in here:
            outcome.missing.add((device, seq))
            opening.intake.keep(*batches[seq - 1])
            outcome.again.add((device, seq))
    assert holding or opening.welcome.through == end
    assert hub.journal.appended >= before


def _book(sound: Sound, files: SimulatedFiles, outcome: Outcome) -> None:
    """Read everything, and account for it as the ledger does."""
    entries = _entries(files)
    tally, seen = Tally(), Counter[Key]()
    tally.bring(touched(entries), {})
    tally.book(entries)
    for entry in entries:
        if isinstance(entry, Kept):
            seen[entry.birth.device, entry.seq] += 1
    outcome.doubled = seen.total() - len(seen)
    for device, batches in sound.sent.items():
        row = tally.rows[device, 1]
        outcome.lost |= {(device, seq) for low, high in row.lost for seq in range(low, high + 1)}
        every = {(device, seq) for seq in range(1, len(batches) + 1)}
        outcome.gone += len(every - seen.keys() - outcome.lost)
    outcome.missing |= outcome.lost


def flipped(content: bytes, at: int) -> bytes:
    """One bit of the byte there; which one, the place decides."""
    return content[:at] + bytes([content[at] ^ 1 << at // 64 % 8]) + content[at + 1 :]


def garbage(sound: Sound, size: int, chance: random.Random) -> bytes:
    """What a disk may have behind a journal: noise, zeros, or an older piece of it."""
    content = sound.contents[sound.newest]
    match chance.randrange(3):
        case 0:
            return chance.randbytes(size)
        case 1:
            return bytes(size)
        case _:
            start = chance.randrange(max(1, len(content) - size))
            return content[start : start + size]
