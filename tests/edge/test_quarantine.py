"""Quarantine over an operator's link: counted, listed, retried by the model as it is now, dropped; each once."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import trio

from hub.client.errors import HubFailure
from hub.followers.ledger import ledger_entry
from hub.query.question import Question
from hub.wire.kept import Removed, Retried
from tests.edge.house import House, Tank, house, tank

pytestmark = pytest.mark.trio


async def fill(house: House, values: list[float]) -> None:
    """A tank that says these levels, of which those above 10 are rejected."""
    async with tank(house, await house.token()) as device:
        for value in values:
            await say(house, device, value)


async def say(house: House, device: Tank, level: float) -> None:
    await device.socket.send(device.row(level))
    await device.acked()


def correct(house: House) -> None:
    """The tank is 100 m high."""
    models: Any = house.rooms.models
    tank = models["tank"]
    models["tank"] = replace(tank, metrics={**tank.metrics, "level": replace(tank.metrics["level"], max=100.0)})


async def levels(house: House) -> list[float]:
    answer = await house.rooms.ask(Question(metrics=("level",)))
    return sorted(float(value) for value in answer.columns["value"])


async def balanced(house: House) -> dict[str, Any]:
    state = house.rooms.quarantine.state
    (row,) = state.account.all("tank-1")
    stored = len((await house.rooms.ask(Question())).columns["value"])
    entry = ledger_entry(row, 0, stored, 0, row.expired)
    assert entry["balanced"], entry
    return dict(entry)


@pytest.mark.parametrize(
    "id", ["", "1", "1:2", "x:2:level", "1:y:level", f"{2**63}:1:level", f"1:{2**63}:level", "-1:1:level"]
)
async def test_what_is_no_id_is_refused(tmp_path: Path, id: str) -> None:
    async with house(tmp_path) as made, made.operator("admin") as operator:
        for verb in ("quarantine.show", "quarantine.retry", "quarantine.drop"):
            with pytest.raises(HubFailure, match="is no id") as refused:
                await operator.call(verb, ids=[id])
            assert refused.value.code == "bad_request"


async def test_rejected_readings_are_counted_listed_and_filtered(tmp_path: Path) -> None:
    async with house(tmp_path) as made, made.operator("viewer") as operator:
        await fill(made, [1.0, 50.0, 60.0])
        (group,) = await operator.call("quarantine.list")
        assert (group["device"], group["metric"], group["reason"], group["readings"]) == (
            "tank-1", "level", "out_of_range", 2,
        )  # fmt: skip
        assert group["first_at"] <= group["last_at"]
        shown = await operator.call("quarantine.show", devices=["tank-*"])
        assert [entry["value"] for entry in shown] == [60.0, 50.0]
        (one,) = await operator.call("quarantine.show", ids=[shown[1]["id"]])
        assert one["value"] == 50.0
        for nothing in ({"devices": ["pump-*"]}, {"metric": "pressure"}, {"reason": "x"}, {"until": group["first_at"]}):
            assert await operator.call("quarantine.show", **nothing) == []
        with pytest.raises(HubFailure) as refused:
            await operator.call("quarantine.retry")
        assert refused.value.code == "forbidden"
        with pytest.raises(HubFailure) as refused:
            await operator.call("quarantine.show", ids=["12"])
        assert refused.value.code == "bad_request"


async def test_a_retry_stores_what_the_corrected_model_takes_once(tmp_path: Path) -> None:
    async with house(tmp_path) as made, made.operator("operator") as operator:
        await fill(made, [1.0, 50.0, 600.0])
        told = await operator.call("quarantine.retry")
        assert (told["stored"], told["kept"]) == (0, {"out_of_range": 2})
        assert "within 0 and 10" in told["why"]["out_of_range"]
        correct(made)
        answers: list[dict[str, Any]] = []

        async def again() -> None:
            answers.append(await operator.call("quarantine.retry"))

        async with trio.open_nursery() as nursery:  # both at once
            nursery.start_soon(again)
            nursery.start_soon(again)
        assert sorted(answer["stored"] for answer in answers) == [0, 1]
        assert await levels(made) == [1.0, 50.0]
        entry = await balanced(made)
        assert (entry["received"], entry["rejected"], entry["removed"]) == (6, {"out_of_range": 1}, {})


async def test_a_drop_is_in_the_ledger_with_who_did_it(tmp_path: Path) -> None:
    async with house(tmp_path) as made, made.operator("operator") as operator:
        await fill(made, [1.0, 50.0, 60.0])
        (last, first) = await operator.call("quarantine.show")
        assert (await operator.call("quarantine.drop", ids=[first["id"]]))["removed"] == 1
        assert (await operator.call("quarantine.drop", ids=[first["id"]]))["removed"] == 0
        assert [entry["id"] for entry in await operator.call("quarantine.show")] == [last["id"]]
        entry = await balanced(made)
        assert (entry["rejected"], entry["removed"]) == ({"out_of_range": 1}, {"operator-of-test": 1})
        (deed,) = made.rooms.quarantine.state.audit.list(1)
        assert (deed.by, deed.action) == ("operator-of-test", "quarantine.drop")


async def test_an_open_link_is_judged_by_the_model_that_was_read_again(tmp_path: Path) -> None:
    async with house(tmp_path) as made, tank(made, await made.token()) as device:
        correct(made)
        await made.rooms.reload()
        await say(made, device, 50.0)
        assert made.kept[0].verdict.rejections == ()


async def test_live_is_not_moved_back_by_an_older_reading(tmp_path: Path) -> None:
    async with house(tmp_path) as made, made.operator("operator") as operator:
        await fill(made, [50.0, 2.0])
        correct(made)
        assert (await operator.call("quarantine.retry"))["stored"] == 1
        assert [reading[2] for reading in made.rooms.live.latest("tank-1") if reading[0] == "level"] == [2.0]


async def test_both_records_are_of_the_journal(tmp_path: Path) -> None:
    async with house(tmp_path) as made, made.operator("operator") as operator:
        await fill(made, [50.0, 600.0])
        correct(made)
        before = made.journal.durable
        await operator.call("quarantine.retry")
        await operator.call("quarantine.drop")
        tail: Any = made.journal.tail(before, 1000)
        kinds = [type(entry) for entry in tail if isinstance(entry, Retried | Removed)]
        assert kinds == [Retried, Removed]
