import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trio

from hub.cli.ledger import COLUMNS
from hub.cli.tree import EXIT_CODES
from hub.model import parse_model
from hub.wire.operator import Ask, Call, Send, Subscribe
from tests.client.fakehub import TIME, Fails, FakeHub, command

pytestmark = pytest.mark.trio

MODEL = parse_model(
    """
description = "for tests"
[metrics.speed]
unit = "1/min"
[commands.set_speed]
description = "to so many turns"
[commands.set_speed.arguments.rpm]
type = "int"
min = 0
max = 3000
""",
    "pump",
).to_plain()
DEVICE = {
    "device": "p1", "model": "pump", "state": "online", "since": TIME, "last_seen": TIME, "software": "=1\x1b[2J",
    "labels": {"site": "north"}, "address": "10.0.0.1", "epoch": 1, "through": 9, "waiting": 90, "catch_up": 92.6,
    "clock_offset": -1_250_000,
}  # fmt: skip
DETAIL = DEVICE | {"metrics": [["speed", "1/min", "float64"]], "latest": [["speed", TIME, 1200.0, 0]]}
ENTRY = {
    "device": "p1", "epoch": 1, "next": 11, "kept": [[1, 9]], "waiting": [[10, 10]], "dropped": [], "lost": [],
    "moved": [], "closed": False, "unknown_above": False, "received": 27, "stored": 25, "pending": 0,
    "rejected": {"out_of_range": 2}, "expired": 0, "removed": {}, "dropped_readings": 0, "balanced": True,
}  # fmt: skip
STATUS = {
    "version": "0.1.0", "log": "x", "time": TIME, "uptime": 1.0, "ready": True, "links": 1, "devices": 1,
    "frames_per_s": 0.0, "readings_per_s": 0.0, "ack_ms_p50": 1.0, "ack_ms_p99": 2.0, "appended": 5, "durable": 5,
    "received": 1, "accepted": 1, "rejected": 0, "duplicate": 0, "refused": {"1007": 2, "4009": 1},
    "followers": [{"name": "store", "cursor": 5, "lag": 0, "healthy": True, "error": None}], "problems": [],
}  # fmt: skip


def hub(**fields: Any) -> FakeHub:
    verbs = {"devices.show": lambda args: DETAIL | {"device": args["device"]}, "models.show": MODEL}
    return FakeHub(verbs=verbs | fields.pop("verbs", {}), **fields)


def raises(code: str, text: str) -> Any:
    def handler(args: object) -> None:
        raise Fails(code, text)

    return handler


# --- send and commands


@pytest.mark.parametrize(
    ("state", "code"),
    [("succeeded", 0), ("failed", 6), ("rejected", 6), ("timed_out", 124), ("unreachable", 5), ("expired", 124)],
)
async def test_send_waits_and_its_exit_code_tells_how_it_ended(ask, state, code) -> None:
    fake = hub(states=[{"state": "queued"}, {"state": "sent"}, {"state": state, "value": {"rpm": 1200}}])
    ran = await ask(fake, "send", "p1", "set_speed", "rpm=1200", "--timeout", "2s", "-o", "json")
    assert ran.code == code
    assert [info["state"] for info in json.loads(ran.out)] == [state]
    sent = [request for request in fake.asked if isinstance(request, Send)]
    assert [(each.device, each.name, dict(each.args), each.timeout, each.wait) for each in sent] == [
        ("p1", "set_speed", {"rpm": 1200}, 2.0, True)
    ]


async def test_an_unknown_command_is_told_with_the_exit_code_of_unknown_names(ask) -> None:
    text = "there is no command 'c9'; `telemetrio commands ls` lists them"
    ran = await ask(hub(verbs={"commands.show": raises("unknown", text)}), "commands", "show", "c9")
    assert (ran.code, ran.out, ran.err) == (5, "", f"telemetrio: {text}\n")
    assert "5 unknown name or offline device" in EXIT_CODES


