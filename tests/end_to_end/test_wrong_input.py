"""Wrong input, of devices and of people: each gets a clear message, a reason or a close code, and its exit code."""

import json
import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trio

from hub.cli.exits import Exit
from hub.client import HubFailure, Refused
from hub.client.shell import connect
from hub.wire.errors import CloseCode
from hub.wire.messages import Columns, Declared, Regular, Reject, Row
from hub.wire.session import DeviceSession
from tests.end_to_end.raw import Raw, hello, opened, quarantined, state_rows, welcomed
from tests.end_to_end.wrong import Place, said

pytestmark = [pytest.mark.slow, pytest.mark.trio]

LEVEL, TEMPERATURE, NOTE, EXTRA = range(4)


def now() -> int:
    return time.time_ns() // 1000


def row(*values: Any, seq: int = 1, at: int | str | None = "now") -> Row:
    return Row(seq, now() if at == "now" else at, list(values))  # type: ignore[arg-type]


# --- readings that cannot be -------------------------------------------------------------------------------------

FUTURE = 3_600_000_000  # us: an hour ahead
REJECTED: dict[str, tuple[Any, int, str, str, str]] = {
    # what: (batch, metric index in reject, code, key part of the text, metric in quarantine)
    "unknown metric": (row(None, None, None, 1.5), EXTRA, "unknown_metric", "extra is not in the model", "extra"),
    "wrong type": (row("five"), LEVEL, "wrong_type", "level is int, this is str", "level"),
    "a float where whole numbers are": (row(1.5), LEVEL, "wrong_type", "level is int, this is float", "level"),
    "NaN": (row(None, math.nan), TEMPERATURE, "not_finite", "temperature: neither NaN nor infinity", "temperature"),
    "infinity": (row(None, -math.inf), TEMPERATURE, "not_finite", "temperature: neither", "temperature"),
    "out of range": (row(101), LEVEL, "out_of_range", "level must be within 0 and 100", "level"),
    "too long": (row(None, None, "x" * 257), NOTE, "too_long", "note: 257 bytes, at most 256", "note"),
    "far future": (row(5, at=FUTURE), -1, "future_time", "more than 5 min after the hub's", "level"),
    "clock unset": (row(5, at=90_000_000), -1, "clock_unset", "on no clock that is set: send uptime", "level"),
    "before 2000": (row(5, at=2**28 * 1_000_000), -1, "past_time", "before 2000-01-01", "level"),
    "an index beyond the birth": (row(*[None] * 4, 7), 4, "bad_index", "hello declared 4 metrics", "#4"),
    "a body that cannot be read": (b"\x83\x02\x01\x00", -1, "malformed", "", ""),
}


@pytest.mark.parametrize("what", REJECTED)
async def test_a_reading_that_cannot_be_is_rejected_with_its_reason(place: Place, what: str) -> None:
    batch, metric, code, text, name = REJECTED[what]
    if isinstance(batch, Row) and batch.time == FUTURE:
        batch = batch._replace(time=now() + FUTURE)
    device, token = await place.enrolled()
    async with welcomed(place.target, token) as (raw, _):
        await raw.say(batch)
        reject = await raw.hear(Reject)
        await raw.say(row(50, 20.5, "good", seq=2))
        await raw.acked(2)
    (entry,) = reject.entries
    assert (reject.seq, reject.total, entry.metric, entry.code, entry.readings) == (1, 1, metric, code, 1)
    assert text in entry.text
    booked = await place.booked(device)
    assert booked["rejected"] == {code: 1}
    assert (booked["received"], booked["stored"], booked["balanced"]) == (4, 3, True)
    (kept,) = quarantined(place.hub.folder, device)
    assert (kept[0], kept[2], kept[3]) == (1, name, code)
    if isinstance(batch, Row):
        value = next(value for value in batch.values if value is not None)
        assert repr(kept[4]) == repr(value), "with its value, as it came, NaN too"


async def test_columns_are_rejected_reading_by_reading(place: Place) -> None:
    device, token = await place.enrolled()
    start = now() - 1_000_000
    levels = np.array([1, 200, 3, -4, 5], np.int16)
    temperatures = np.array([1.0, math.nan, 2.0, 3.0, 1e9])
    async with welcomed(place.target, token) as (raw, _):
        await raw.say(Columns(1, Regular(start, 1_000, 5), [(LEVEL, levels), (TEMPERATURE, temperatures)]))
        reject = await raw.hear(Reject)
    assert len(reject.entries) == 3, "runs of one metric and reason are put together"
    told = {(entry.metric, entry.code): entry.readings for entry in reject.entries}
    assert told == {
        (LEVEL, "out_of_range"): 2, (TEMPERATURE, "not_finite"): 1, (TEMPERATURE, "out_of_range"): 1,
    }  # fmt: skip
    assert (await place.booked(device))["rejected"] == {"out_of_range": 3, "not_finite": 1}
    assert [(row, metric) for _, row, metric, _, _ in quarantined(place.hub.folder, device)] == [
        (1, "level"), (1, "temperature"), (3, "level"), (4, "temperature"),
    ]  # fmt: skip


