"""The process: needs a terminal, always ends, and gives the terminal back."""

import io
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pexpect

from hub.client.dial import Target
from tests.dashboard.scripted_hub import scripted_hub
from tests.dashboard.stage import NOON, command

PROGRAM = """
import sys
from dashboard.app import run
from hub.client.dial import Target
sys.exit(run(Target(sys.argv[1], "token", insecure_ws=True)))
"""
BACK = "\x1b[?1049l"  # the terminal's own screen again


@contextmanager
def in_a_terminal(target: Target) -> Iterator["pexpect.spawn[str]"]:
    environment = {**os.environ, "TERM": "xterm-256color", "LANG": "C.UTF-8", "COLORTERM": "truecolor"}
    child = pexpect.spawn(
        sys.executable, ["-c", PROGRAM, target.url], dimensions=(24, 80), encoding="utf-8", timeout=30,
        env=environment, codec_errors="replace",
    )  # fmt: skip
    try:
        yield child
    finally:
        child.close(force=True)


def ended(child: "pexpect.spawn[str]") -> tuple[int | None, str]:
    """Wait for the end: the exit code, and what was written last."""
    child.expect(pexpect.EOF)
    child.close()
    return child.exitstatus, child.before or ""


def test_without_a_terminal_it_says_so_and_exits_2() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, "ws://127.0.0.1:1"], stdin=subprocess.DEVNULL, capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stdout == ""
    assert "needs a terminal" in done.stderr
    assert "telemetrio tail" in done.stderr
    assert "\x1b" not in done.stderr


def test_it_shows_the_fleet_and_ends_when_asked_to() -> None:
    with scripted_hub() as hub, in_a_terminal(hub.target) as child:
        child.expect("pump-1")
        child.expect("42.50")
        child.send("q")
        code, last = ended(child)
        assert code == 0
        assert BACK in last


def test_a_signal_gives_the_terminal_back() -> None:
    with scripted_hub() as hub, in_a_terminal(hub.target) as child:
        child.expect("pump-1")
        child.kill(signal.SIGTERM)
        code, last = ended(child)
        assert code == 0
        assert BACK in last


def test_it_ends_while_there_is_no_hub() -> None:
    with in_a_terminal(Target("ws://127.0.0.1:9")) as child:
        child.expect("lost")
        child.send("q")
        assert ended(child)[0] == 0


def test_no_bytes_of_a_device_steer_a_real_terminal() -> None:
    evil = "\x1b]52;c;cm0gLXJm\x07\x9b31m\u202e\x1b]0;owned\x07"
    with scripted_hub() as hub, in_a_terminal(hub.target) as child:
        child.logfile_read = written = io.StringIO()
        child.expect("42.50")
        hub.tell("event", {"device": "pump-1", "time": NOON, "level": evil, "text": evil})
        hub.tell("presence", {"device": "pump-1", "model": evil, "state": "offline", "at": NOON, "reason": evil})
        hub.tell("violation", {"device": evil, "metric": evil, "code": evil, "count": 1, "text": evil, "time": NOON})
        hub.tell("command", command("c9", "pump-1", evil, {evil: evil}, "failed", value=evil, by=evil))
        hub.tell("readings", [["pump-1", evil, NOON + 1, evil, 0]])
        child.send("3")
        wanted = ["offline", "failed"]
        while wanted:  # whatever comes first: a loaded machine paints them in one frame or in two
            wanted.pop(child.expect(list(wanted)))
        child.send("2")
        child.expect("LEDGER")
        child.send("q")
        assert ended(child)[0] == 0
    assert "52;c;cm0gLXJm" in written.getvalue()  # it is there, as text
    for steering in ("\x1b]52", "\x1b]0;", "\x9b", "\u202e"):
        assert steering not in written.getvalue()