async def test_send_without_waiting(ask) -> None:
    ran = await ask(hub(states=[{"state": "queued"}]), "send", "p1", "set_speed", "rpm=1", "--no-wait")
    assert (ran.code, json.loads(ran.out)["state"]) == (0, "queued")


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (("reboot",), "there are: set_speed"),
        (("set_speed", "rpm=fast"), "rpm"),
        (("set_speed", "rpm=5000"), "3000"),
        (("set_speed",), "rpm"),
        (("set_speed", "speed=1"), "speed"),
    ],
)
async def test_a_wrong_command_or_argument_never_leaves(ask, words, hint) -> None:
    fake = hub(states=[{"state": "queued"}])
    ran = await ask(fake, "send", "p1", *words)
    assert (ran.code, ran.out) == (2, "")
    assert hint in ran.err
    assert not any(isinstance(request, Send) for request in fake.asked)


async def test_send_to_an_unknown_device(ask) -> None:
    fake = hub(verbs={"devices.show": raises("unknown_device", "no device 'x'; see 'telemetrio devices ls'")})
    ran = await ask(fake, "send", "x", "set_speed", "rpm=1")
    assert ran.code == 5
    assert "devices ls" in ran.err


async def test_send_with_a_viewers_token(ask) -> None:
    def refuse(args: object) -> None:
        raise Fails("forbidden", "role viewer may not send commands; use an operator's token")

    ran = await ask(hub(verbs={"devices.show": refuse}), "send", "p1", "set_speed", "rpm=1")
    assert ran.code == 4
    assert "operator's token" in ran.err


async def test_commands_ls_show_cancel(ask) -> None:
    fake = hub(
        verbs={
            "commands.list": [command(state="failed", value="too hot")],
            "commands.show": lambda args: command(id=args["id"]),
            "commands.cancel": raises("conflict", "c1 has ended already"),
        }
    )
    ran = await ask(fake, "commands", "ls", "--device", "p*", "--state", "failed", "-n", "5")
    assert json.loads(ran.out)["value"] == "too hot"
    assert fake.asked == [Call(1, "commands.list", {"devices": ["p*"], "states": ["failed"], "limit": 5})]
    ran = await ask(fake, "commands", "show", "c9", "-o", "json")
    assert json.loads(ran.out) | {"id": "c9", "created": "2027-01-15T08:00:00.000000Z"} == json.loads(ran.out)
    ran = await ask(fake, "commands", "cancel", "c1")
    assert (ran.code, ran.err) == (1, "telemetrio: c1 has ended already\n")


# --- devices


async def test_devices_ls(ask) -> None:
    fake = hub(verbs={"devices.list": [DEVICE]})
    ran = await ask(fake, "devices", "ls", "p*", "--label", "site=north", "-o", "table")
    assert fake.asked == [Call(1, "devices.list", {"devices": ["p*"], "labels": {"site": "north"}})]
    assert ran.out.splitlines()[0].split() == [
        "DEVICE",
        "MODEL",
        "STATE",
        "SINCE",
        "LAST_SEEN",
        "WAITING",
        "CATCH_UP",
        "LABELS",
        "SOFTWARE",
    ]
    assert "=1\\e[2J" in ran.out
    assert " 1m33s " in ran.out
    assert "\x1b" not in ran.out
    ran = await ask(fake, "devices", "ls", "-o", "csv", "--no-headers")
    assert next(csv.reader([ran.out]))[-1] == "'=1\\e[2J"
    ran = await ask(fake, "devices", "ls", "-o", "json")
    assert json.loads(ran.out)[0]["software"] == "=1\x1b[2J"
    assert "\x1b" not in ran.out
    assert (await ask(hub(verbs={"devices.list": []}), "devices", "ls", "--fail-empty")).code == 7


