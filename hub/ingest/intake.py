"""One link's door to the journal: is it new, what is to be said of it, append; all in one step (P5)."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from hub.ingest.credit import NOTHING
from hub.ingest.numbering import DeviceMarks, Numbering
from hub.ingest.times import AHEAD, EARLIEST, Now
from hub.ingest.verdict import Judge, rewound
from hub.wire.errors import CloseCode, RemoteProtocolError
from hub.wire.fixed_rows import RowRun
from hub.wire.kept import Birth, Kept
from hub.wire.messages import Batch, Dropped, Row, Window
from hub.wire.records import pack_kept, pack_kept_run

if TYPE_CHECKING:
    from hub.ingest.ingest import Ingest

_new: Final = tuple.__new__  # makes a named tuple in half the time; the hot path only


class Superseded(Exception):
    """Another link of the device is the current one: this one has no say any more."""


class Intake:
    """See the module. ``window``: what to grant in the next ack."""

    def __init__(
        self,
        ingest: "Ingest",
        marks: DeviceMarks,
        numbering: Numbering,
        birth: Birth,
        judge: Judge,
        window: Window,
        uptime_base: int | None,
    ) -> None:
        self.device = birth.device
        self.epoch = numbering.epoch
        self.birth = birth
        self.window = window
        self._ingest = ingest
        self._journal = ingest.journal
        self._now = ingest.clock.now
        self._marks = marks
        self._numbering = numbering
        self._judge = judge
        self._quick = judge.quick
        self._uptime_base = uptime_base
        self._generation = marks.generation
        self._segment = 0  # that the birth is known to stand in
        self._closed = False

    def keep(self, batch: Batch, frame: bytes) -> Kept:
        """Give the verdict on a batch and append it. Raises Superseded when another link has taken over,
        RemoteProtocolError (SEQ_JUMP) when its seq is not the one that is missing next, JournalFailed."""
        numbering, journal, ingest = self._numbering, self._journal, self._ingest
        seq: int = batch.seq  # type: ignore[assignment]  # only progress comes without, and is no batch
        if self._marks.generation != self._generation:
            raise self._superseded()
        if seq != numbering.prefix + 1:
            raise self._jump(seq)
        if journal.full:
            ingest.roll()
        if journal.segment != self._segment:
            ingest.stand(self.birth)
            self._segment = journal.segment
        received = self._now()
        verdict, base, rows = None, 0, 1
        if (
            type(batch) is Row
            and batch.time is not None
            and EARLIEST <= batch.time <= received + AHEAD
            and batch.time >= received - ingest.kept_for
            and numbering.double < seq
        ):
            verdict = self._quick(batch.values)
        if verdict is None:
            trust = ingest.trust
            oldest = trust.believed(received) - ingest.kept_for
            verdict, base, rows = self._judge.judge(
                batch, Now(received, self._uptime_base, trust.behind(received) == 0, oldest)
            )
            if seq <= numbering.double:
                verdict = rewound(verdict)
        before = numbering.rows
        lsn = journal.appended + 1
        through = seq if not numbering.held else numbering.held.next_free(seq + 1) - 1
        kept: Kept = _new(
            Kept,
            (lsn, self.birth, self.epoch, seq, received, base, before, verdict, batch, len(frame), through),
        )
        birth_id = self.birth.id
        journal.append(pack_kept(birth_id, self.epoch, seq, received, base, before, verdict, frame), kept)
        numbering.prefix = seq
        if through != seq:
            numbering.absorb()
        numbering.rows = before + rows
        numbering.check(seq, frame)
        self._marks.lsn = lsn
        ingest.count(verdict, numbering, received)
        return kept

    def keep_run(self, run: RowRun, frames: Sequence[bytes], admit: Callable[[int, int, int], bool]) -> bool:
        """``keep`` for rows that follow each other, in one step. ``admit`` (seq, count, size) takes them into the
        session. False, and nothing has changed, when not all of them are new, timely and clean."""
        numbering, journal, ingest = self._numbering, self._journal, self._ingest
        seq, count, received = run.seq, len(frames), self._now()
        if (
            self._marks.generation != self._generation
            or seq != numbering.prefix + 1
            or numbering.held
            or numbering.double >= seq
            or run.times.min() < max(EARLIEST, received - ingest.kept_for)
            or run.times.max() > received + AHEAD
        ):
            return False
        verdict = self._judge.quick_run(run.values)
        if verdict is None or not admit(seq, count, run.size):
            return False
        if journal.full:
            ingest.roll()
        if journal.segment != self._segment:
            ingest.stand(self.birth)
            self._segment = journal.segment
        before, lsn, birth, epoch, size = numbering.rows, journal.appended + 1, self.birth, self.epoch, run.size
        kept = [
            _new(
                Kept, (lsn + at, birth, epoch, seq + at, received, 0, before + at, verdict, row, size, seq + at)
            )
            for at, row in enumerate(run.rows())
        ]  # fmt: skip
        journal.append_run(pack_kept_run(birth.id, epoch, seq, received, before, verdict, frames), kept)
        numbering.prefix = seq + count - 1
        numbering.rows = before + count
        numbering.check_run(seq, frames)
        self._marks.lsn = journal.appended
        ingest.count(verdict, numbering, received, count)
        return True

    def duplicate(self, seq: int, frame: bytes) -> None:
        """A seq that was settled when the link opened came again. RemoteProtocolError (SEQ_CONFLICT) when what came
        then was certainly something else: such a device has two lives, and needs a fresh epoch."""
        if self._numbering.differs(seq, frame):
            self._ingest.conflicts += 1
            text = f"seq {seq} of epoch {self.epoch} came before with other content: say hello without an epoch"
            raise RemoteProtocolError(CloseCode.SEQ_CONFLICT, text)
        self._ingest.duplicates += 1

    def gap(self, dropped: Dropped) -> None:
        """Record numbers that will never come, less what is here (P4). Raises as ``keep`` does, and OVERLOAD when the
        epoch has had so many that the device is to come back for a fresh one."""
        if self._marks.generation != self._generation:
            raise self._superseded()
        numbering = self._numbering
        if dropped.first > numbering.prefix + 1:
            raise self._jump(dropped.first)
        if numbering.crowded:
            raise RemoteProtocolError(CloseCode.OVERLOAD, f"epoch {self.epoch} has too many gaps: say hello again")
        here, first = numbering.held, max(dropped.first, numbering.prefix + 1)
        whole = [(dropped.first, dropped.last)]
        missing = here.missing(first, dropped.last).pairs()
        for first, last in missing:
            readings = dropped.readings if missing == whole else None  # how they are spread, nobody can tell
            self._ingest.gap(self.device, self.epoch, Dropped(first, last, readings, dropped.reason), lost=False)

    def close(self, sent: Window = NOTHING) -> None:
        """The link is gone: give the credit back, but for what it had ``sent`` that may not be durable yet."""
        if not self._closed:
            self._closed = True
            credit, lsn, durable = self._ingest.credit, self._marks.lsn, self._journal.durable
            credit.durable(durable)
            credit.release(self.window, lsn, sent if lsn > durable else NOTHING)

    def _superseded(self) -> Superseded:
        return Superseded(f"another link of {self.device} has taken over")

    def _jump(self, seq: int) -> RemoteProtocolError:
        expected = self._numbering.prefix + 1
        return RemoteProtocolError(CloseCode.SEQ_JUMP, f"expected seq {expected}, not seq {seq}")
