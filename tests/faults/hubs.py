"""Hubs of the lab: forked, on a folder that is a copy of one that was initialised once."""

import itertools
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.end_to_end.processes import HubProcess, environment
from tests.faults.forge import Forge, Forged
from tests.faults.lab import Lab

COMMAND = "tests.faults.hubs:telemetrio"  # a command of the CLI, in a fork
_numbers = itertools.count(1)


@dataclass
class ForgedHub(HubProcess):
    """A hub, and commands against it, that start in a fraction of the time. ``target``: what to call instead of
    ``telemetrio hub serve``, with ``arguments``."""

    forge: Forge = field(kw_only=True)
    target: str = COMMAND
    arguments: tuple[str, ...] = ("hub", "serve")

    def spawn(self, variables: Mapping[str, str]) -> Any:
        return self.forge.start(self.target, *self.arguments, env=variables, log=self.folder / "hub.log")

    def run(self, *arguments: str, timeout: float = 60, stdin: str | None = None) -> "subprocess.CompletedProcess[str]":
        assert stdin is None, "not with this one"
        out, err = (self.folder / f"{next(_numbers)}.{name}" for name in ("out", "err"))
        code = self.command_to(out, err, *arguments).wait(timeout)
        return subprocess.CompletedProcess(arguments, code, out.read_text(), err.read_text())

    def command_to(self, out: Path, err: Path, *arguments: str) -> Forged:
        """A command of the CLI that writes into files."""
        variables = environment(self.folder) | {"TELEMETRIO_CLIENT__URL": self.url, "TELEMETRIO_URL": self.url}
        return self.forge.start(COMMAND, *arguments, env=variables, log=err, stdout=out)


def make_hub(lab: Lab, name: str = "hub", **more: Any) -> ForgedHub:
    """A hub in a folder of its own, not yet started. ``more``: settings, target, arguments."""
    assert lab.forge is not None, "the runner makes it"
    assert lab.template is not None
    folder = lab.scratch / name
    shutil.copytree(lab.template, folder)
    return ForgedHub(folder, forge=lab.forge, **more)


def telemetrio(*words: str) -> int:
    """A command of the CLI."""
    from hub.cli.run import run

    return run(words)