async def test_devices_show(ask) -> None:
    detail = DEVICE | {
        "metrics": [["speed", "1/min", "float64"]], "latest": [["speed", TIME, 1200.0, 0]], "ledger": [ENTRY],
        "desired": {}, "reported": {"mode": "auto"},
    }  # fmt: skip
    fake = hub(verbs={"devices.show": detail})
    ran = await ask(fake, "devices", "show", "p1", "-o", "table")
    assert ran.code == 0
    for word in ("online", "speed", "1/min", "1200", "good", "out_of_range 2", "-1.250 s"):
        assert word in ran.out
    ran = await ask(fake, "devices", "show", "p1")
    assert json.loads(ran.out)["latest"] == [
        {"metric": "speed", "time": "2027-01-15T08:00:00.000000Z", "value": 1200.0, "quality": 0}
    ]


async def test_devices_enroll_prints_or_saves_the_token(ask, place) -> None:
    fake = hub(verbs={"devices.enroll": lambda args: {"device": args["device"], "token": "t0k"}})
    ran = await ask(fake, "devices", "enroll", "d1", "--label", "site=north")
    assert json.loads(ran.out) == {"device": "d1", "token": "t0k"}
    assert fake.asked == [Call(1, "devices.enroll", {"device": "d1", "labels": {"site": "north"}})]
    ran = await ask(fake, "devices", "enroll", "d1", "--save", "d1.token")
    assert ran.out == ""
    assert (place / "d1.token").read_text() == "t0k\n"
    assert (place / "d1.token").stat().st_mode & 0o777 == 0o600


async def test_devices_revoke(ask) -> None:
    fake = hub(verbs={"devices.revoke": {"device": "d1"}})
    ran = await ask(fake, "devices", "revoke", "d1")
    assert (ran.code, ran.out) == (0, "")
    assert "locked out" in ran.err


# --- query and tail


def answer(truncated: bool = False) -> dict[str, Any]:
    columns = {
        "device": ["p1", "p\x1b"], "metric": ["speed", "note"], "unit": ["1/min", ""],
        "time": np.array([TIME, TIME + 1], np.int64), "value": [1.5, "=cmd"], "quality": np.array([0, 2], np.int8),
    }  # fmt: skip
    return {"columns": columns, "truncated": truncated}


async def test_hub_trust_clock_tells_what_was_confirmed_or_why_not(ask) -> None:
    ran = await ask(
        hub(verbs={"clock.trust": {"behind": 3_600_000_000, "ahead": 0}}), "hub", "trust-clock", "-o", "json"
    )
    assert (ran.code, json.loads(ran.out)) == (0, {"behind_s": 3600.0, "ahead_s": 0.0})
    text = "the hub's clock is trusted: there is nothing to confirm"
    ran = await ask(hub(verbs={"clock.trust": raises("conflict", text)}), "hub", "trust-clock")
    assert (ran.code, ran.out, ran.err) == (1, "", f"telemetrio: {text}\n")


async def test_query_asks_what_was_typed(ask) -> None:
    fake = hub(parts=[answer()])
    words = "speed --device p* --label site=north --since 2027-01-01 --until 2027-01-02 --every 1m --agg mean,max -n 5"
    ran = await ask(fake, "query", *words.split())
    assert ran.code == 0
    assert [request.question for request in fake.asked if isinstance(request, Ask)] == [
        {
            "metrics": ["speed"], "devices": ["p*"], "labels": {"site": "north"}, "since": 1798761600000000,
            "until": 1798848000000000, "every": 60_000_000, "aggregates": ["mean", "max"], "limit": 5,
        }
    ]  # fmt: skip