async def test_the_ledger_tells_people_what_was_rejected_and_why(place: Place) -> None:
    device, token = await place.enrolled()
    async with welcomed(place.target, token) as (raw, _):
        await raw.say(row(101), row("five", seq=2), row(7, seq=3))
        await raw.acked(3)
    await place.booked(device)
    ran = await place.run("ledger", device, "-o", "table")
    assert ran.returncode == Exit.OK, ran.stderr
    assert "out_of_range 1, wrong_type 1" in ran.stdout
    ran = await place.run("query", "--device", device, "-o", "json")
    assert [reading["value"] for reading in json.loads(ran.stdout)] == [7]


# --- numbers that cannot be --------------------------------------------------------------------------------------


async def test_p4_a_duplicate_is_acked_and_counted_and_stored_once(place: Place) -> None:
    device, token = await place.enrolled()
    batch = row(1)
    async with welcomed(place.target, token) as (raw, welcome):
        await raw.say(batch)
        await raw.acked(1)
        async with connect(place.target) as operator:
            before = (await operator.call("status"))["duplicate"]
    session = DeviceSession(welcome.epoch, welcome.log, acked=0, first=1, next=2)  # the ack was lost on its way
    async with welcomed(place.target, token, session) as (raw, welcome):
        assert welcome.through == 1
        await raw.say(batch, row(2, seq=2))
        await raw.acked(2)
        async with connect(place.target) as operator:
            assert (await operator.call("status"))["duplicate"] == before + 1
    booked = await place.booked(device)
    assert (booked["kept"], booked["received"], booked["stored"]) == ([[1, 2]], 2, 2)


async def test_p4_a_number_twice_on_one_link_closes_it(place: Place) -> None:
    _, token = await place.enrolled()
    async with welcomed(place.target, token) as (raw, _):
        await raw.say(row(1))
        await raw.acked(1)
        await raw.say(row(1))
        code, reason = await raw.closed()
    assert (code, reason) == (CloseCode.SEQ_JUMP, "expected seq 2, not seq 1")


async def test_p4_a_jump_that_was_not_declared_closes_the_link_and_says_what_was_expected(place: Place) -> None:
    device, token = await place.enrolled()
    async with welcomed(place.target, token) as (raw, _):
        await raw.say(row(1), row(3, seq=3))
        code, reason = await raw.closed()
    assert (code, reason) == (CloseCode.SEQ_JUMP, "expected seq 2, not seq 3")
    booked = await place.booked(device)
    assert (booked["kept"], booked["lost"]) == ([[1, 1]], [])


async def test_p5_a_number_with_other_content_closes_the_link_and_is_on_record(place: Place) -> None:
    device, token = await place.enrolled()
    async with welcomed(place.target, token) as (raw, welcome):
        await raw.say(row(1))
        await raw.acked(1)
    session = DeviceSession(welcome.epoch, welcome.log, acked=0, first=1, next=2)
    async with welcomed(place.target, token, session) as (raw, _):
        await raw.say(row(99))
        code, reason = await raw.closed()
    assert code == CloseCode.SEQ_CONFLICT
    assert "seq 1 of epoch" in reason
    assert "say hello without an epoch" in reason
    question = "SELECT detail FROM audit WHERE action = 'device.seq_conflict' AND subject = ?"
    with trio.fail_after(20):
        while not (found := state_rows(place.hub.folder, question, [device])):  # noqa: ASYNC110
            await trio.sleep(0.05)
    assert found == [(reason,)]
    assert (await place.booked(device))["stored"] == 1


# --- births that cannot be ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("birth", "words"),
    [
        ({"model": "teapot"}, "model 'teapot' is not known here"),
        ({"metrics": (Declared("level", "Cel", "int"),)}, "metric level of model bench is in '%', not 'Cel'"),
        ({"metrics": (Declared("level", "%", "float64"),)}, "metric level of model bench is int, not float64"),
    ],
    ids=["unknown model", "another unit", "another type"],
)
async def test_a_birth_that_the_model_contradicts_is_refused_by_name(
    place: Place, birth: dict[str, Any], words: str
) -> None:
    _, token = await place.enrolled()
    async with opened(place.target, token) as raw:
        await raw.say(hello(raw.session, **birth))
        code, reason = await raw.closed()
    assert code == CloseCode.MODEL_REFUSED
    assert words in reason


async def garbled(raw: Raw) -> None:
    await raw.say(hello(raw.session), b"\xff\xff")


async def unknown(raw: Raw) -> None:
    await raw.say(hello(raw.session), bytes.fromhex("811863"))


