"""What people type by mistake: told before anything is started, with what to write instead, and no traceback."""

import errno
import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from hub.cli.devices import _exit, token_folder
from hub.cli.exits import CommandError, explain
from hub.cli.run import run
from hub.client import ContextError, Flags, find_context
from hub.state import StateError
from hub.store.base import StoreError
from hub.wire.codec import encode
from hub.wire.errors import LocalProtocolError
from hub.wire.operator import Call
from tests.cli.test_commands import ENTRY, hub, raises
from tests.cli.test_processes import TELEMETRIO, environment

RUN = ("devices", "run", "--id", "d", "--model", "pump")
FLEET = ("devices", "fleet")
WORDS: dict[tuple[str, ...], str] = {
    ("nonsense",): 'Unknown command "nonsense". Available commands: demo, init',
    ("hub", "servee"): 'Did you mean "serve"?',
    ("hub", "check", "now"): "Too many words: 'now'.",
    ("devices", "ls", "--nope"): "Unknown option: --nope",
    ("devices", "ls", "-o", "yaml"): 'Choose from: "table", "json", "ndjson", "csv"',
    ("devices", "ls", "-o"): "-o requires an argument",
    ("devices", "ls", "--label", "north"): "'north' is no label: write KEY=VALUE",
    ("devices", "run"): "parameter --id requires an argument",
    ("devices", "run", "--id", "d"): "parameter --model requires an argument",
    ("devices", "run", "--id", "d", "--model", "teapot"): "no model 'teapot'; there are air-quality",
    ("devices", "run", "--id", "a b", "--model", "pump"): "'a b' cannot name a device: letters, digits",
    ("devices", "run", "--id", "../d", "--model", "pump"): "'../d' cannot name a device",
    ("devices", "host", "--id", "a/b"): "'a/b' cannot name a device",
    (*RUN, "--every", "0"): "'0' is no length of time: write 30, 90s, 15m or 1h30m",
    (*RUN, "--every=-1"): "'-1' is no length of time",
    (*RUN, "--every", "nan"): "'nan' is no length of time",
    (*RUN, "--every", "inf"): "'inf' is no length of time",
    (*RUN, "--every", "5parsecs"): "'5parsecs' is no duration: write 90s",
    (*RUN, "--every", "1us"): "the period is from 0.01 to 3600 s, not 1e-06",
    (*RUN, "--every", "2h"): "the period is from 0.01 to 3600 s, not 7200",
    (*RUN, "--batch", "0"): "a batch is from 1 to 500 rows, not 0",
    (*RUN, "--batch", "many"): 'unable to convert "many" into int',
    (*RUN, "--seconds", "soon"): "'soon' is no duration",
    (*RUN, "--seconds=-3"): "'-3' is no length of time",
    (*RUN, "--fault", "smoke=1"): "fault: unknown key 'smoke'",
    (*RUN, "--fault", "spik=1"): "did you mean spike?",
    (*RUN, "--fault", "nan"): "'nan' is no fault: write KEY=VALUE",
    (*RUN, "--fault", "nan=hello"): "nan=hello: the fault needs a number",
    (*RUN, "--fault", "nan=7"): "nan must be a number from 0 to 1, not 7",
    (*RUN, "--fault", "nan=nan"): "nan must be a number from 0 to 1",
    (*RUN, "--fault", "cut=-1"): "cut must be a number from 0.1 to 86400, not -1",
    ("devices", "host", "--every", "0"): "'0' is no length of time",
    (*FLEET, "dmo"): "no scenario 'dmo': did you mean demo?",
    (*FLEET, "none.toml"): "none.toml cannot be read: No such file or directory",
    (*FLEET, "binary.toml"): "binary.toml is not UTF-8, so it is no scenario",
    (*FLEET, "-n", "0"): "a fleet has from 1 to 20000 devices, not 0",
    ("demo", "-n", "0"): "must be at least 1",
    ("demo", "--headless", "--seconds=-1"): "'-1' is no length of time",
    ("send", "d"): "parameter COMMAND requires an argument",
    ("send", "d", "c", "--timeout", "nan"): "'nan' is no length of time",
    ("commands", "ls", "--state", "done"): "'done' is no state; there are: queued",
    ("query", "--last", "5"): "'5' is no duration: write 90s",
    ("query", "--last", "1h", "--since", "now"): "--last and --since both say where to begin",
    ("query", "--since", "9999-12-31"): "'9999-12-31' is no instant: it is after 2255",
    ("query", "--since", "yesterday"): "'yesterday' is no instant: write 2026-11-22T10:00:00Z",
    ("query", "--since", "now", "--until", "now-1h"): "swap --since and --until",
    ("query", "--every", "1m", "--agg", "median"): "'median' is no aggregate: use mean, min",
    ("query", "--limit", "0"): "limit must be from 1 to 1000000",
    ("tail", "-n", "0"): "must be at least 1",
    ("tail", "--for", "0"): "'0' is no length of time",
    ("tail", "--for=-1"): "'-1' is no length of time",
    ("init", "new", "--name", "a b"): "'a b' is neither a DNS name nor an address: write hub.example.org",
    ("init", "new", "--name", ""): "'' is neither a DNS name nor an address",
    ("init", "new", "--listen", "here"): "'here' is not HOST:PORT; write for example 127.0.0.1:8443",
    ("hub", "serve", "--log-level", "loud"): "the command line: log.level: must be 'debug', 'info'",
    ("completion", "tcsh"): 'Choose from: "bash", "zsh", "fish"',
    ("dash",): "the dashboard needs a terminal",
    ("decode", "a", "b"): "Too many words: 'b'.",
}  # fmt: skip


