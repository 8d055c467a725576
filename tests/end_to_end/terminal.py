"""A real terminal: tmux on a socket of its own, with a shell in it that is typed to and read from."""

import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import pytest

TMUX = shutil.which("tmux")
SHOWN_SECONDS = 30.0  # for something to stand on the screen: processes that start on a loaded machine included
LOOK_SECONDS = 0.05  # between two looks at the screen
BIN = Path(sys.executable).parent  # where ``telemetrio`` is


def need_tmux() -> str:
    """The path of tmux. Skips without it; in CI, where it has been asked for, fails."""
    if TMUX is None:
        reason = "tmux is not installed (Debian: tmux)"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return TMUX


@dataclass
class Terminal:
    """``columns`` by ``lines`` cells with a shell that has ``environment``; the tmux server ends with the block."""

    socket: Path
    columns: int
    lines: int
    environment: Mapping[str, str]

    def __enter__(self) -> Self:
        start = [need_tmux(), "-S", str(self.socket), "-f", "/dev/null", "new-session", "-d"]
        shell = "exec sh -i"
        size = ["-x", str(self.columns), "-y", str(self.lines)]
        environment = {**self.environment, "ENV": "", "COLORTERM": "truecolor", "LC_ALL": "C.UTF-8"}
        environment["PATH"] = f"{BIN}{os.pathsep}{os.environ['PATH']}"
        del environment["NO_COLOR"]
        subprocess.run([*start, *size, shell], env=environment, check=True, timeout=SHOWN_SECONDS)
        try:
            self.wait_until(lambda shown: bool(shown.strip()), "the prompt of a shell")
        except BaseException:
            self._tmux("kill-server")
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._tmux("kill-server")

    def type(self, *keys: str) -> None:
        """Press keys, by tmux's names (``Enter``, ``Escape``); anything else is typed as it is."""
        self._tmux("send-keys", *keys)

    def run(self, *command: str) -> None:
        """Start a command in the shell; its exit code is written after its end as ``code=N``."""
        self._tmux("send-keys", "-l", f"clear; {shlex.join(command)}; echo code=$?")
        self.type("Enter")

    def click(self, column: int, line: int) -> None:
        """Press and release the left button over a cell (from 1), as a terminal tells it (SGR)."""
        for end in "Mm":
            told = f"\x1b[<0;{column};{line}{end}".encode()
            self._tmux("send-keys", "-H", *(f"{byte:02x}" for byte in told))

    def screen(self) -> str:
        """What stands on it now."""
        return self._tmux("capture-pane", "-p")

    def told(self, format: str) -> str:
        """What tmux knows of the terminal, such as ``#{alternate_on}``."""
        return self._tmux("display-message", "-p", format).strip()

    def wait_for(self, *words: str, but: str = "", seconds: float = SHOWN_SECONDS) -> str:
        """The screen, as soon as all ``words`` stand on it and ``but`` does not."""
        return self.wait_until(
            lambda screen: all(word in screen for word in words) and not (but and but in screen),
            f"{words} on the screen" + (f" without {but!r}" if but else ""), seconds,
        )  # fmt: skip

    def wait_until(self, true: Callable[[str], bool], what: str, seconds: float = SHOWN_SECONDS) -> str:
        """The screen, as soon as ``true`` of it."""
        deadline = time.monotonic() + seconds
        while not true(screen := self.screen()):
            assert time.monotonic() < deadline, f"waited {seconds:g} s for {what}:\n{screen}"
            time.sleep(LOOK_SECONDS)  # another process paints; nothing tells us
        return screen

    def wait_for_cursor_at(self, words: str) -> None:
        """Wait until the cursor stands in a line with these words."""

        def there(shown: str) -> bool:
            return words in shown.splitlines()[int(self.told("#{cursor_y}"))]

        self.wait_until(there, f"the cursor at {words!r}")

    def assert_given_back(self) -> None:
        """The shell has its own screen, a cursor, an echo, and no mouse reports."""
        assert self.told("#{alternate_on} #{cursor_flag} #{mouse_any_flag} #{pane_current_command}") == "0 1 0 sh"
        self._tmux("send-keys", "-l", "echo back-$((40 + 2))")
        self.wait_for("echo back-$((40 + 2))")
        self.type("Enter")
        self.wait_for("back-42")

    def _tmux(self, *words: str) -> str:
        command = [need_tmux(), "-S", str(self.socket), *words]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=SHOWN_SECONDS).stdout