async def too_early(raw: Raw) -> None:
    await raw.say(row(1))


async def twice(raw: Raw) -> None:
    await raw.say(hello(raw.session), hello(DeviceSession()))


async def large(raw: Raw) -> None:
    await raw.say(hello(raw.session), b"\x00" * 65_537)


async def gone_back(raw: Raw) -> None:
    await raw.say(hello(DeviceSession(None, None, acked=7, first=1, next=3)))


@pytest.mark.parametrize(
    ("speak", "code", "words"),
    [
        (garbled, CloseCode.GARBLED, "CBOR"),
        (unknown, CloseCode.PROTOCOL, "no message has this code here"),
        (too_early, CloseCode.PROTOCOL, "row is not legal while opening"),
        (twice, CloseCode.PROTOCOL, "hello is not legal while"),
        (large, CloseCode.TOO_BIG, ""),
        (gone_back, CloseCode.PROTOCOL, "acked"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
async def test_what_is_no_message_of_this_place_closes_the_link(
    place: Place, speak: Any, code: CloseCode, words: str
) -> None:
    _, token = await place.enrolled()
    async with opened(place.target, token) as raw:
        await speak(raw)
        ended, reason = await raw.closed()
    assert ended == code
    assert words in reason


# --- tokens ------------------------------------------------------------------------------------------------------


async def refused(place: Place, token: str | None) -> tuple[int, str]:
    """How the device path answers a token in the header: HTTP status, and what the client makes of it."""
    with pytest.raises(Refused) as caught:
        async with opened(place.target, token):
            pass
    return caught.value.status, caught.value.text


async def test_a_revoked_device_is_let_go_and_not_let_in_again(place: Place) -> None:
    device, token = await place.enrolled()
    async with welcomed(place.target, token) as (raw, _):
        ran = await place.run("devices", "revoke", device)
        assert ran.returncode == Exit.OK, ran.stderr
        assert f"telemetrio devices enroll {device}" in ran.stderr
        assert await raw.closed() == (CloseCode.REVOKED, "revoked by an operator")
    status, text = await refused(place, token)
    assert status == 401
    assert "does not know the token" in text
    async with opened(place.target, None) as raw:  # nor with the token in hello
        await raw.say(hello(raw.session, token=token))
        assert await raw.closed() == (CloseCode.UNAUTHORIZED, "no token that is known here")
    said(await place.run("send", device, "set_level", "level=1"), Exit.FAILED, "is revoked; enroll it again first")


async def test_a_simulated_device_that_was_revoked_ends_with_code_4(place: Place, tmp_path: Path) -> None:
    device, token = await place.enrolled()
    (tmp_path / f"{device}.token").write_text(token)
    ran = await place.run("devices", "revoke", device)
    assert ran.returncode == Exit.OK, ran.stderr
    ran = await place.run("devices", "run", "--id", device, "--model", "pump", "--tokens", str(tmp_path))
    assert ran.returncode == Exit.UNAUTHORIZED, ran.stderr
    assert f"{device}: the hub does not know its token; remove the token's file" in ran.stderr
    assert json.loads(ran.stdout)["unauthorised"] == 1


async def test_a_viewers_token_opens_no_device_link(place: Place) -> None:
    status, text = await refused(place, place.viewer)
    assert status == 403
    assert "does not let this token in here" in text
    async with opened(place.target, None) as raw:
        await raw.say(hello(raw.session, token=place.viewer))
        code, reason = await raw.closed()
    assert (code, reason) == (CloseCode.FORBIDDEN, "a token of role viewer is no device's")


async def test_a_devices_token_opens_no_operators_link(place: Place, tmp_path: Path) -> None:
    _, token = await place.enrolled()
    (tmp_path / "token").write_text(token)
    ran = await place.run("devices", "ls", "--token-file", str(tmp_path / "token"))
    said(ran, Exit.UNAUTHORIZED, "does not let this token in here", "right role")


async def test_a_viewer_may_look_and_not_touch(place: Place, tmp_path: Path) -> None:
    device, token = await place.enrolled()
    (tmp_path / "token").write_text(place.viewer)
    flag = ("--token-file", str(tmp_path / "token"))
    ran = await place.run("devices", "ls", device, *flag)
    assert ran.returncode == Exit.OK, ran.stderr
    async with welcomed(place.target, token):
        ran = await place.run("send", device, "set_level", "level=1", *flag)
    said(ran, Exit.UNAUTHORIZED, "role viewer may not send commands; use an operator's token")
    ran = await place.run("devices", "revoke", device, *flag)
    said(ran, Exit.UNAUTHORIZED, "devices.revoke needs a token of role admin; this one is of role viewer")


@pytest.mark.parametrize(
    ("content", "code", "words"),
    [
        ("tlm_nobody", Exit.UNAUTHORIZED, "does not know the token"),
        ("two words", Exit.USAGE, "holds no token (one line, no spaces)"),
        (None, Exit.USAGE, "No such file or directory; name another with --token-file"),
    ],
    ids=["unknown", "no token", "no file"],
)
async def test_a_wrong_token_file(place: Place, tmp_path: Path, content: str | None, code: Exit, words: str) -> None:
    if content is not None:
        (tmp_path / "token").write_text(content)
    said(await place.run("hub", "status", "--token-file", str(tmp_path / "token")), code, words)


# --- commands ----------------------------------------------------------------------------------------------------

UNFIT = [
    (("nope",), "bench has no command 'nope'; there are: set_level"),
    (("set_level", "level=lots"), "level = 'lots' is not allowed: a whole number from 0 to 10"),
    (("set_level", "level=1.5"), "level = '1.5' is not allowed: a whole number from 0 to 10"),
    (("set_level", "level=11"), "level = 11 is not allowed: a whole number from 0 to 10"),
    (("set_level", "hight=1"), "set_level has no argument 'hight': it takes level"),
    (("set_level", "level"), "'level' is no argument: write key=value"),
    (("set_level",), "level"),
    (("set_level", "level=1", "--timeout", "soon"), "'soon' is no duration: write 90s, 15m"),
    (("set_level", "level=1", "--timeout=-1"), "'-1' is no length of time"),
    (("set_level", "level=1", "--timeout", "30d"), "at most 86400 seconds"),
]


async def test_a_command_that_does_not_fit_is_not_sent(place: Place) -> None:
    device, token = await place.enrolled()
    async with welcomed(place.target, token):
        for words, told in UNFIT:
            said(await place.run("send", device, *words), Exit.USAGE, told)
    async with connect(place.target) as operator:
        assert await operator.call("commands.list", devices=[device]) == []


async def test_the_hub_refuses_what_no_command_line_has_looked_at(place: Place) -> None:
    device, token = await place.enrolled()
    async with welcomed(place.target, token), connect(place.target) as operator:
        for name, args, code, words in (
            ("nope", {}, "unknown_command", "bench has no command 'nope': it takes set_level"),
            ("set_level", {"level": "lots"}, "bad_argument", "level = 'lots' is not allowed"),
            ("set_level", {"level": 11}, "bad_argument", "from 0 to 10"),
            ("set_level", {}, "bad_argument", "level"),
        ):
            with pytest.raises(HubFailure) as caught:
                await operator.send_command(device, name, args, 5.0)
            assert caught.value.code == code
            assert words in caught.value.text
        calls: tuple[tuple[str, dict[str, Any], str], ...] = (
            ("devices.lst", {}, "there is no verb 'devices.lst'"),
            ("devices.list", {"devices": "all"}, "devices.list: devices must be a list of texts"),
            ("commands.list", {"limit": "many"}, "commands.list: limit must be a whole number from 1 to 10000"),
            ("status", {"deep": True}, "status has no argument 'deep'; it takes: none"),
        )
        for verb, given, words in calls:
            with pytest.raises(HubFailure) as caught:
                await operator.call(verb, **given)
            assert caught.value.code == "bad_request"
            assert words in caught.value.text


async def test_a_device_that_is_not_there(place: Place) -> None:
    device, token = await place.enrolled()
    said(await place.run("send", device, "set_level", "level=1"), Exit.UNKNOWN_DEVICE, "has never been here")
    async with welcomed(place.target, token):
        pass
    async with connect(place.target) as operator:
        with trio.fail_after(20):
            while (await operator.call("devices.show", device=device))["state"] == "online":  # noqa: ASYNC110
                await trio.sleep(0.02)
    ran = await place.run("send", device, "set_level", "level=1", "-o", "json")
    assert ran.returncode == Exit.UNKNOWN_DEVICE
    assert json.loads(ran.stdout)[0]["state"] == "unreachable"
    assert f"set_level of {device}: unreachable; see 'telemetrio devices show {device}'" in ran.stderr
    for words in (("send", "nobody", "set_level"), ("devices", "show", "nobody"), ("ledger", "nobody"),
                  ("query", "--device", "nobody")):  # fmt: skip
        said(await place.run(*words), Exit.UNKNOWN_DEVICE, "no device 'nobody' is enrolled", "telemetrio devices ls")


async def test_a_device_that_does_not_answer(place: Place) -> None:
    device, token = await place.enrolled()
    async with welcomed(place.target, token):
        ran = await place.run("send", device, "set_level", "level=1", "--timeout", "500ms", "-o", "json")
    assert ran.returncode == Exit.TIMEOUT, ran.stderr
    (info,) = json.loads(ran.stdout)
    assert info["state"] == "timed_out"
    assert f"telemetrio commands show {info['id']}" in ran.stderr