@pytest.mark.parametrize("words", WORDS, ids=" ".join)
def test_a_wrong_word_is_told_before_anything_is_started(words, telemetrio, place: Path, monkeypatch) -> None:
    monkeypatch.setenv("TELEMETRIO_TOKEN", "t")
    monkeypatch.setenv("TELEMETRIO_URL", "wss://localhost:1")  # whoever dials finds nobody, and ends with 3
    monkeypatch.setattr("sys.stdin", io.StringIO())
    (place / "binary.toml").write_bytes(b"\xff\xfe")
    before = sorted(place.iterdir())
    ran = telemetrio(*words)
    assert ran.code == 2, ran.err
    assert WORDS[words] in ran.err
    assert ran.err.startswith("telemetrio: ")
    assert ran.out == ""
    assert sorted(place.iterdir()) == before


# --- words that only the hub can judge, or a file


@pytest.mark.trio
async def test_what_is_not_utf_8_is_told(ask) -> None:
    for words in (("query", "\udcff"), ("devices", "show", "\udcff"), ("devices", "ls", "--label", "k=\udcff"),
                  ("tail", "\udcff"), ("query", "--device", "\udcff*")):  # fmt: skip
        ran = await ask(hub(), *words)
        assert (ran.code, ran.out) == (2, ""), ran.err
        assert "what was typed is not UTF-8" in ran.err


def test_only_a_word_that_cannot_be_encoded_is_the_users_mistake() -> None:
    with pytest.raises(LocalProtocolError) as caught:
        encode(Call(1, "x", {"a": object()}))
    assert explain(caught.value) is None


@pytest.mark.trio
async def test_a_token_is_not_asked_for_when_it_cannot_be_saved(ask, place: Path) -> None:
    fake = hub(verbs={"devices.enroll": {"device": "d", "token": "new"}})
    ran = await ask(fake, "devices", "enroll", "d", "--save", "none/token")
    assert ran.code == 1
    assert ran.err == "telemetrio: none/token: No such file or directory; check the path\n"
    assert fake.asked == [], "the old token is still good"
    mode = os.stat(place).st_mode
    ran = await ask(fake, "devices", "enroll", "d", "--save", ".")
    assert os.stat(place).st_mode == mode
    assert "Is a directory; name a file, not a folder" in ran.err
    assert fake.asked == []


@pytest.mark.trio
async def test_nothing_matches_and_stdout_has_nothing_but_data(ask) -> None:
    ran = await ask(hub(verbs={"devices.list": []}), "devices", "ls", "none-*", "-o", "json")
    assert (ran.code, ran.out) == (0, "[]\n")
    assert "no device matches; 'telemetrio devices enroll NAME' lets one in" in ran.err
    assert (await ask(hub(verbs={"devices.list": []}), "devices", "ls", "--fail-empty")).code == 7


@pytest.mark.trio
@pytest.mark.parametrize(
    ("state", "words"),
    [
        ("failed", "what the device said"),
        ("timed_out", "telemetrio commands show "),
        ("unreachable", "telemetrio devices show p1"),
        ("expired", "--timeout"),
    ],
)
async def test_a_command_that_came_to_nothing_says_what_to_do(ask, state: str, words: str) -> None:
    ran = await ask(hub(states=[{"state": state}]), "send", "p1", "set_speed", "rpm=1")
    assert f"telemetrio: set_speed of p1: {state}; " in ran.err
    assert words in ran.err