async def test_query_in_every_format(ask) -> None:
    first = {
        "device": "p1", "metric": "speed", "unit": "1/min", "time": "2027-01-15T08:00:00.000000Z", "value": 1.5,
        "quality": "good",
    }  # fmt: skip
    for kind in ("json", "ndjson"):
        ran = await ask(hub(parts=[answer()]), "query", "-o", kind)
        rows = json.loads(ran.out) if kind == "json" else [json.loads(line) for line in ran.out.splitlines()]
        assert rows[0] == first
        assert rows[1]["quality"] == "rewound"
    ran = await ask(hub(parts=[answer()]), "query", "-o", "csv")
    assert ran.out.splitlines()[1:] == [
        "p1,speed,1/min,2027-01-15T08:00:00.000000Z,1.5,good",
        "p\\e,note,,2027-01-15T08:00:00.000001Z,'=cmd,rewound",
    ]
    ran = await ask(hub(parts=[answer(truncated=True)]), "query", "-o", "table")
    assert ran.out.splitlines()[1].split() == ["p1", "speed", "1/min", "2027-01-15T08:00:00.000000Z", "1.5", "good"]
    assert "--limit" in ran.err


async def test_query_that_matches_nothing(ask) -> None:
    nothing = {"columns": {name: [] for name in answer()["columns"]}, "truncated": False}
    ran = await ask(hub(parts=[nothing]), "query")
    assert (ran.code, ran.out) == (0, "")
    assert ran.err.startswith("telemetrio: nothing matches; ")
    assert (await ask(hub(parts=[nothing]), "query", "--fail-empty", "-o", "json")).code == 7


async def test_aggregates_tell_which_metrics_were_left_out_because_they_are_texts(ask) -> None:
    def parts(question: dict[str, Any]) -> list[dict[str, Any]]:
        """As the hub: aggregates of speed only; the note is a text, of level there is nothing."""
        aggregated = "aggregates" in question
        metrics = [name for name in question["metrics"] if name == ("speed" if aggregated else "note")]
        value: Any = np.array([1.5] * len(metrics)) if aggregated else ["ok"] * len(metrics)
        columns = {
            "device": ["p1"] * len(metrics), "metric": metrics, "unit": [""] * len(metrics),
            "time": np.array([TIME] * len(metrics), np.int64),
        }  # fmt: skip
        more = {"last": value} if aggregated else {"value": value, "quality": np.zeros(len(metrics), np.int8)}
        return [{"columns": columns | more, "truncated": False}]

    ran = await ask(hub(parts=parts), "query", "note", "speed", "level", "--agg", "last", "-o", "json")
    assert ran.code == 0
    assert [(row["metric"], row["last"]) for row in json.loads(ran.out)] == [("speed", 1.5)]
    assert "these are texts: note; ask without --agg" in ran.err
    ran = await ask(hub(parts=parts), "query", "note", "--agg", "last", "--fail-empty")
    assert (ran.code, ran.out) == (7, "")
    assert "these are texts: note;" in ran.err
    ran = await ask(hub(parts=parts), "query", "speed", "--agg", "last")
    assert (ran.code, ran.err) == (0, "")


async def test_a_question_the_hub_refuses(ask) -> None:
    ran = await ask(hub(), "query", "nonsense")
    assert ran.code == 2
    assert "no such metric" in ran.err


READINGS = ("readings", [["p1", "speed", TIME, 1.5, 0], ["p1", "temp\x1b", TIME, 20.0, 1]])


async def test_tail_stops_after_n(ask) -> None:
    fake = hub(updates=[READINGS, READINGS])
    ran = await ask(fake, "tail", "p1", "--metric", "s*", "-n", "3")
    assert ran.code == 0
    assert [json.loads(line)["metric"] for line in ran.out.splitlines()] == ["speed", "temp\x1b", "speed"]
    assert isinstance(fake.asked[0], Subscribe)
    assert (fake.asked[0].kinds, fake.asked[0].devices, fake.asked[0].metrics) == (("readings",), ("p1",), ("s*",))


