"""Who there is: devices, tokens and links. All of it in memory for reading; every change is written first."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from hub.control.backlog import Backlog, in_fresh_epoch
from hub.control.errors import RegistryRefused
from hub.control.known import Known
from hub.control.names import check_labels, check_name, matcher
from hub.control.outbox import DeviceOutbox
from hub.control.tokens import ROLES, Principal, TokenBook, make_token
from hub.control.write_behind import WriteBehind
from hub.ports import Clock, Randomness, Worker
from hub.state import Deed, DeviceRow, State
from hub.wire.errors import CloseCode
from hub.wire.kept import Birth
from hub.wire.messages import Declared
from hub.wire.ranges import Ranges
from hub.wire.shapes import DeviceInfo, Presence


class Registry:
    """Devices and tokens. Reading and presence are sync; what lasts is written through the worker before it holds."""

    def __init__(self, state: State, worker: Worker, clock: Clock, randomness: Randomness) -> None:
        self._state = state
        self._worker = worker
        self._clock = clock
        self._randomness = randomness
        self._devices: dict[str, Known] = {}
        self._tokens = TokenBook()
        self._behind = WriteBehind(state, worker)
        self.online = 0
        self.on_presence: list[Callable[[Presence], None]] = []

    async def load(self) -> None:
        """Read all; call it before anything else."""
        rows = await self._worker.run(self._state.devices.all)
        tokens = await self._worker.run(self._state.tokens.all)
        self._devices = {row.device: Known(row) for row in rows}
        self._tokens.load(tokens)

    async def run(self) -> None:
        """Write presence behind the links, in groups; never ends."""
        await self._behind.run(lambda: (known.row for known in self._devices.values() if known.outbox is not None))

    async def flush(self) -> None:
        """Write what is known of presence now; last thing before the state file is closed."""
        await self._behind.flush()

    # --- tokens ----------------------------------------------------------------------------------------------------

    def authenticate(self, token: str) -> Principal | None:
        """Whose token this is; ``None`` when it is nobody's (or was revoked or replaced)."""
        return self._tokens.authenticate(token)

    async def create_token(self, role: str, name: str, by: str) -> str:
        """A token of an operator's role (or ``enrol``); it replaces the one of the same role and name."""
        if role not in ROLES[1:]:
            raise RegistryRefused("bad_argument", f"there is no role {role!r} for tokens: use {', '.join(ROLES[1:])}")
        check_name(name, "a token's name")
        async with self._behind.writing:
            return await self._issue(role, name, None, Deed(self._clock.now(), by, "token.create", name, role))

    async def enroll(self, device: str, labels: Mapping[str, str], by: str, *, readmit: bool = True) -> str:
        """A token for the device, new or known; an earlier token opens no link any more, a link that is open stays.
        RegistryRefused for one that is revoked, unless who asks may ``readmit`` it."""
        check_name(device, "a device")
        check_labels(labels)
        async with self._behind.writing:
            now = self._clock.now()
            known = self._devices.get(device)
            if known is not None and known.row.revoked and not readmit:
                text = f"{device} is revoked: an admin lets it in again, with `telemetrio devices enroll {device}`"
                raise RegistryRefused("forbidden", text)
            row = DeviceRow(device, now) if known is None else replace(known.row)
            row.revoked, row.enrolled, row.labels = False, now, {**row.labels, **labels}
            check_labels(row.labels)
            token = await self._issue("device", device, row, Deed(now, by, "device.enroll", device, ""))
            if known is None:
                known = self._devices[device] = Known(row)
            known.row.revoked, known.row.enrolled, known.row.labels = False, now, row.labels
        if known.outbox is None:
            self._tell(known, "enrolled")
        return token

    async def revoke(self, device: str, by: str) -> None:
        """Its token opens nothing any more and its link is closed at once."""
        known = self._known(device)
        known.row.revoked = True  # before it is written: what must not get in is kept out from now on
        self._tokens.forget("device", device)
        if known.outbox is not None:
            known.outbox.close(CloseCode.REVOKED, "revoked by an operator")
        async with self._behind.writing:
            row = replace(known.row, revoked=True)
            deed = Deed(self._clock.now(), by, "device.revoke", device, "")
            await self._worker.run(
                self._state.atomically,
                lambda: self._state.devices.save([row]),
                lambda: self._state.tokens.remove("device", device),
                lambda: self._state.audit.add(deed),
            )
        self._tell(known, "revoked")

    async def label(self, device: str, labels: Mapping[str, str | None], by: str) -> DeviceInfo:
        """Put labels on a device; a null takes one away."""
        known = self._known(device)
        check_labels({name: value for name, value in labels.items() if value is not None})
        async with self._behind.writing:
            after = {name: value for name, value in {**known.row.labels, **labels}.items() if value is not None}
            check_labels(after)
            row = replace(known.row, labels=after)
            deed = Deed(self._clock.now(), by, "device.label", device, ", ".join(f"{k}={v}" for k, v in labels.items()))
            await self._worker.run(
                self._state.atomically, lambda: self._state.devices.save([row]), lambda: self._state.audit.add(deed)
            )
            known.row.labels = after
        return self.info(device)

    # --- links -----------------------------------------------------------------------------------------------------

    def connected(
        self, device: str, outbox: DeviceOutbox, birth: Birth, epoch: int, address: str, next: int, through: int,
        *, first: int = 1, held: Iterable[tuple[int, int]] = (), time: int | None = None,
    ) -> DeviceOutbox | None:  # fmt: skip
        """The device has this link now; returns the one it displaces, for the caller to close (4001).

        ``first``, ``next``, ``through`` and ``held`` are those of hello and welcome; in a fresh epoch the device
        numbers from 1 what is left of them. ``time`` is what its clock said in hello. A device that was revoked while
        it said hello is let go at once (4002).
        """
        known = self._devices.get(device)
        if known is None or known.row.revoked:
            outbox.close(CloseCode.REVOKED, "revoked by an operator")
            return None
        displaced, known.outbox = known.outbox, outbox
        self.online += displaced is None
        now = self._clock.now()
        known.clock_offset = None if time is None else time - now
        row = known.row
        if row.epoch not in (None, epoch):
            next, through, held = in_fresh_epoch(next, first, through, Ranges(held)), 0, ()
        known.address, known.backlog = address, Backlog(next, through, self._clock.monotonic(), tuple(held))
        row.model, row.software, row.metrics = birth.model, birth.software, birth.metrics
        row.epoch, row.through, row.next = epoch, through, next
        row.since = row.last_seen = now
        self._behind.changed(known.row)
        self._tell(known, "hello" if displaced is None else "taken over")
        return displaced

    def disconnected(self, device: str, outbox: DeviceOutbox, reason: str) -> None:
        """This link is gone; nothing happens when the device already has a newer one."""
        known = self._devices.get(device)
        if known is None or known.outbox is not outbox:
            return
        known.outbox = known.address = None
        self.online -= 1
        known.row.since = known.row.last_seen = self._clock.now()
        self._behind.changed(known.row)
        self._tell(known, reason)

    def note(self, device: str, action: str, detail: str) -> None:
        """For the audit: what a device did and must not do. Written with presence."""
        self._behind.note(Deed(self._clock.now(), device, action, device, detail))

    def outbox(self, device: str) -> DeviceOutbox | None:
        """The outbox of its current link."""
        known = self._devices.get(device)
        return None if known is None else known.outbox

    def settled(self, device: str, through: int) -> None:
        """Everything up to ``through`` is settled in the epoch of its link."""
        known = self._devices.get(device)
        if known is not None:
            known.row.through = through
            known.row.last_seen = self._clock.now()

    # --- reading ---------------------------------------------------------------------------------------------------

    def __contains__(self, device: str) -> bool:
        return device in self._devices

    def __len__(self) -> int:
        return len(self._devices)

    def info(self, device: str) -> DeviceInfo:
        """One device; RegistryRefused when there is none of that name."""
        return self._known(device).info(self._clock.monotonic())

    def metrics(self, device: str) -> tuple[Declared, ...]:
        """What it declared in its last birth."""
        return self._known(device).row.metrics

    def position(self, device: str, through: int | None = None) -> tuple[int, int] | None:
        """Epoch, and up to where everything is settled by what it was told, or when everything up to ``through`` is."""
        known = self._devices.get(device)
        if known is None or known.row.epoch is None:
            return None
        return known.row.epoch, known.backlog.prefix(known.row.through or 0 if through is None else through)

    def next(self, device: str) -> tuple[int, int] | None:
        """Epoch, and the seq after the last batch it had at its last ``hello``."""
        known = self._devices.get(device)
        if known is None or known.row.epoch is None:
            return None
        return known.row.epoch, known.row.next or 1

    def resolve(self, globs: Sequence[str] = (), labels: Mapping[str, str] | None = None) -> list[str]:
        """Names of the devices that match one of ``globs`` (none: all) and carry all of ``labels``, sorted."""
        names: Iterable[str] = filter(matcher(globs), self._devices)
        wanted = (labels or {}).items()
        return sorted(name for name in names if wanted <= self._devices[name].row.labels.items())

    def list(self, globs: Sequence[str] = (), labels: Mapping[str, str] | None = None) -> list[DeviceInfo]:
        """The devices of ``resolve``."""
        now = self._clock.monotonic()
        return [self._devices[name].info(now) for name in self.resolve(globs, labels)]

    def presences(self) -> Iterable[Presence]:
        """How every device stands, for who starts to watch."""
        return (known.presence(known.row.since or known.row.enrolled, "") for known in self._devices.values())

    # --- inside ----------------------------------------------------------------------------------------------------

    def _known(self, device: str) -> Known:
        known = self._devices.get(device)
        if known is None:
            raise RegistryRefused(
                "unknown_device", f"no device {device[:64]!r} is enrolled; `telemetrio devices ls` lists those that are"
            )
        return known

    async def _issue(self, role: str, subject: str, row: DeviceRow | None, deed: Deed) -> str:
        token, stored = make_token(self._randomness, role, subject, deed.at)
        await self._worker.run(
            self._state.atomically,
            lambda: self._state.devices.save([] if row is None else [row]),
            lambda: self._state.tokens.replace(stored),
            lambda: self._state.audit.add(deed),
        )
        self._tokens.put(stored)
        return token

    def _tell(self, known: Known, reason: str) -> None:
        presence = known.presence(self._clock.now(), reason)
        for told in self.on_presence:
            told(presence)
