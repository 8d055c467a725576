import os
import subprocess
import sys
from pathlib import Path

import pytest

from hub.cli.tree import build, words

EXPECTED = Path(__file__).parent / "help"
COMMANDS = [
    (), ("hub",), ("devices",), ("commands",), ("config",), ("demo",), ("init",), ("hub", "serve"), ("hub", "check"),
    ("hub", "status"), ("hub", "rebuild"), ("hub", "backup"), ("hub", "restore"),
    ("devices", "run"), ("devices", "fleet"), ("devices", "host"), ("devices", "ls"),
    ("devices", "show"), ("devices", "enroll"), ("devices", "revoke"), ("send",), ("commands", "ls"),
    ("commands", "show"), ("commands", "cancel"), ("query",), ("tail",), ("ledger",), ("dash",), ("decode",),
    ("doctor",), ("config", "show"), ("completion",),
    ("hub", "reload"), ("hub", "trust-clock"), ("quarantine",), ("quarantine", "ls"), ("quarantine", "show"),
    ("quarantine", "retry"), ("quarantine", "drop"),
]  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: "-".join(command) or "telemetrio")
def test_help_is_as_written_down(command, telemetrio, monkeypatch) -> None:
    """To change a help text, change the file beside this test: TELEMETRIO_WRITE_HELP=1 writes them all."""
    monkeypatch.setenv("COLUMNS", "100")
    shown = telemetrio(*command, "--help")
    file = EXPECTED / f"{'-'.join(command) or 'telemetrio'}.txt"
    text = "\n".join(line.rstrip() for line in shown.out.splitlines()) + "\n"
    if WRITE:
        EXPECTED.mkdir(exist_ok=True)
        file.write_text(text)
    assert shown.code == 0
    assert text == file.read_text()


WRITE = bool(os.environ.get("TELEMETRIO_WRITE_HELP"))


def test_every_command_is_in_the_list_of_this_test() -> None:
    app = build()
    there = {()} | {(name,) for name in app if not name.startswith("-")}
    there |= {(group, name) for group in ("hub", "devices", "commands", "quarantine", "config") for name in app[group]}
    assert {command for command in there if not command or not command[-1].startswith("-")} == set(COMMANDS)


def test_help_imports_neither_numpy_nor_trio() -> None:
    code = (
        "import sys\nfrom hub.cli.run import run\nrun(['--help'])\n"
        "heavy = [m for m in ('numpy', 'trio', 'duckdb', 'textual', 'pydantic') if m in sys.modules]\n"
        "sys.exit(f'imported: {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("given", "hint"),
    [
        (("quer",), 'Did you mean "query"?'),
        (("hub", "serv"), 'Did you mean "serve"?'),
        (("query", "--lst", "1h"), "Did you mean --last?"),
        (("devices", "ls", "-o", "xml"), 'Choose from: "table", "json", "ndjson", "csv"'),
        (("send", "d1"), "COMMAND"),
        (("commands", "ls", "-n", "many"), "many"),
        (("completion", "tcsh"), "bash"),
    ],
)
def test_what_cannot_be_parsed_is_usage(given, hint, telemetrio) -> None:
    shown = telemetrio(*given)
    assert shown.code == 2
    assert hint in shown.err
    assert f"See 'telemetrio {' '.join([*words(given), '--help'])}'" in shown.err
    assert shown.out == ""


@pytest.mark.parametrize(
    ("given", "hint"),
    [
        (("query", "--last", "1x"), "90s, 15m"),
        (("query", "--last", "1h", "--since", "now-1h"), "--last and --since"),
        (("query", "--agg", "median"), "mean, min, max"),
        (("query", "--label", "site"), "KEY=VALUE"),
        (("query", "--since", "now", "--until", "now-1h"), "swap"),
        (("tail", "--for", "soon"), "90s"),
        (("commands", "ls", "--state", "done"), "queued, sent"),
        (("init", "x", "--listen", "everywhere"), "HOST:PORT"),
        (("dash",), "no token"),
        (("devices", "ls"), "telemetrio init"),
        (("devices", "ls", "-c", "none.toml"), "none.toml"),
    ],
)
def test_what_makes_no_sense_is_usage_and_says_what_to_write(given, hint, telemetrio, monkeypatch) -> None:
    if given == ("dash",):
        monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
        monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    shown = telemetrio(*given)
    assert (shown.code, shown.out) == (2, "")
    assert hint in shown.err
    assert "Traceback" not in shown.err


def test_the_dashboard_needs_a_terminal(telemetrio) -> None:
    shown = telemetrio("dash")
    assert shown.code == 2
    assert "needs a terminal" in shown.err


def test_version(telemetrio) -> None:
    assert telemetrio("--version").out.strip().count(".") == 2


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_knows_the_commands(shell, telemetrio) -> None:
    shown = telemetrio("completion", shell)
    assert shown.code == 0
    for word in ("demo", "fleet", "--since"):
        assert word.lstrip("-") in shown.out