async def test_tail_of_an_unknown_device_says_so(ask) -> None:
    def unknown(args: dict[str, Any]) -> None:
        raise Fails("unknown_device", f"no device {args['device']!r} is enrolled")

    ran = await ask(hub(verbs={"devices.show": unknown}), "tail", "nobody")
    assert ran.code == 5
    assert "no device 'nobody' is enrolled" in ran.err
    assert ran.out == ""


async def test_tail_of_an_unknown_metric_names_those_that_are_near(ask) -> None:
    ran = await ask(hub(), "tail", "p1", "--metric", "sped")
    assert (ran.code, ran.out) == (5, "")
    assert "p1 has no metric 'sped'; did you mean speed?" in ran.err
    ran = await ask(hub(), "tail", "p1", "--metric", "speed", "--metric", "zzz")
    assert (ran.code, ran.out) == (5, "")
    assert "no metric 'zzz'; 'telemetrio devices show p1' lists them" in ran.err


@pytest.mark.parametrize("metric", ["zz*", "speed", "pressure"], ids=["glob", "declared", "of the model"])
async def test_tail_waits_for_metrics_that_may_come(ask, metric) -> None:
    model = MODEL | {"metrics": [{"name": "pressure", "type": "float64", "unit": "Pa"}]}
    ran = await ask(hub(updates=[READINGS], verbs={"models.show": model}), "tail", "p1", "--metric", metric, "-n", "1")
    assert (ran.code, ran.err) == (0, "")


async def test_tail_waits_for_a_device_that_was_never_here(ask) -> None:
    fake = hub(updates=[READINGS], verbs={"devices.show": DEVICE | {"model": "", "metrics": [], "latest": []}})
    ran = await ask(fake, "tail", "p1", "--metric", "zzz", "-n", "1")
    assert (ran.code, ran.err) == (0, "")


async def test_tail_of_a_glob_waits_for_devices_to_come(ask) -> None:
    fake = hub(verbs={"devices.show": None}, updates=[READINGS])
    ran = await ask(fake, "tail", "no*", "--for", "0.3")
    assert ran.code == 0
    assert all(isinstance(asked, Subscribe) for asked in fake.asked)


async def test_tail_stops_after_a_time_and_tells_what_was_left_out(ask) -> None:
    ran = await ask(hub(updates=[READINGS, ("skipped", {"count": 7})]), "tail", "--for", "0.3", "-o", "table")
    assert ran.code == 0
    assert ran.out.splitlines()[1].split() == ["2027-01-15T08:00:00.000000Z", "p1", "speed", "1.5", "good"]
    assert "7 readings left out" in ran.err


async def test_tail_of_a_hub_that_stops(ask) -> None:
    ran = await ask(hub(updates=[READINGS], hang_up=(1001, "going away")), "tail", "-o", "json")
    assert ran.code == 3
    assert len(json.loads(ran.out)) == 2
    assert "1001 going away" in ran.err


# --- ledger, status, reachability


async def test_a_ledger_that_balances(ask) -> None:
    ran = await ask(hub(verbs={"ledger": [ENTRY]}), "ledger", "-o", "json")
    told = json.loads(ran.out)
    assert (ran.code, ran.err) == (0, "")
    assert told["balanced"] is True
    assert (told["batches"], told["kept"], told["waiting"], told["stored"], told["rejected"]) == (
        10, 9, 1, 25, {"out_of_range": 2},
    )  # fmt: skip
    assert told["entries"][0]["kept"] == [[1, 9]]
    ran = await ask(hub(verbs={"ledger": [ENTRY]}), "ledger", "p1", "-o", "table")
    assert ran.out.splitlines()[1].split()[:5] == ["p1", "1", "11", "9", "10"]


