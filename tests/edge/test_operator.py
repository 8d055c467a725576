"""The conversation with an operator: verbs, questions, commands, updates, and who may what."""

from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trio
from trio.testing import MockClock

from hub.client.dial import LARGEST_MESSAGE
from hub.client.errors import HubFailure, SocketClosed
from hub.control.errors import ControlRefused
from hub.journal.on_disk import PINS
from hub.query.question import Columns, Question
from hub.wire.codec import encode
from hub.wire.errors import CloseCode
from hub.wire.messages import OPERATOR_PATH, Command, Result
from hub.wire.operator import VERBS, Answer
from hub.wire.shapes import CommandInfo, OnlyCopyInfo, StoreRebuild
from tests.edge.house import house, tank
from tests.ingest.house import NOON, HandClock

pytestmark = pytest.mark.trio

HOUR = 3_600_000_000  # us
DAY = 24 * HOUR
ARGUMENTS: dict[str, dict[str, Any]] = {
    "devices.show": {"device": "tank-1"},
    "devices.enroll": {"device": "tank-2"},
    "devices.revoke": {"device": "tank-2"},
    "devices.label": {"device": "tank-1", "labels": {"site": "north", "old": None}},
    "models.show": {"model": "tank"},
    "commands.show": {"id": "0"},
    "commands.cancel": {"id": "0"},
    "ledger.release": {"pin": "0-1"},
    "ledger.stored": {"lsn": 10},
    "quarantine.list": {"devices": ["tank-*"], "since": 0},
    "quarantine.show": {"reason": "out_of_range"},
    "quarantine.retry": {"metric": "level"},
    "quarantine.drop": {"ids": ["1:0:level"]},
    "tokens.create": {"role": "viewer", "name": "wall"},
}


