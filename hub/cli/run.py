"""Runs one command line: parse, call, and end with text on stderr and an exit code, never with a traceback for what
is expected to happen."""

import os
import sys
from collections.abc import Sequence

from cyclopts.exceptions import CycloptsError

from hub.cli.exits import Exit, explain
from hub.cli.tree import build, words


def run(tokens: Sequence[str]) -> int:
    """The exit code of ``telemetrio TOKENS``; what it has to say is written already."""
    try:
        code = build(tokens)(list(tokens), exit_on_error=False, print_error=False)
        sys.stdout.flush()
        return int(code or 0)
    except CycloptsError as error:
        say(f"{error}\nSee '{' '.join(['telemetrio', *words(tokens)])} --help'.")
        return Exit.USAGE
    except BrokenPipeError:
        return _pipe_closed()
    except BaseException as error:
        told = explain(error)
        if told is None:
            raise
        code, text = told
        if text:
            say(text)
        return code


def say(text: str) -> None:
    """One line or more to stderr, headed by what speaks."""
    for number, line in enumerate(text.splitlines()):
        if not line.isprintable():
            from hub.client.text import safe_text  # brings the whole client with it: seldom needed here

            line = safe_text(line)
        print(("telemetrio: " if number == 0 else "  ") + line, file=sys.stderr)


def _pipe_closed() -> int:
    """Whoever read our output has had enough: end quietly, also when Python flushes at exit."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.stdout.fileno())
    return Exit.OK
