"""Runs one command line: parse, call, and end with text on stderr and an exit code, never with a traceback for what
is expected to happen."""

import os
import sys
from collections.abc import Sequence

from cyclopts.exceptions import CycloptsError, UnusedCliTokensError

from hub.cli.exits import Exit, explain, leaves
from hub.cli.tree import build, words


def run(tokens: Sequence[str]) -> int:
    """The exit code of ``telemetrio TOKENS``; what it has to say is written already."""
    _open_streams()
    try:
        code = build(tokens)(list(tokens), exit_on_error=False, print_error=False)
        sys.stdout.flush()
        return int(code or 0)
    except CycloptsError as error:
        say(f"{_usage(error)}\nSee '{' '.join(['telemetrio', *words(tokens)])} --help'.")
        return Exit.USAGE
    except BaseException as error:
        if _pipe_closed(error):
            _drop_output()
            return Exit.OK
        told = explain(error)
        if told is None:
            raise
        code, text = told
        if text:
            say(text)
        try:
            sys.stdout.flush()  # what was written before
        except OSError:
            _drop_output()
        return code


def say(text: str) -> None:
    """One line or more to stderr, headed by what speaks."""
    for number, line in enumerate(text.splitlines()):
        if not line.isprintable():
            from hub.client.text import safe_text  # brings the whole client with it: seldom needed here

            line = safe_text(line)
        print(("telemetrio: " if number == 0 else "  ") + line, file=sys.stderr)


def _usage(error: CycloptsError) -> str:
    if isinstance(error, UnusedCliTokensError):
        return f"Too many words: {' '.join(map(repr, error.unused_tokens or ()))}."
    return str(error)


def _open_streams() -> None:
    """Whoever closed one of the three standard streams gets one that leads nowhere: else the next file that is opened
    takes its number, and what is printed goes there."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115  (open until the end)


def _pipe_closed(error: BaseException) -> bool:
    """Whoever reads our output has had enough. (rich, which writes the help, makes a SystemExit of it.)"""
    if isinstance(error, SystemExit):
        return isinstance(error.__context__, BrokenPipeError)
    return all(isinstance(leaf, BrokenPipeError) for leaf in leaves(error))


def _drop_output() -> None:
    """End quietly, also when Python flushes at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