async def test_every_verb_is_answered(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with house(tmp_path) as hub, hub.operator() as operator, tank(hub, await hub.token()):
        answers: dict[str, Any] = {}
        for verb in sorted(VERBS):
            try:
                answers[verb] = await operator.call(verb, **ARGUMENTS.get(verb, {}))
            except HubFailure as failure:
                answers[verb] = failure.code
        assert {verb for verb, answer in answers.items() if isinstance(answer, str)} <= {
            "commands.show",
            "commands.cancel",
            "clock.trust",
        }
        assert answers["commands.show"] == "unknown"
        assert answers["status"]["links"] == 2
        assert answers["devices.list"][0]["device"] == "tank-1"
        assert answers["devices.show"]["metrics"] == [["level", "m", "float64"], ["pressure", "Pa", "float64"]]
        assert answers["devices.label"]["labels"] == {"site": "north"}
        assert answers["ledger.pin"]["lsn"] == hub.journal.durable
        assert answers["models.show"]["name"] == "tank"
        assert set(answers["devices.enroll"]) == {"device", "token"}


async def test_a_proof_pins_the_journal_and_lets_go_of_it(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with house(tmp_path) as hub, hub.operator("viewer") as operator:
        first, second = await operator.call("ledger.pin"), await operator.call("ledger.pin")
        assert first["pin"] != second["pin"]
        await operator.call("ledger.release", pin=first["pin"])
        life, number = second["pin"].split("-")
        of_the_hub_before = f"{life}0-{number}"
        for other in (first["pin"], of_the_hub_before, f"{life}-99", f"{life}-{'9' * 5_000}", f"{life}-x", life):
            assert await operator.call("ledger.release", pin=other) == {"pin": other}
        assert hub.journal.on_disk.pinned
        await operator.call("ledger.release", pin=second["pin"])
        assert not hub.journal.on_disk.pinned
        for _ in range(PINS):
            await operator.call("ledger.pin")
        with pytest.raises(HubFailure, match="when one has ended") as failure:
            await operator.call("ledger.pin")
        assert failure.value.code == "limit"


async def test_time_an_admin_confirms_a_clock_that_is_behind_or_ahead(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    clock = HandClock()
    async with house(tmp_path, clock=clock) as hub, hub.operator() as admin, hub.operator("operator") as operator:
        with pytest.raises(HubFailure, match="nothing to confirm"):
            await admin.call("clock.trust")
        hub.ingest.marks.newest = NOON + HOUR
        with pytest.raises(HubFailure, match="role admin"):
            await operator.call("clock.trust")
        assert await admin.call("clock.trust") == {"behind": HOUR, "ahead": 0}
        assert hub.ingest.trust.behind(clock.now()) == 0
        clock.time = hub.ingest.marks.newest + 10 * DAY
        assert await admin.call("clock.trust") == {"behind": 0, "ahead": 10 * DAY}
        assert hub.ingest.trust.ahead(clock.now()) == 0
        clock.time = 0
        with pytest.raises(HubFailure, match="never set"):
            await admin.call("clock.trust")


@pytest.mark.parametrize(
    ("role", "verb", "code"),
    [
        ("viewer", "devices.revoke", "forbidden"),
        ("operator", "clock.trust", "forbidden"),
        ("viewer", "devices.enroll", "forbidden"),
        ("viewer", "devices.label", "forbidden"),
        ("viewer", "tokens.create", "forbidden"),
        ("operator", "devices.revoke", "forbidden"),
        ("enrol", "devices.list", "forbidden"),
        ("enrol", "status", "forbidden"),
        ("admin", "devices.paint", "bad_request"),
    ],
)
async def test_verbs_ask_for_a_role(tmp_path: Path, autojump_clock: MockClock, role: str, verb: str, code: str) -> None:
    async with house(tmp_path) as hub, hub.operator(role) as operator:
        with pytest.raises(HubFailure) as failure:
            await operator.call(verb, **ARGUMENTS.get(verb, {}))
        assert failure.value.code == code


async def test_an_enrol_token_does_not_let_a_revoked_device_in_again(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with house(tmp_path) as hub, hub.operator("enrol") as anybody, hub.operator("admin") as admin:
        await anybody.call("devices.enroll", device="tank-9")
        await admin.call("devices.revoke", device="tank-9")
        with pytest.raises(HubFailure, match="tank-9 is revoked: an admin lets it in again"):
            await anybody.call("devices.enroll", device="tank-9")
        assert (await admin.call("devices.show", device="tank-9"))["state"] == "revoked"
        await admin.call("devices.enroll", device="tank-9")
        assert (await admin.call("devices.show", device="tank-9"))["state"] != "revoked"


async def test_an_enrol_token_enrols_and_nothing_else(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with house(tmp_path) as hub, hub.operator("enrol") as operator:
        assert (await operator.call("devices.enroll", device="tank-9"))["device"] == "tank-9"
        with pytest.raises(HubFailure, match="enrol"):
            await operator.ask(Question())
        with pytest.raises(HubFailure, match="enrol"):
            await operator.send_command("tank-9", "drain", {"percent": 1}, 5.0)
        subscription = await operator.subscribe()
        with pytest.raises(HubFailure, match="enrol"):
            await subscription.receive()


@pytest.mark.parametrize(
    ("verb", "args"),
    [
        ("devices.show", {}),
        ("devices.show", {"device": 5}),
        ("devices.list", {"devices": "tank"}),
        ("devices.list", {"device": "tank"}),
        ("devices.list", {"labels": ["a"]}),
        ("commands.list", {"limit": 0}),
        ("commands.list", {"limit": True}),
        ("ledger.stored", {"lsn": -1}),
        ("status", {"verbose": True}),
        ("store.rebuild", {"accept_loss": 1}),
        ("store.rebuild", {"force": True}),
    ],
)
async def test_wrong_arguments_are_named(
    tmp_path: Path, autojump_clock: MockClock, verb: str, args: dict[str, Any]
) -> None:
    async with house(tmp_path) as hub, hub.operator() as operator:
        with pytest.raises(HubFailure) as failure:
            await operator.call(verb, **args)
        assert failure.value.code == "bad_request"
        assert verb in failure.value.text


async def test_a_rebuild_that_loses_readings_has_to_be_accepted_and_is_in_the_audit(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    alone: OnlyCopyInfo = {"records": [[17, 17]], "batches": 1, "readings": 8}

    async def rebuild(accept_loss: bool) -> StoreRebuild:
        if not accept_loss:
            raise ControlRefused("conflict", "the journal lacks 1 record")
        return {"through": 29, "only_copy": alone}

    async with house(tmp_path) as hub, hub.operator() as operator:
        hub.rooms.rebuild = rebuild
        with pytest.raises(HubFailure, match="lacks 1 record") as failure:
            await operator.call("store.rebuild")
        assert failure.value.code == "conflict"
        assert await operator.call("store.rebuild", accept_loss=True) == {"through": 29, "only_copy": alone}
        await hub.registry.flush()
        (deed,) = [deed for deed in hub.rooms.quarantine.state.audit.list() if deed.action == "store.rebuild"]
        assert "accepted the loss of the readings of damaged records (1)" in deed.detail


async def test_questions_are_answered_in_parts_and_globs_are_resolved(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with house(tmp_path) as hub, hub.operator("viewer") as operator, tank(hub, await hub.token()) as device:
        for _ in range(5):
            await device.rows(1_000)
        answer = await operator.ask(Question(devices=("tank-*",), limit=100_000))
        assert len(answer) == 10_000
        assert set(answer.columns["device"]) == {"tank-1"}
        assert len(await operator.ask(Question(devices=("kettle-*",)))) == 0
        assert len(await operator.ask(Question(labels=(("site", "south"),)))) == 0
        with pytest.raises(HubFailure) as failure:
            await operator.ask(Question(devices=("kettle",)))
        assert failure.value.code == "unknown_device"


async def test_ledger_a_proof_of_more_than_one_message_holds_comes_in_parts(
    tmp_path: Path, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches = Columns({"lsn": np.arange(1, 1_200_001), "readings": np.full(1_200_000, 3)})
    entry: Any = {"device": "tank-1", "epoch": 1, "kept": [[2 * at, 2 * at] for at in range(1, 101)], "lost": []}
    entries = [entry | {"epoch": epoch} for epoch in range(1, 40_001)]
    assert len(encode(Answer(1, batches.columns, False))) > LARGEST_MESSAGE < len(encode(Answer(1, entries, False)))
    monkeypatch.setattr(import_module("hub.client.dial"), "LARGEST_MESSAGE", 1024 * 1024)  # parts are far smaller
    async with house(tmp_path) as hub:

        async def stored(lsn: int) -> Columns:
            return batches

        async def ledger(device: str | None) -> Any:
            return entries

        hub.rooms.stored, hub.rooms.ledger = stored, ledger
        async with hub.operator("viewer") as operator:
            found = await operator.call("ledger.stored", lsn=2_000_000)
            assert list(found.columns) == ["lsn", "readings"]
            assert np.array_equal(found.columns["lsn"], batches.columns["lsn"])
            assert np.array_equal(found.columns["readings"], batches.columns["readings"])
            assert await operator.call("ledger") == entries


async def test_updates_begin_with_a_snapshot(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with house(tmp_path) as hub, hub.operator("viewer") as operator, tank(hub, await hub.token()) as device:
        await device.rows(3)
        subscription = await operator.subscribe(["readings", "presence", "hub"])
        seen: dict[str, Any] = {}
        while len(seen) < 3:
            update = await subscription.receive()
            seen[update.kind] = update.body
        assert seen["readings"][0][:2] == ["tank-1", "level"]
        assert seen["presence"]["state"] == "online"
        assert seen["hub"]["links"] == 2


async def test_a_command_goes_to_the_device_and_every_state_comes_back(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    states: list[str] = []

    def changed(info: CommandInfo) -> None:
        states.append(info["state"])

    async with house(tmp_path) as hub, hub.operator("operator") as operator, tank(hub, await hub.token()) as device:
        async with trio.open_nursery() as nursery:

            async def obey() -> None:
                command = await device.hear()
                assert isinstance(command, Command)
                assert command.args == {"percent": 30}
                await device.say(Result(None, command.id, "acknowledged", None))
                await trio.sleep(1)
                await device.say(Result(None, command.id, "succeeded", 70))

            nursery.start_soon(obey)
            info = await operator.send_command("tank-1", "drain", {"percent": 30}, 10.0, on_change=changed)
        assert info["value"] == 70
        assert states == ["queued", "sent", "acknowledged", "succeeded"]


async def test_refused_commands_say_why(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with house(tmp_path) as hub, hub.operator("operator") as operator, tank(hub, await hub.token()):
        for args, code in [
            (("tank-7", "drain", {"percent": 1}, 5.0), "unknown_device"),
            (("tank-1", "explode", {}, 5.0), "unknown_command"),
            (("tank-1", "drain", {"percent": "all"}, 5.0), "bad_argument"),
            (("tank-1", "drain", {"percent": 1}, 1e9), "bad_argument"),
        ]:
            with pytest.raises(HubFailure) as failure:
                await operator.send_command(*args)  # type: ignore[arg-type]
            assert failure.value.code == code


async def test_without_wait_the_first_state_is_the_answer(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with house(tmp_path) as hub, hub.operator("operator") as operator, tank(hub, await hub.token()):
        info = await operator.send_command("tank-1", "drain", {"percent": 1}, 5.0, wait=False)
        assert info["state"] == "queued"


async def test_a_viewer_may_not_send(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with house(tmp_path) as hub, hub.operator("viewer") as operator, tank(hub, await hub.token()):
        with pytest.raises(HubFailure) as failure:
            await operator.send_command("tank-1", "drain", {"percent": 1}, 5.0)
        assert failure.value.code == "forbidden"


async def test_garbage_ends_the_link_and_not_the_hub(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with house(tmp_path) as hub:
        token = await hub.registry.create_token("viewer", "wall", "test")
        async with hub.socket(token, OPERATOR_PATH) as socket:
            await socket.receive()
            await socket.send(b"\xff")
            with pytest.raises(SocketClosed) as closed:
                await socket.receive()
            assert closed.value.code == CloseCode.GARBLED
        async with hub.operator():
            pass