async def test_the_ledger_looks_as_its_page_shows(ask) -> None:
    entry = ENTRY | {
        "device": "tank-1", "next": 1204, "kept": [[1, 1200]], "waiting": [[1201, 1203]], "received": 2400,
        "stored": 2399, "rejected": {"out_of_range": 1},
    }  # fmt: skip
    ran = await ask(hub(verbs={"ledger": [entry]}), "ledger", "-o", "table")
    page = (Path(__file__).parents[2] / "docs" / "ledger.md").read_text()
    example = page.partition("```\n")[2].partition("```")[0]
    assert [line.split() for line in ran.out.splitlines()[:2]] == [line.split() for line in example.splitlines()]


async def test_the_ledger_tells_to_which_epoch_batches_moved(ask) -> None:
    gone = ENTRY | {"waiting": [], "moved": [[5, 7], [9, 9]], "moved_to": 2}
    ran = await ask(hub(verbs={"ledger": [gone]}), "ledger", "-o", "table")
    assert "5-7, 9 (to 2)" in ran.out
    ran = await ask(hub(verbs={"ledger": [gone]}), "ledger", "-o", "json")
    assert json.loads(ran.out)["entries"][0]["moved_to"] == 2


async def test_the_table_of_the_ledger_has_every_term_that_is_not_0_and_csv_has_all(ask) -> None:
    gone = ENTRY | {"device": "p2", "rejected": {}, "expired": 4, "removed": {"admin": 3}, "received": 32}
    ran = await ask(hub(verbs={"ledger": [ENTRY, gone]}), "ledger", "-o", "table")
    assert ran.out.splitlines()[0].split() == [
        "DEVICE", "EPOCH", "NEXT", "KEPT", "WAITING", "LOST", "RECEIVED", "STORED", "REJECTED", "EXPIRED", "REMOVED",
        "BALANCED",
    ]  # fmt: skip
    assert ran.out.splitlines()[2].split() == [
        "p2",
        "1",
        "11",
        "9",
        "10",
        "0",
        "32",
        "25",
        "0",
        "4",
        "admin",
        "3",
        "yes",
    ]
    good = ENTRY | {"waiting": [], "rejected": {}}
    ran = await ask(hub(verbs={"ledger": [good]}), "ledger", "-o", "table")
    assert ran.out.splitlines()[0] == "DEVICE  EPOCH  NEXT  KEPT  LOST  RECEIVED  STORED  BALANCED"
    ran = await ask(hub(verbs={"ledger": [good]}), "ledger", "-o", "csv")
    assert ran.out.splitlines()[0].split(",") == list(COLUMNS)
    assert {"expired", "removed"} <= set(COLUMNS)


async def test_loss_at_the_hub_is_said_first_and_fails(ask) -> None:
    lost = ENTRY | {"kept": [[1, 7]], "lost": [[8, 9]]}
    other = ENTRY | {"device": "p2", "balanced": False, "problem": "stored differs: 24, not 25"}
    ran = await ask(hub(verbs={"ledger": [other, lost]}), "ledger")
    assert ran.code == 1
    assert ran.err.splitlines() == [
        "telemetrio: lost at the hub: p1 epoch 1: batches 8-9",
        "telemetrio: does not balance: p2 epoch 1: stored differs: 24, not 25",
    ]


async def test_hub_status(ask) -> None:
    ran = await ask(hub(verbs={"status": STATUS}), "hub", "status", "-o", "table")
    assert "1007 2, 4009 1" in ran.out
    assert ran.code == 0
    assert "store" in ran.out
    mirror = {"name": "influx", "cursor": 9, "lag": 0, "healthy": True, "error": None, "missing": [[1, 7], [9, 9]]}
    ran = await ask(hub(verbs={"status": STATUS | {"followers": [mirror]}}), "hub", "status", "-o", "table")
    assert "1-7, 9-9" in ran.out
    ran = await ask(hub(verbs={"status": STATUS | {"ready": False, "problems": ["disk full"]}}), "hub", "status")
    assert (ran.code, json.loads(ran.out)["problems"]) == (1, ["disk full"])