@pytest.mark.trio
async def test_the_ledger_of_a_device_that_is_not_there(ask) -> None:
    fake = hub(verbs={"ledger": raises("unknown_device", "no device 'p9' is enrolled")})
    assert (await ask(fake, "ledger", "p9")).code == 5
    assert (await ask(hub(verbs={"ledger": [ENTRY]}), "ledger", "p1")).code == 0


# --- how devices end


@pytest.mark.parametrize(
    ("told", "code"),
    [
        ({"problems": []}, 0),
        ({"devices_online": 2}, 0),
        ({"turned_away": 2, "unauthorised": 2}, 4),
        ({"turned_away": 1, "unauthorised": 1}, 1),
        ({"turned_away": 2}, 1),
        ({}, 3),
        ({"links": 1}, 1),
    ],
)
def test_the_exit_code_tells_what_kept_devices_away(told: dict[str, object], code: int) -> None:
    report = {"problems": ["x"], "devices": 2, "devices_online": 0, "links": 0, "turned_away": 0, "unauthorised": 0}
    assert _exit(report | told) == code


def test_devices_of_a_user_without_a_home_need_a_folder(place: Path, monkeypatch) -> None:
    monkeypatch.setattr("os.getuid", lambda: 4_000_000_000)
    monkeypatch.delenv("HOME", raising=False)
    with pytest.raises(CommandError, match="--tokens"):
        token_folder(find_context(Flags(), {}), {})


def test_a_url_that_can_be_no_hubs_is_a_mistake_of_usage() -> None:
    with pytest.raises(ContextError, match="wss://HOST:PORT"):
        find_context(Flags(url="http://localhost"), {"TELEMETRIO_TOKEN": "t"}).target.address()


# --- the system says no


def test_errors_of_the_system_say_what_to_do() -> None:
    for number, words in ((errno.EACCES, "get the right to it"), (errno.ENOSPC, "make room"), (errno.EISDIR, "a file")):
        told = explain(OSError(number, os.strerror(number), "x"))
        assert told is not None
        assert told[0] == 1
        assert words in told[1]
    told = explain(OSError(errno.ENOSPC, "No space left on device"))
    assert told is not None
    assert "the output cannot be written" in told[1]
    assert explain(OSError(errno.ECONNRESET, "reset")) is None, "that is for the client room to tell"
    assert explain(StateError("the state file: damaged")) == (1, "the state file: damaged")
    assert explain(StoreError("the store: damaged")) == (1, "the store: damaged")


def shell(command: str) -> "subprocess.CompletedProcess[str]":
    """A command line as a shell runs it; ``telemetrio`` is this one."""
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", f'telemetrio() {{ {" ".join(TELEMETRIO)} "$@"; }}; {command}'],
        env=environment(PATH=os.environ["PATH"]), capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_told_once() -> None:
    ran = shell("telemetrio config show > /dev/full")
    assert ran.returncode == 1
    assert "Traceback" not in ran.stderr
    assert ran.stderr == (
        "telemetrio: the output cannot be written: No space left on device; make room, or write elsewhere\n"
    )


@pytest.mark.parametrize(
    ("command", "code", "out", "err"),
    [
        ("telemetrio config show >&-", 0, "", ""),
        ("telemetrio nonsense 2>&-", 2, "", ""),
        ("telemetrio decode - <&-", 1, "", "no message"),
        ("telemetrio --help | head -0", 0, "", ""),
        ("telemetrio config show | head -0", 0, "", ""),
    ],
)
def test_streams_that_are_closed(command: str, code: int, out: str, err: str) -> None:
    ran = shell(command)
    assert (ran.returncode, ran.stdout) == (code, out), ran.stderr
    assert err in ran.stderr
    assert (ran.stderr == "") == (err == "")


def test_ctrl_c_while_modules_are_imported(monkeypatch) -> None:
    from hub import cli

    monkeypatch.setattr("hub.cli.run.run", lambda words: (_ for _ in ()).throw(KeyboardInterrupt))
    monkeypatch.setattr(sys, "argv", ["telemetrio"])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    assert caught.value.code == 130


def test_a_mistake_of_ours_is_not_hidden(monkeypatch) -> None:
    monkeypatch.setattr("hub.cli.run.build", lambda tokens: lambda *_, **__: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        run(["hub", "status"])
