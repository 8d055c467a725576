"""The verbs that operators call: who may, with which arguments, and who answers. What is not said here is refused."""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final

import trio

from hub.control.tokens import Principal
from hub.edge.arguments import Arguments, Refused
from hub.edge.auth import may_call
from hub.edge.quarantine import QuarantineCalls
from hub.edge.rooms import Rooms
from hub.ingest.trust import BUILT
from hub.journal.on_disk import TooManyPins
from hub.model import Model, ModelError
from hub.query.question import Columns, Question
from hub.wire.messages import Plain
from hub.wire.operator import VERBS
from hub.wire.shapes import DeviceDetail, LedgerEntry, Pin, Status, StoreStatus

COMMANDS_LISTED: Final = 100  # when the operator names no limit
COMMANDS_MOST: Final = 10_000
DURABLE_SECONDS: Final = 10.0  # for a record that an operator asks for; longer only on a full disk


Verb = Callable[[Arguments, Principal], Awaitable[Any]]


class Calls:
    """Answers calls out of the rooms."""

    def __init__(self, rooms: Rooms, status: Callable[[], Status]) -> None:
        self._rooms = rooms
        self._status = status
        self._life = f"{rooms.clock.now():x}"  # a pin of the hub before a restart is none of this one's
        self._verbs: dict[str, Verb] = {
            "status": self._get_status,
            "devices.list": self._devices,
            "devices.show": self._device,
            "devices.enroll": self._enroll,
            "devices.revoke": self._revoke,
            "devices.label": self._label,
            "clock.trust": self._trust_clock,
            "models.list": self._models,
            "models.show": self._model,
            "commands.list": self._commands,
            "commands.show": self._command,
            "commands.cancel": self._cancel,
            **QuarantineCalls(rooms).verbs,
            "models.reload": self._reload,
            "ledger": self._ledger,
            "ledger.pin": self._pin,
            "ledger.release": self._release,
            "ledger.stored": self._stored,
            "store.status": self._store,
            "store.rebuild": self._rebuild,
            "tokens.create": self._token,
        }

    async def call(self, verb: str, args: Mapping[str, Plain], principal: Principal) -> Any:
        """The answer. Raises ControlRefused with one of FAILURES."""
        answer = self._verbs.get(verb)
        if answer is None:
            raise Refused("bad_request", f"there is no verb {verb[:64]!r}; there are: {', '.join(VERBS)}")
        if not may_call(principal.role, VERBS[verb]):
            raise Refused(
                "forbidden", f"{verb} needs a token of role {VERBS[verb]}; this one is of role {principal.role}"
            )
        return await answer(Arguments(verb, args), principal)

    def resolve(self, question: Question) -> Question | None:
        """The question with globs and labels turned into names of devices; None when no device matches."""
        if question.devices is None and not question.labels:
            return question
        globs = list(question.devices or ())
        names = self._rooms.registry.resolve(globs, dict(question.labels))
        if not names:
            for glob in globs:
                if not any(mark in glob for mark in "*?["):
                    self._rooms.registry.info(glob)  # says that there is none of that name
            return None
        return replace(question, devices=tuple(names), labels=())

    # --- the hub ---------------------------------------------------------------------------------------------------

    async def _get_status(self, args: Arguments, _who: Principal) -> Status:
        args.only()
        return self._status()

    async def _models(self, args: Arguments, _who: Principal) -> list[str]:
        args.only()
        return sorted(self._rooms.models)

    async def _model(self, args: Arguments, _who: Principal) -> Any:
        args.only("model")
        name = args.text("model")
        model: Model | None = self._rooms.models.get(name)
        if model is None:
            raise Refused("unknown", f"no model {name[:64]!r} here; there are: {', '.join(sorted(self._rooms.models))}")
        return model.to_plain()

    async def _reload(self, args: Arguments, _who: Principal) -> Any:
        args.only()
        try:
            return {"changed": await self._rooms.reload()}
        except ModelError as error:
            raise Refused("conflict", f"{error}; the models stay as they were") from None

    async def _trust_clock(self, args: Arguments, who: Principal) -> Any:
        args.only()
        ingest, now = self._rooms.ingest, self._rooms.clock.now()
        if now < BUILT:
            raise Refused("conflict", "the hub's clock was never set: set it, and the hub trusts it")
        behind, ahead = ingest.trust.behind(now), ingest.trust.ahead(now)
        if not behind and not ahead:
            raise Refused("conflict", "the hub's clock is trusted: there is nothing to confirm")
        lsn = ingest.confirm_clock(who.subject)
        off = f"{behind / 1e6:.0f} s behind" if behind else f"{ahead / 1e6:.0f} s ahead"
        self._rooms.registry.note("clock", "clock.trust", f"{off}; confirmed by {who.subject}")
        with trio.move_on_after(DURABLE_SECONDS) as scope:
            await self._rooms.journal.wait_durable(lsn)
        if scope.cancelled_caught:
            raise Refused("timeout", "the clock is trusted, but the hub cannot write that down yet: its disk is full")
        return {"behind": behind, "ahead": ahead}

    async def _token(self, args: Arguments, who: Principal) -> Any:
        args.only("role", "name")
        role, name = args.text("role"), args.text("name")
        return {"name": name, "role": role, "token": await self._rooms.registry.create_token(role, name, who.subject)}

    async def _store(self, args: Arguments, _who: Principal) -> StoreStatus:
        args.only()
        return self._rooms.store()

    async def _rebuild(self, args: Arguments, who: Principal) -> Any:
        args.only("accept_loss")
        begun = await self._rooms.rebuild(args.flag("accept_loss"))
        if begun is None:
            raise Refused("conflict", "this hub's store is kept in memory: start the hub again, and it is built anew")
        alone = begun["only_copy"]
        damaged = 0 if alone is None else sum(last - first + 1 for first, last in alone["records"])
        loss = f", who accepted the loss of the readings of damaged records ({damaged})" if damaged else ""
        self._rooms.registry.note("store", "store.rebuild", f"asked for by {who.subject}{loss}")
        return begun

    # --- devices ---------------------------------------------------------------------------------------------------

    async def _devices(self, args: Arguments, _who: Principal) -> Any:
        args.only("devices", "labels")
        return self._rooms.registry.list(args.texts("devices"), args.labels("labels"))

    async def _device(self, args: Arguments, _who: Principal) -> DeviceDetail:
        args.only("device")
        rooms, device = self._rooms, args.text("device")
        info = rooms.registry.info(device)
        desired, reported = await rooms.twin(device)
        metrics = [list(metric) for metric in rooms.registry.metrics(device)]
        ledger = await rooms.ledger(device)
        return DeviceDetail(
            **info, metrics=metrics, latest=rooms.live.latest(device), ledger=ledger, desired=desired, reported=reported
        )

    async def _enroll(self, args: Arguments, who: Principal) -> Any:
        args.only("device", "labels")
        device = args.text("device")
        return {
            "device": device,
            "token": await self._rooms.registry.enroll(
                device, args.labels("labels"), who.subject, readmit=who.role == "admin"
            ),
        }

    async def _revoke(self, args: Arguments, who: Principal) -> Any:
        args.only("device")
        device = args.text("device")
        await self._rooms.registry.revoke(device, who.subject)
        return {"device": device}

    async def _label(self, args: Arguments, who: Principal) -> Any:
        args.only("device", "labels")
        return await self._rooms.registry.label(args.text("device"), args.patch("labels"), who.subject)

    # --- commands --------------------------------------------------------------------------------------------------

    async def _commands(self, args: Arguments, _who: Principal) -> Any:
        args.only("devices", "states", "limit")
        limit = args.number("limit", COMMANDS_LISTED, 1, COMMANDS_MOST)
        return await self._rooms.router.list(args.texts("devices"), args.texts("states"), limit)

    async def _command(self, args: Arguments, _who: Principal) -> Any:
        args.only("id")
        return await self._rooms.router.show(args.text("id"))

    async def _cancel(self, args: Arguments, who: Principal) -> Any:
        args.only("id")
        return await self._rooms.router.cancel(args.text("id"), who.subject)

    # --- the ledger ------------------------------------------------------------------------------------------------

    async def _ledger(self, args: Arguments, _who: Principal) -> list[LedgerEntry]:
        args.only("device")
        device = args.optional_text("device")
        if device is not None:
            self._rooms.registry.info(device)
        return await self._rooms.ledger(device)

    async def _pin(self, args: Arguments, who: Principal) -> Pin:
        """Names the durable end; what is on disk stays there until it is released, or for a while."""
        args.only()
        rooms = self._rooms
        try:
            pin = f"{self._life}-{rooms.journal.on_disk.pin(who.subject)}"
        except TooManyPins as error:
            raise Refused("limit", str(error)) from None
        return Pin(pin=pin, lsn=rooms.journal.durable, journal=str(rooms.directory.absolute()), log=rooms.log)

    async def _release(self, args: Arguments, who: Principal) -> Any:
        args.only("pin")
        pin = args.text("pin")
        life, _, number = pin.partition("-")
        if life == self._life:
            with suppress(ValueError):
                self._rooms.journal.on_disk.release(int(number), who.subject)
        return {"pin": pin}

    async def _stored(self, args: Arguments, _who: Principal) -> Columns:
        args.only("lsn")
        return await self._rooms.stored(args.number("lsn", 0, 0, (1 << 63) - 1))


__all__ = ["Arguments", "Calls", "Refused"]