async def test_hub_rebuild(ask) -> None:
    stored = {"rebuilding": False, "cursor": 29, "readings": 192, "set_aside": "/data/store.duckdb.damaged-1"}
    verbs = {"store.rebuild": {"through": 29, "only_copy": None}, "store.status": stored}
    fake = hub(verbs=verbs)
    ran = await ask(fake, "hub", "rebuild", "-o", "json")
    told = json.loads(ran.out)
    assert (ran.code, told["readings"], told["set_aside"], told["only_copy"]) == (0, 192, stored["set_aside"], 0)
    assert "only copy of" not in ran.err
    assert [dict(each.args) for each in fake.asked if each.verb == "store.rebuild"] == [{}]


async def test_hub_rebuild_that_would_lose_readings(ask) -> None:
    fake = hub(verbs={"store.rebuild": raises("conflict", "the journal is damaged: say --accept-loss")})
    ran = await ask(fake, "hub", "rebuild")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err == "telemetrio: the journal is damaged: say --accept-loss\n"


@pytest.mark.parametrize(
    ("readings", "kept", "text"),
    [
        (8, "/data/store.duckdb.damaged-1", "damaged-1 is now the only copy of 8 readings of 2 records (17-18), which"),
        (None, "/data/store.duckdb.damaged-1", "the only copy of whatever the store had of 2 records (17-18), which"),
        (8, None, "the store's file was gone, and with it 8 readings of 2 records (17-18), which"),
    ],
)
async def test_hub_rebuild_with_accept_loss_says_where_the_only_copy_is(ask, readings, kept, text) -> None:
    alone = {"records": [[17, 18]], "batches": 1, "readings": readings}
    stored = {"rebuilding": False, "cursor": 29, "readings": 192, "set_aside": kept}
    fake = hub(verbs={"store.rebuild": {"through": 29, "only_copy": alone}, "store.status": stored})
    ran = await ask(fake, "hub", "rebuild", "--accept-loss", "-o", "json")
    assert (ran.code, json.loads(ran.out)["only_copy"]) == (0, readings)
    assert text in ran.err
    assert [dict(each.args) for each in fake.asked if each.verb == "store.rebuild"] == [{"accept_loss": True}]


async def test_an_unreachable_hub(telemetrio, place, trust) -> None:
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listeners[0].socket.getsockname()[1]
    await listeners[0].aclose()
    (place / "token").write_text("t")
    words = ("--url", f"wss://localhost:{port}", "--token-file", "token", "--ca", str(trust.ca))
    ran = await trio.to_thread.run_sync(telemetrio, "hub", "status", *words)
    assert (ran.code, ran.out) == (3, "")
    assert "nobody listens" in ran.err
    assert len(ran.err.splitlines()) == 1


async def test_a_wrong_token(ask, place) -> None:
    (place / "other").write_text("wrong")
    ran = await ask(hub(), "hub", "status", "--token-file", "other")
    assert ran.code == 4
    assert "does not know the token" in ran.err


async def test_doctor_tells_each_finding(ask) -> None:
    ran = await ask(hub(verbs={"status": STATUS}), "doctor", "-o", "json")
    found = {finding["check"]: finding["good"] for finding in json.loads(ran.out)}
    assert found["hub"]
    assert found["token"]
    assert not found["clock"], "the fake hub lives in 2027"
    assert ran.code == 1


async def test_config_show_names_origins_and_hides_tokens(ask, monkeypatch) -> None:
    monkeypatch.setenv("TELEMETRIO_TOKEN", "hush")
    ran = await ask(hub(token="hush"), "config", "show")
    told = {row["setting"]: row for row in map(json.loads, ran.out.splitlines())}
    assert told["client.token"] == {"setting": "client.token", "value": "(set)", "origin": "TELEMETRIO_TOKEN"}
    assert told["client.url"]["origin"] == "telemetrio.toml"
    assert told["hub.listen"]["origin"] == "default"
    assert "hush" not in ran.out
