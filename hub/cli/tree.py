"""The tree of commands. Names and one line of help only: a command's module is imported when it is called."""

from collections.abc import Sequence
from inspect import getdoc
from typing import Final

from cyclopts import App

EXIT_CODES: Final = (
    "Exit codes: 0 ok, 1 failed, 2 usage or config, 3 hub unreachable, 4 not authorised, 5 unknown name or offline "
    "device, 6 refused or failed by the device, 7 nothing matched with --fail-empty, 124 timeout, 130 interrupted."
)

_COMMANDS: Final = {
    "demo": ("demo:demo", "A hub, a fleet and the dashboard, in one command."),
    "init": ("setup:init", "Make settings, a development CA, the hub's certificate and the first tokens."),
    "send": ("commands:send", "Send a command to a device and wait for its result."),
    "query": ("query:query", "Ask the store."),
    "tail": ("tail:tail", "Follow readings as they come."),
    "ledger": ("ledger:ledger", "The account of every batch and reading; exit code 1 when it does not balance."),
    "dash": ("dash:dash", "The dashboard."),
    "decode": ("decode:decode", "Show the frames of a file or of standard input."),
    "doctor": ("doctor:doctor", "Check settings, certificates, token, clock and the way to the hub."),
    "completion": ("setup:completion", "Print the completion script of a shell."),
}
_GROUPS: Final = {
    "hub": (
        "Run the hub and look after it.",
        {
            "serve": ("hub:serve", "Run the hub until SIGTERM or Ctrl-C."),
            "check": ("hub:check", "Check the settings; every mistake is told."),
            "status": ("hub:status", "How the running hub is."),
            "trust-clock": ("hub:trust_clock", "Say that the hub's clock is right."),
            "reload": ("quarantine:reload", "Let the running hub read its models again."),
            "backup": ("backup:backup", "Copy what a hub cannot make again."),
            "restore": ("backup:restore", "Put back a backup, or the state file alone."),
            "rebuild": ("rebuild:rebuild", "Build the store anew from the journal."),
        },
    ),
    "devices": (
        "Run devices, real or simulated, and manage them.",
        {
            "run": ("devices:run", "Run one simulated device."),
            "fleet": ("devices:fleet", "Run many simulated devices in one process."),
            "host": ("devices:host", "Stream the sensors of this machine."),
            "ls": ("registry:ls", "List the devices that the hub knows."),
            "show": ("registry:show", "Everything about one device."),
            "enroll": ("registry:enroll", "Let a device in: print its new token."),
            "revoke": ("registry:revoke", "Lock a device out."),
        },
    ),
    "commands": (
        "What was sent to devices.",
        {
            "ls": ("commands:ls", "List commands, newest first."),
            "show": ("commands:show", "One command."),
            "cancel": ("commands:cancel", "Take a command back."),
        },
    ),
    "quarantine": (
        "Readings that were rejected, with their values.",
        {
            "ls": ("quarantine:ls", "Count them by device, metric and reason."),
            "show": ("quarantine:show", "List them one by one."),
            "retry": ("quarantine:retry", "Judge them again by the models as they are now, and store what is good."),
            "drop": ("quarantine:drop", "Remove them; the ledger says who did."),
        },
    ),
    "config": (
        "The settings.",
        {"show": ("setup:show", "The settings in force, and where they come from.")},
    ),
}


def words(tokens: Sequence[str]) -> list[str]:
    """Those of the first tokens that name a command."""
    if tokens and tokens[0] in _COMMANDS:
        return list(tokens[:1])
    if tokens and tokens[0] in _GROUPS:
        return list(tokens[:2] if len(tokens) > 1 and tokens[1] in _GROUPS[tokens[0]][1] else tokens[:1])
    return []


def _version() -> str:
    from importlib.metadata import version  # slow to import, seldom asked for

    return version("telemetrio")


def build(tokens: Sequence[str] = ()) -> App:
    """The whole tree, without importing any command but the one whose help ``tokens`` ask for."""
    app = App(
        name="telemetrio",
        help="The telemetry hub that can prove it lost nothing.",
        help_epilogue=EXIT_CODES,
        help_format="plaintext",  # markdown would be slow to import
        version=_version,
        result_action="return_value",
    )
    for name, (path, line) in _COMMANDS.items():
        app.command(f"hub.cli.{path}", name=name, help=line)
    for name, (line, members) in _GROUPS.items():
        group = App(name=name, help=line)
        for member, (path, what) in members.items():
            group.command(f"hub.cli.{path}", name=member, help=what)
        app.command(group)
    if "--help" in tokens or "-h" in tokens:
        command = app
        for word in words(tokens):
            command = command[word]
        if command.default_command is not None and command is not app:
            command.help = getdoc(command.default_command)  # all of it, not only the line of the list
    return app
