"""Where telemetry enters: every hello and every batch becomes records here, and nowhere else."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Final
from weakref import WeakValueDictionary

from hub.ingest.credit import Credit
from hub.ingest.intake import Intake, Superseded
from hub.ingest.marks import Marks
from hub.ingest.numbering import DeviceMarks, Numbering
from hub.ingest.opening import DROPPED, LOST, Plan, plan
from hub.ingest.trust import BUILT, Trust
from hub.ingest.verdict import Judge, check_birth
from hub.journal import Journal
from hub.model.model import Model
from hub.ports import Clock
from hub.wire.errors import CloseCode, RemoteProtocolError
from hub.wire.kept import Birth, Born, ClockConfirmed, EpochGiven, Expired, Gap, Marked, Removed, Retried, Verdict
from hub.wire.messages import MAX_FRAME, Declared, Dropped, Hello, Welcome, Window
from hub.wire.records import pack_born, pack_clock, pack_epoch, pack_expired, pack_gap, pack_removed, pack_retried

FOR_EVER: Final = 2**62  # us
ONE_FRAME: Final = Window(1, MAX_FRAME)  # what a full disk leaves of a window, until the ack of it grants the rest
ITSELF: Final = "hub"  # who says what the clock says when nobody was asked


@dataclass
class Opening:
    """A hello that was let in. Send ``welcome`` once the journal is durable up to ``lsn`` (P2)."""

    welcome: Welcome
    lsn: int
    intake: Intake
    untold: tuple[tuple[int, int], ...] = ()  # ranges that are here above ``welcome.held``, which has no room for them


@dataclass(frozen=True)
class IngestStatistics:
    """Counters since the start; readings of ``frames`` kept batches."""

    devices: int
    links: int
    granted: int  # bytes of credit
    frames: int
    duplicates: int
    conflicts: int
    readings: int
    accepted: int
    rejected: int


@dataclass(slots=True)
class _Standing:
    """The birth of a device, and the segment that has it."""

    birth: Birth
    segment: int


class Ingest:
    """The one writer of the journal. All of it is synchronous: what is asked of the marks is true when it appends."""

    def __init__(
        self,
        journal: Journal,
        marks: Marks,
        clock: Clock,
        credit: Credit,
        log: str,
        models: Callable[[str], Model | None],
        *,
        idle: float = 50.0,
        kept_for: int = FOR_EVER,
    ) -> None:
        """``kept_for``: us; readings that are older have expired when they come, and are rejected."""
        self.journal = journal
        self.marks = marks
        self.trust = Trust(marks, clock)
        self.clock = clock
        self.credit = credit
        self.kept_for = kept_for
        self.duplicates = self.frames = self.readings = self.rejected = self.conflicts = 0
        self._log = log
        self._models = models
        self._idle = idle
        self._unset = False  # the clock said since the start what no clock that is set says
        self._births: dict[str, _Standing] = {}
        #: Those that links use: a device may say hello with other metrics as often as it likes.
        self._judges: WeakValueDictionary[tuple[str, tuple[Declared, ...]], Judge] = WeakValueDictionary()

    @property
    def accepted(self) -> int:
        """Readings accepted since the start."""
        return self.readings - self.rejected

    # --- opening a link -------------------------------------------------------------------------------------------

    def open(self, device: str, hello: Hello) -> Opening:
        """Make the link that said hello the device's current one, and decide on its numbers (P1, P2, P4, P5).

        RemoteProtocolError: MODEL_REFUSED, OVERLOAD (no credit left, or a record is needed and the disk is full),
        PROTOCOL (numbers that contradict each other). Then nothing has changed.
        """
        model = self._models(hello.model)
        check_birth(model, hello)
        assert model is not None
        marks = self.marks.of(device)
        todo = plan(hello, marks, self._log)
        standing = self._births.get(device)
        if standing is not None and not _same(standing.birth, hello):
            standing = None
        if self.journal.stalled and (todo.fresh or todo.missing or standing is None):
            raise RemoteProtocolError(CloseCode.OVERLOAD, "the hub's disk is full: come back later")
        self.credit.durable(self.journal.durable)
        window = self.credit.grant()
        try:
            numbering = self._number(device, marks, hello, todo)
            birth = standing.birth if standing is not None else self._born(device, hello)
        except BaseException:
            self.credit.release(window)
            raise
        now = self.clock.now()
        marks.generation += 1
        uptime_base = None if hello.uptime is None else now - hello.uptime
        intake = Intake(self, marks, numbering, birth, self._judge(model, hello), window, uptime_base)
        granted = ONE_FRAME if self.journal.stalled else window
        welcome = Welcome(
            numbering.epoch, todo.through, todo.held, granted, MAX_FRAME, self._idle, now, self._log
        )  # fmt: skip
        return Opening(welcome, marks.lsn, intake, todo.untold)

    def _number(self, device: str, marks: DeviceMarks, hello: Hello, todo: Plan) -> Numbering:
        """Record what ``todo`` says; the numbering that the device goes on in."""
        for missing in todo.missing:
            text = LOST if missing.lost else DROPPED
            assert hello.epoch is not None
            dropped = Dropped(missing.first, missing.last, None, text)
            self.gap(device, hello.epoch, dropped, lost=missing.lost)
        if todo.fresh is not None:
            named = hello.epoch if hello.epoch is not None and hello.log == self._log else 0
            epoch = max(marks.highest_epoch, named) + 1
            self._room()
            given = EpochGiven(
                self.journal.appended + 1, device, epoch, todo.from_epoch, todo.fresh, self.clock.now(), todo.next,
                todo.double,
            )  # fmt: skip
            self.journal.append(pack_epoch(given), given)
            self.marks.apply(given)
            marks.lsn = given.lsn
        assert marks.current is not None
        return marks.current

    def _born(self, device: str, hello: Hello) -> Birth:
        """A birth that is not known yet: its id is the LSN of the record."""
        self._room()
        birth = Birth(self.journal.appended + 1, device, hello.model, hello.metrics, hello.software)
        self._append_birth(birth)
        return birth

    def _judge(self, model: Model, hello: Hello) -> Judge:
        """Devices that declare the same share a judge; a model that was read again makes a new one."""
        key = (hello.model, hello.metrics)
        known = self._judges.get(key)
        if known is None or known.model != model:
            known = self._judges[key] = Judge(model, hello)
        return known

    def models_changed(self) -> None:
        """The models were read again: links that are open are judged by them from now on. A birth that fits its model
        no more is judged as it was until its device says hello again, and is refused then."""
        for (name, _), judge in list(self._judges.items()):
            model = self._models(name)
            if model is not None and model != judge.model:
                with suppress(RemoteProtocolError):
                    judge.again(model)

    # --- what intakes use -----------------------------------------------------------------------------------------

    def roll(self) -> None:
        """Begin the next segment, with the marks as they are."""
        self.journal.roll(Marked)

    def stand(self, birth: Birth) -> None:
        """See to it that the birth stands in the segment (P9)."""
        if self._births[birth.device].segment != self.journal.segment or self._births[birth.device].birth is not birth:
            self._append_birth(birth)

    def gap(self, device: str, epoch: int, dropped: Dropped, *, lost: bool) -> None:
        """Record numbers that will never come."""
        self._room()
        lsn, received = self.journal.appended + 1, self.clock.now()
        gap = Gap(lsn, device, epoch, dropped, lost, received, 0)
        self.marks.apply(gap)
        marks = self.marks.of(device)
        numbering = marks.at(epoch)
        told = Gap(lsn, device, epoch, dropped, lost, received, 0 if numbering is None else numbering.prefix)
        self.journal.append(pack_gap(told), told)
        marks.lsn = lsn

    def expire(self, through: int, before: int, readings: Mapping[tuple[str, int], int]) -> int:
        """Record that all readings up to the record ``through`` have expired; the LSN. See ``Expired``."""
        self._room()
        told = tuple((device, epoch, count) for (device, epoch), count in sorted(readings.items()))
        expired = Expired(self.journal.appended + 1, through, before, self.clock.now(), told)
        self.marks.apply(expired)
        return self.journal.append(pack_expired(expired), expired)

    def release(self, make: Callable[[int], Retried | Removed]) -> int:
        """Record what leaves quarantine; ``make`` is given the LSN of its record, which is returned."""
        self._room()
        left = make(self.journal.appended + 1)
        payload = pack_retried(left) if isinstance(left, Retried) else pack_removed(left)
        self.marks.apply(left)
        return self.journal.append(payload, left)

    def confirm_clock(self, by: str) -> int:
        """Record that the clock is right, and trust it from now on; the LSN."""
        self._room()
        confirmed = ClockConfirmed(self.journal.appended + 1, by, self.clock.now())
        self.marks.apply(confirmed)
        return self.journal.append(pack_clock(confirmed), confirmed)

    def note_clock(self) -> None:
        """Have a record say what the clock says, where none has for a day: a hub without devices that goes on for weeks
        would seem to have leapt ahead. Also after a leap that costs nothing, since nothing expires, or that is none,
        since the clock was never set before. Call it now and then."""
        now = self.clock.now()
        self._unset = self._unset or now < BUILT
        if self.journal.stalled or now < BUILT:
            return
        first = self._unset and self.marks.newest < BUILT
        if self.trust.unsaid(now) or (self.trust.ahead(now) and (first or self.kept_for == FOR_EVER)):
            self.confirm_clock(ITSELF)
        self._unset = False

    def count(self, verdict: Verdict, numbering: Numbering, received: int, batches: int = 1) -> None:
        """So many batches were kept, each with this verdict."""
        readings = verdict[0] * batches
        self.frames += batches
        self.readings += readings
        numbering.readings += readings
        if verdict[1]:
            rejected = verdict.rejected * batches
            self.rejected += rejected
            numbering.rejected += rejected
        if received > self.marks.newest:
            self.marks.saw(received)

    def statistics(self) -> IngestStatistics:
        """How things stand."""
        self.credit.durable(self.journal.durable)
        return IngestStatistics(
            len(self.marks), self.credit.links, self.credit.granted, self.frames, self.duplicates,
            self.conflicts, self.readings, self.accepted, self.rejected,
        )  # fmt: skip

    def _append_birth(self, birth: Birth) -> None:
        born = Born(self.journal.appended + 1, birth)
        self.journal.append(pack_born(birth), born)
        self._births[birth.device] = _Standing(birth, self.journal.segment)
        self.marks.of(birth.device).lsn = born.lsn

    def _room(self) -> None:
        if self.journal.full:
            self.roll()


def _same(birth: Birth, hello: Hello) -> bool:
    return (birth.model, birth.metrics, birth.software) == (hello.model, hello.metrics, hello.software)


__all__ = ["Ingest", "IngestStatistics", "Intake", "Opening", "Superseded"]
