"""The one place that turns what went wrong into a text and an exit code."""

import errno
from collections.abc import Iterator, Mapping
from enum import IntEnum
from typing import Final


class Exit(IntEnum):
    """Exit codes of ``telemetrio``."""

    OK = 0
    FAILED = 1
    USAGE = 2
    UNREACHABLE = 3
    UNAUTHORIZED = 4
    UNKNOWN_DEVICE = 5
    DEVICE_FAILED = 6
    EMPTY = 7
    TIMEOUT = 124
    INTERRUPTED = 130


#: State that a command ended in (or was left in by --no-wait) -> exit code.
STATES: Final[Mapping[str, Exit]] = {
    "queued": Exit.OK, "sent": Exit.OK, "acknowledged": Exit.OK, "succeeded": Exit.OK,
    "failed": Exit.DEVICE_FAILED, "rejected": Exit.DEVICE_FAILED, "cancelled": Exit.FAILED,
    "timed_out": Exit.TIMEOUT, "expired": Exit.TIMEOUT, "unreachable": Exit.UNKNOWN_DEVICE,
}  # fmt: skip


class CommandError(Exception):
    """A command cannot go on; the text says what happened and what to do next."""

    def __init__(self, text: str, exit: Exit = Exit.FAILED) -> None:
        super().__init__(text)
        self.exit = exit


def leaves(error: BaseException) -> Iterator[BaseException]:
    """The exceptions in a group, however nested; a single one as it is."""
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from leaves(inner)
    else:
        yield error


def explain(error: BaseException) -> tuple[Exit, str] | None:
    """Exit code and text of an error that is expected to happen; None for one that is a mistake of ours."""
    told = [_explain(leaf) for leaf in leaves(error)]
    if not told or None in told:
        return None
    return next(one for one in told if one is not None)


def _explain(error: BaseException) -> tuple[Exit, str] | None:
    if isinstance(error, KeyboardInterrupt):
        return Exit.INTERRUPTED, ""
    if isinstance(error, CommandError):
        return error.exit, str(error)
    if isinstance(error, OSError):
        return _system(error)
    if isinstance(error.__cause__, UnicodeEncodeError):  # a word of the command line, on its way to the hub
        return Exit.USAGE, "what was typed is not UTF-8; the names that the hub knows are"
    name = f"{type(error).__module__}.{type(error).__name__}"
    # By name: nothing is imported only to find out that it was not the reason.
    if name in _USAGE:
        return Exit.USAGE, str(error)
    if name in _FAILED:
        return Exit.FAILED, str(error)
    if name == "trio.TooSlowError":
        return Exit.TIMEOUT, "it took too long; allow more with --timeout"
    if type(error).__module__ == "hub.client.errors":
        return _client(error)
    return None


def _system(error: OSError) -> tuple[Exit, str] | None:
    """What the operating system refused; None for what no file and no full disk explains."""
    if error.filename is not None:
        file = error.filename if isinstance(error.filename, str) else repr(error.filename)
        return Exit.FAILED, f"{file}: {error.strerror}; {_ADVICE.get(error.errno, 'name another')}"
    if error.errno in _WRITING:
        return Exit.FAILED, f"the output cannot be written: {error.strerror}; {_ADVICE[errno.ENOSPC]}"
    return None


_WRITING: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})
_ADVICE: Final[Mapping[int | None, str]] = {
    errno.ENOENT: "check the path", errno.ENOTDIR: "check the path", errno.EISDIR: "name a file, not a folder",
    errno.EACCES: "name another, or get the right to it", errno.EPERM: "name another, or get the right to it",
    errno.ENOSPC: "make room, or write elsewhere", errno.EROFS: "name a place that can be written",
}  # fmt: skip
_FAILED: Final = frozenset(
    {
        "hub.state.database.StateDamaged",
        "hub.state.database.StateError",
        "hub.upkeep.manifest.BackupError",
        "hub.store.base.StoreError",
        "hub.journal.errors.JournalFailed",
    }
)
_USAGE: Final = frozenset(
    {
        "hub.config.ConfigError",
        "hub.query.question.QuestionError",
        "hub.model.model.ModelError",
        "hub.model.arguments.ArgumentRefused",
        "hub.upkeep.init.InitError",
        "hub.upkeep.claims.ClaimsError",
        "devices.enrol.BadName",
        "devices.enrol.NoToken",
        "devices.scenario.ScenarioError",
    }
)


def _client(error: BaseException) -> tuple[Exit, str]:
    from hub.client.errors import ContextError, HubFailure, Refused, SocketClosed
    from hub.wire.errors import CloseCode
    from hub.wire.operator import FAILURES

    if isinstance(error, ContextError):
        return Exit.USAGE, str(error)
    if isinstance(error, HubFailure):
        return Exit(FAILURES.get(error.code, Exit.FAILED)), error.text
    if isinstance(error, Refused) and error.status in (401, 403):
        return Exit.UNAUTHORIZED, error.text
    if isinstance(error, SocketClosed) and error.code in (CloseCode.PROTOCOL, CloseCode.GARBLED, CloseCode.TOO_BIG):
        said = error.reason or f"close code {error.code}"
        return Exit.USAGE, f"the hub does not take this request: {said}; check what was typed, and both versions"
    if isinstance(error, SocketClosed):
        text = f"the hub ended the link: {error.code}" + (f" {error.reason}" if error.reason else " (lost)")
        if error.code in (CloseCode.UNAUTHORIZED, CloseCode.FORBIDDEN, CloseCode.REVOKED):
            return Exit.UNAUTHORIZED, f"{text}; use another token"
        return Exit.UNREACHABLE, f"{text}; try again, or look at 'telemetrio hub status' and the hub's log"
    return Exit.UNREACHABLE, str(error)
